//! What Docker tells as it happens. Its stream loses events across a break, and repeats some after
//! one; nothing is decided here on it (CASES 163).

use bollard::{
    errors::Error as DockerError,
    models::{EventMessage, EventMessageTypeEnum},
    query_parameters::EventsOptionsBuilder,
};
use futures_util::{StreamExt as _, stream::BoxStream};
use jiff::Timestamp;

use super::{Change, DockerEngine, EngineError, LABEL_INSTANCE, failure::failed, found};

type Events = BoxStream<'static, Result<EventMessage, DockerError>>;

/// A subscription that outlives the calls that wait for it, so that nothing is missed between two.
#[derive(Default)]
pub(super) struct Subscription {
    events: Option<Events>,
    /// When the last event was; what came after it is asked for again after a break.
    last: Option<Timestamp>,
}

impl DockerEngine {
    /// Only the daemon's one listener waits here.
    pub(super) async fn next_change(&self) -> Result<Change, EngineError> {
        let mut subscription = self.events.lock().await;
        let last = subscription.last;
        let events = subscription.events.get_or_insert_with(|| self.subscribe(last));
        match events.next().await {
            Some(Ok(event)) => {
                subscription.last = at(&event).or(last);
                Ok(self.understand(&event))
            }
            Some(Err(error)) => {
                subscription.events = None;
                Err(failed("listen to events")(error))
            }
            None => {
                subscription.events = None;
                let what = "listen to events".to_owned();
                Err(EngineError::Unreachable { what, source: "the stream ended".into() })
            }
        }
    }

    fn subscribe(&self, since: Option<Timestamp>) -> Events {
        let label = format!("{LABEL_INSTANCE}={}", self.instance);
        let kind = EventMessageTypeEnum::CONTAINER.to_string();
        let events = ["die", "pause", "unpause", "destroy", "start", "rename", "oom"];
        let filters = [
            ("label".to_owned(), vec![label]),
            ("type".to_owned(), vec![kind]),
            ("event".to_owned(), events.map(str::to_owned).to_vec()),
        ];
        let mut options = EventsOptionsBuilder::new().filters(&filters.into());
        if let Some(since) = since {
            options = options.since(&since.as_second().to_string());
        }
        self.docker.events(Some(options.build())).boxed()
    }

    fn understand(&self, event: &EventMessage) -> Change {
        let action = event.action.as_deref().unwrap_or_default();
        let Some(actor) = &event.actor else { return Change::Container };
        let id = actor.id.as_deref().unwrap_or_default();
        self.ended.forget(id);
        let labels = actor.attributes.as_ref();
        match labels.and_then(|labels| found::owner(labels, &self.instance)) {
            Some((slug, role)) if action == "oom" => Change::OutOfMemory { slug, role },
            Some(_) | None => Change::Container,
        }
    }
}

fn at(event: &EventMessage) -> Option<Timestamp> {
    Timestamp::from_nanosecond(i128::from(event.time_nano?)).ok()
}
