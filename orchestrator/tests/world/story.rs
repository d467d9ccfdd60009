//! What people and the agent do, each step decided by what is there, so that it goes on wherever a
//! killed process has left it.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use orchestrator::engine::{
    Role,
    spec::{Places, uid},
};
use protocol::{
    agent::DoneStatus,
    event::{Happening, Operation, OperationOutcome, QueueEvent, VERSION},
    ids::{EventId, IssueNumber, Slug},
    item::Comment,
};

use crate::outside::{Act, Container, Outside, State, written_at};

pub(crate) const BOT: &str = "implementer-bot";
/// The issue's text.
pub(crate) const WISH: &str = "Say hello to whoever comes in.";
/// What is said of the pull request.
const REMARK: &str = "Please greet in French too.";

pub(crate) fn issue() -> IssueNumber {
    7.try_into().unwrap()
}

pub(crate) fn pull() -> IssueNumber {
    8.try_into().unwrap()
}

/// What people said of which a prompt tells.
pub(crate) fn words(prompt: &str) -> Vec<&'static str> {
    [WISH, REMARK].into_iter().filter(|words| prompt.contains(words)).collect()
}

/// What must have been done in the end, each once.
pub(crate) const DEEDS: [&str; 7] = [
    "asked for work",
    "run 1 is told [\"Say hello to whoever comes in.\"]",
    "pull request opened",
    "said: Please greet in French too.",
    "run 2 is told [\"Please greet in French too.\"]",
    "said: I have done so.",
    "merged",
];

/// What the log must have of the sidecar's events in the end, each once.
pub(crate) const TOLD: [&str; 7] = [
    "agent started",
    "agent says success: all done",
    "agent exited with 0",
    "agent started",
    "posted comment on #8",
    "agent says success: all done",
    "agent exited with 0",
];

/// Chapters of the people's part; the last one is the end.
pub(crate) const END: u32 = 3;

/// One step of each who can take one.
pub(crate) fn go_on(outside: &Outside, data_dir: &Path) {
    let slugs: Vec<Slug> =
        outside.look().sidecars.keys().map(|slug| slug.parse().unwrap()).collect();
    for slug in &slugs {
        work(outside, data_dir, slug);
    }
    let chapter = outside.look().chapter;
    let asleep = slugs.iter().any(|slug| is_asleep(&outside.look(), slug));
    match chapter {
        0 => outside.change(|state| {
            state.asked = true;
            state.deeds.push(DEEDS[0].to_owned());
            state.chapter = 1;
        }),
        1 if asleep => outside.change(|state| {
            say(state, "ann", REMARK);
            state.chapter = 2;
        }),
        2 if asleep && outside.look().comments.len() > 1 => outside.change(|state| {
            state.merged = true;
            state.deeds.push("merged".to_owned());
            state.chapter = END;
        }),
        _ => {}
    }
}

/// The agent has ended its run, and the bottle was put to sleep.
fn is_asleep(state: &State, slug: &Slug) -> bool {
    let ended = state
        .sidecars
        .get(slug.as_str())
        .is_some_and(|sidecar| sidecar.events > 0 && sidecar.agenda.is_empty());
    let bottle = state.containers.get(&Role::Bottle.container_name(slug));
    ended && matches!(bottle, Some(Container::Paused | Container::Exited))
}

fn say(state: &mut State, author: &str, body: &str) {
    let id = 100 + state.comments.len() as u64;
    state.comments.push(Comment {
        id,
        author: author.parse().unwrap(),
        body: body.to_owned(),
        created_at: written_at(),
        updated_at: written_at(),
        url: format!("https://git.example.org/team/project/pulls/8#{id}"),
    });
    state.deeds.push(format!("said: {body}"));
}

/// The agent's next step, if its container runs and its sidecar has a grant.
fn work(outside: &Outside, data_dir: &Path, slug: &Slug) {
    let queue = Places::of(data_dir, slug).queue;
    if !queue.join("new").is_dir() {
        return;
    }
    outside.change(|state| {
        let runs = |role: Role| {
            state.containers.get(&role.container_name(slug)) == Some(&Container::Running)
        };
        let both_run = runs(Role::Bottle) && runs(Role::Sidecar);
        let sidecar = state.sidecars.get_mut(slug.as_str()).unwrap();
        let (true, Some(nonce)) = (both_run, sidecar.nonce.clone()) else { return };
        let Some(step) = sidecar.agenda.pop_front() else { return };
        sidecar.events += 1;
        let what = match step.act {
            Act::Start => Happening::RunStarted {},
            Act::OpenPr => Happening::PrOpened { number: pull() },
            Act::Comment => Happening::Operation { operation: commented() },
            Act::SayDone => {
                Happening::Done { status: DoneStatus::Success, summary: "all done".to_owned() }
            }
            Act::Exit => Happening::Exited { code: 0, output_tail: String::new() },
        };
        let event = QueueEvent {
            version: VERSION,
            id: EventId::new(&nonce, sidecar.events),
            slug: slug.clone(),
            run: Some(step.run),
            at: Timestamp::now(),
            what,
        };
        match step.act {
            Act::OpenPr => {
                state.branch = Some(format!("bot-bottle/7/{slug}"));
                state.deeds.push("pull request opened".to_owned());
            }
            Act::Comment => say(state, BOT, "I have done so."),
            Act::Start | Act::SayDone | Act::Exit => {}
        }
        publish(&queue, &event);
    });
}

fn commented() -> Operation {
    Operation {
        method: "post_comment".to_owned(),
        number: Some(pull()),
        outcome: OperationOutcome::Done,
        sentence: "posted comment on #8".to_owned(),
    }
}

/// As an honest sidecar does it. One bottle has one serial here.
fn publish(queue: &Path, event: &QueueEvent) {
    let name: PathBuf = format!("{}.json", event.id).into();
    let (draft, file) = (queue.join("tmp").join(&name), queue.join("new").join(&name));
    fs::write(&draft, serde_json::to_vec(event).unwrap()).unwrap();
    chown(&draft, Some(uid(1, Role::Sidecar)), None).unwrap();
    fs::rename(draft, file).unwrap();
}
