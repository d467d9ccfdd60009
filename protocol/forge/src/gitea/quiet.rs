//! Keeping quiet while a forge asked for it: one refusal holds for all calls of a client, so that many
//! bottles at work do not make a storm (CASES 183, 185).

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::ForgeError;

/// How long a refused token is not shown again: long enough to be no storm, and not to lock the
/// account; short enough to notice when the account was allowed again.
const BAD_TOKEN: Duration = Duration::from_secs(15);

/// Until when nothing is sent, and why.
#[derive(Debug, Default)]
pub(super) struct Quiet(Mutex<Option<(Instant, Why)>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Limited,
    BadToken,
}

impl Quiet {
    /// Refuses what should not be sent now, as the forge did.
    pub(super) fn check(&self, what: &str) -> Result<(), ForgeError> {
        let now = Instant::now();
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((until, why)) = held.filter(|(until, _)| *until > now) else {
            *held = None;
            return Ok(());
        };
        let what = what.to_owned();
        Err(match why {
            Why::Limited => ForgeError::RateLimited { what, retry_after: until - now },
            Why::BadToken => ForgeError::BadToken { what },
        })
    }

    /// Takes note of a refusal that concerns all calls.
    pub(super) fn hear(&self, failure: &ForgeError) {
        let (wait, why) = match failure {
            ForgeError::RateLimited { retry_after, .. } => (*retry_after, Why::Limited),
            ForgeError::BadToken { .. } => (BAD_TOKEN, Why::BadToken),
            ForgeError::OutOfScope { .. }
            | ForgeError::NoPermission { .. }
            | ForgeError::Gone { .. }
            | ForgeError::WrongKind { .. }
            | ForgeError::Conflict { .. }
            | ForgeError::Rejected { .. }
            | ForgeError::Unreachable { .. }
            | ForgeError::Server { .. }
            | ForgeError::BadAnswer { .. } => return,
        };
        let until = Instant::now() + wait;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none_or(|(earlier, _)| earlier < until) {
            *held = Some((until, why));
        }
    }
}
