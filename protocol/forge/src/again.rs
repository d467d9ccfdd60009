//! Doing something once although answers get lost.
//!
//! After an answer that says nothing about whether a change was made, the change is looked for, and
//! made again only when it was missed twice: a forge's replica may lag behind what it has just
//! written (CASES 62, 188, 195).

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use crate::ForgeError;

/// How often a change is sent at most.
const MAKES: usize = 3;

/// How often it has to be missed before it counts as not made.
const MISSES: usize = 2;

/// Looks that failed do not count as misses; so many looks are there in all after one change.
const LOOKS: usize = 5;

/// How long to try, and how long to wait in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Before the first look; each later pause is twice as long, and scattered.
    pub first_pause: Duration,
    /// Nothing new is begun after this time.
    pub within: Duration,
}

impl Default for Patience {
    /// A caller waits for [`protocol::limits::RPC_TIMEOUT`]: a change that takes a call's whole time
    /// is still looked for.
    fn default() -> Self {
        Self { first_pause: Duration::from_secs(1), within: Duration::from_secs(45) }
    }
}

impl Patience {
    fn pauses(&self, times: usize) -> impl Iterator<Item = Duration> + use<> {
        ExponentialBuilder::new()
            .with_min_delay(self.first_pause)
            .with_max_times(times)
            .with_jitter()
            .build()
    }
}

/// Whether a change that gave this error may have been made all the same.
pub fn is_unknown(error: &ForgeError) -> bool {
    matches!(error, ForgeError::Server { .. } | ForgeError::BadAnswer { .. })
}

/// Makes a change, at most three times, until it was seen to be made. `look` finds what `make` makes.
///
/// # Errors
/// The forge's refusal; or what went wrong last, when it could not be seen whether it was made.
pub async fn once<T, M, L>(
    patience: Patience,
    make: impl Fn() -> M,
    look: impl Fn() -> L,
) -> Result<T, ForgeError>
where
    M: Future<Output = Result<T, ForgeError>>,
    L: Future<Output = Result<Option<T>, ForgeError>>,
{
    let deadline = Instant::now() + patience.within;
    let mut makes = 1;
    loop {
        let unknown = match make().await {
            Err(error) if is_unknown(&error) => error,
            settled => return settled,
        };
        match seen(patience, deadline, &look).await {
            Seen::There(made) => return Ok(made),
            Seen::NotThere if makes < MAKES && Instant::now() < deadline => makes += 1,
            Seen::NotThere | Seen::Unclear => return Err(unknown),
        }
    }
}

/// Looks for something that should be there soon; `None` when it was missed twice, or cannot be
/// looked for.
pub async fn find<T, L>(patience: Patience, look: impl Fn() -> L) -> Option<T>
where
    L: Future<Output = Result<Option<T>, ForgeError>>,
{
    match seen(patience, Instant::now() + patience.within, &look).await {
        Seen::There(found) => Some(found),
        Seen::NotThere | Seen::Unclear => None,
    }
}

/// Makes a change that does no harm when it is made twice, until it is told to be made.
///
/// # Errors
/// The forge's refusal, or what went wrong last.
pub async fn repeat<T, M>(patience: Patience, make: impl Fn() -> M) -> Result<T, ForgeError>
where
    M: Future<Output = Result<T, ForgeError>>,
{
    let deadline = Instant::now() + patience.within;
    let mut pauses = patience.pauses(MAKES - 1);
    loop {
        let unknown = match make().await {
            Err(error) if is_unknown(&error) => error,
            settled => return settled,
        };
        match pauses.next() {
            Some(pause) if Instant::now() + pause < deadline => sleep(pause).await,
            Some(_) | None => return Err(unknown),
        }
    }
}

enum Seen<T> {
    There(T),
    NotThere,
    Unclear,
}

async fn seen<T, L>(patience: Patience, deadline: Instant, look: &impl Fn() -> L) -> Seen<T>
where
    L: Future<Output = Result<Option<T>, ForgeError>>,
{
    let mut misses = 0;
    for pause in patience.pauses(LOOKS) {
        if Instant::now() + pause >= deadline {
            break;
        }
        sleep(pause).await;
        match look().await {
            Ok(Some(found)) => return Seen::There(found),
            Ok(None) => misses += 1,
            Err(error) if is_unknown(&error) => {}
            Err(ForgeError::Unreachable { .. }) => {}
            Err(_) => break,
        }
        if misses == MISSES {
            return Seen::NotThere;
        }
    }
    Seen::Unclear
}
