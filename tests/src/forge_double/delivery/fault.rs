//! Faults of webhook delivery, given as data: repeat, lose, hold, reorder, delay, forge.

use std::time::Duration;

/// What goes wrong with a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryFaultKind {
    /// Sent this many times in all, with one delivery id.
    Repeat(usize),
    /// Never sent.
    Lose,
    /// Kept until `release_held`, which sends the last one first.
    Hold,
    /// Kept until as many are kept as the fault strikes; then the last goes first.
    Reorder,
    /// Sent later; those behind it wait as well.
    Delay(Duration),
    /// Sent with a signature made with another secret.
    Forge,
}

/// A fault, and the webhooks it strikes.
#[derive(Debug, Clone)]
pub struct DeliveryFault {
    event: Option<String>,
    skip: usize,
    times: usize,
    kind: DeliveryFaultKind,
}

impl DeliveryFault {
    /// Strikes the next `count` webhooks.
    pub fn next(count: usize, kind: DeliveryFaultKind) -> Self {
        Self { event: None, skip: 0, times: count, kind }
    }

    /// Only webhooks with this `X-Gitea-Event`.
    #[must_use]
    pub fn of_event(mut self, event: &str) -> Self {
        self.event = Some(event.to_owned());
        self
    }

    /// Lets this many matching webhooks pass first.
    #[must_use]
    pub fn after(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    fn fate(&self) -> Fate {
        let manner = Manner::default();
        match self.kind {
            DeliveryFaultKind::Repeat(copies) => Fate::Sent(Manner { copies, ..manner }),
            DeliveryFaultKind::Lose => Fate::Lost,
            DeliveryFaultKind::Hold => Fate::Held { release_after: None },
            DeliveryFaultKind::Reorder => Fate::Held { release_after: Some(self.times) },
            DeliveryFaultKind::Delay(delay) => Fate::Sent(Manner { delay, ..manner }),
            DeliveryFaultKind::Forge => Fate::Sent(Manner { is_forged: true, ..manner }),
        }
    }
}

/// How one webhook is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) copies: usize,
    pub(crate) delay: Duration,
    pub(crate) is_forged: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { copies: 1, delay: Duration::ZERO, is_forged: false }
    }
}

/// What becomes of one webhook.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    Sent(Manner),
    Lost,
    /// Kept; with a number, all kept ones leave when there are that many.
    Held {
        release_after: Option<usize>,
    },
}

impl Default for Fate {
    fn default() -> Self {
        Self::Sent(Manner::default())
    }
}

#[derive(Debug)]
struct Planned {
    fault: DeliveryFault,
    left: usize,
}

/// The delivery faults still to come.
#[derive(Debug, Default)]
pub(crate) struct FateBook(Vec<Planned>);

impl FateBook {
    /// Adds a fault after those already planned.
    pub(crate) fn add(&mut self, fault: DeliveryFault) {
        self.0.push(Planned { left: fault.times, fault });
    }

    /// Counts a webhook; says what becomes of it by the first planned fault that strikes.
    pub(crate) fn fate_of(&mut self, event: &str) -> Fate {
        let mut fate = None;
        for planned in &mut self.0 {
            if planned.fault.event.as_deref().is_some_and(|wanted| wanted != event) {
                continue;
            }
            if planned.fault.skip > 0 {
                planned.fault.skip -= 1;
            } else if planned.left > 0 && fate.is_none() {
                planned.left -= 1;
                fate = Some(planned.fault.fate());
            }
        }
        self.0.retain(|planned| planned.left > 0);
        fate.unwrap_or_default()
    }
}
