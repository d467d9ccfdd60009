//! The values that the golden messages are made of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use protocol::{
    agent::{Context, DoneReceipt, DoneStatus, OpenedPr, ProgressItem, RunExit, WritesLeft},
    control::Usage,
    event::{Happening, Operation, OperationOutcome, QueueEvent, VERSION},
    grant::{ForgeAccess, ForgeKind, GitIdentity, Grant, PromptVia, RunSpec, Secrets},
    ids::IssueNumber,
    item::{
        Check, CheckState, CiReport, Comment, Issue, IssueState, PullRequest, PullState, Review,
        ReviewComment, Verdict,
    },
    operator::{
        BottlePage, BottleStatus, Condition, Explanation, LogLine, Logs, Outcome, Output,
        OutputPiece, Pruned, StartRequest, Status, Subject,
    },
    secret::Secret,
};

/// The one secret in all golden messages.
pub(crate) const CANARY: &str = "canary-5f2b9c0d7e";

/// A name of any type.
pub(crate) fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn number(number: u64) -> IssueNumber {
    number.try_into().unwrap()
}

pub(crate) fn at(second: u8) -> Timestamp {
    format!("2026-03-01T10:00:{second:02}Z").parse().unwrap()
}

pub(crate) fn issue() -> Issue {
    Issue {
        number: number(17),
        title: "Widgets squeak".to_owned(),
        body: "They do.\n\n\"Oil\" them \u{1f6e2}.".to_owned(),
        state: IssueState::Open,
        author: id("alice"),
        labels: vec!["bot-bottle:implementer".to_owned(), "bug".to_owned()],
        assignees: vec![id("widget-bot")],
        comments: 1,
        created_at: at(0),
        updated_at: at(1),
        url: "https://git.example.org/alice/widget/issues/17".to_owned(),
    }
}

pub(crate) fn pull_request() -> PullRequest {
    PullRequest {
        number: number(18),
        title: "Oil the widgets".to_owned(),
        body: "Closes #17".to_owned(),
        state: PullState::Open,
        author: id("widget-bot"),
        head_branch: "bot-bottle/17/implementer-k3v9q".to_owned(),
        head_repo: Some("alice/widget".to_owned()),
        head_sha: "5d6e7f8a9b0c1d2e3f405d6e7f8a9b0c1d2e3f40".to_owned(),
        base_branch: "main".to_owned(),
        mergeable: None,
        created_at: at(2),
        updated_at: at(3),
        url: "https://git.example.org/alice/widget/pulls/18".to_owned(),
    }
}

pub(crate) fn comment() -> Comment {
    Comment {
        id: 301,
        author: id("widget-bot"),
        body: "On it.".to_owned(),
        created_at: at(4),
        updated_at: at(4),
        url: "https://git.example.org/alice/widget/issues/17#issuecomment-301".to_owned(),
    }
}

pub(crate) fn review() -> Review {
    let remark = |line| ReviewComment {
        id: 302,
        author: id("alice"),
        path: "src/widget.rs".to_owned(),
        line,
        body: "More oil.".to_owned(),
    };
    Review {
        id: 9,
        author: id("alice"),
        verdict: Verdict::ChangesRequested,
        body: "Nearly.".to_owned(),
        commit: "5d6e7f8a9b0c1d2e3f405d6e7f8a9b0c1d2e3f40".to_owned(),
        submitted_at: at(5),
        comments: vec![remark(Some(12)), remark(None)],
    }
}

pub(crate) fn ci_report() -> CiReport {
    CiReport {
        sha: "5d6e7f8a9b0c1d2e3f405d6e7f8a9b0c1d2e3f40".to_owned(),
        state: Some(CheckState::Failure),
        checks: vec![Check {
            name: "ci/test".to_owned(),
            state: CheckState::Failure,
            description: "1 of 12 failed".to_owned(),
            url: "https://ci.example.org/7".to_owned(),
        }],
    }
}

pub(crate) fn opened_pr() -> OpenedPr {
    OpenedPr { pull_request: pull_request(), existed: false }
}

pub(crate) fn progress() -> Vec<ProgressItem> {
    let item = |text: &str, done| ProgressItem { text: text.to_owned(), done };
    vec![item("find the squeak", true), item("oil it", false)]
}

pub(crate) fn receipt() -> DoneReceipt {
    DoneReceipt {
        run: id("implementer-k3v9q.1"),
        status: DoneStatus::Success,
        summary: "Oiled.".to_owned(),
        counted: true,
    }
}

pub(crate) fn context() -> Context {
    Context {
        slug: id("implementer-k3v9q"),
        agent: id("implementer"),
        run: Some(id("implementer-k3v9q.1")),
        repo: id("alice/widget"),
        clone_url: "https://git.example.org/alice/widget.git".to_owned(),
        issue: Some(number(17)),
        pull_requests: vec![number(18)],
        base: id("main"),
        branch: id("bot-bottle/17/implementer-k3v9q"),
        git_name: "Widget Bot".to_owned(),
        git_email: "widget-bot@example.org".to_owned(),
        writes_left: WritesLeft { this_minute: 29, today: 499 },
    }
}

pub(crate) fn run_spec() -> RunSpec {
    RunSpec {
        run: id("implementer-k3v9q.1"),
        command: vec!["agent".to_owned(), "--print".to_owned(), "{prompt}".to_owned()],
        prompt_via: PromptVia::Argument,
        prompt: "Resolve issue #17.".to_owned(),
        env: BTreeMap::from([("AGENT_MODE".to_owned(), "quiet".to_owned())]),
    }
}

pub(crate) fn run_exit() -> RunExit {
    RunExit { code: 137, output_tail: "working\nkilled\n".to_owned() }
}

pub(crate) fn grant() -> Grant {
    Grant {
        slug: id("implementer-k3v9q"),
        agent: id("implementer"),
        forge: ForgeAccess {
            id: id("home"),
            kind: ForgeKind::Gitea,
            url: "https://git.example.org/".parse().unwrap(),
            ca_pem: None,
        },
        repo: id("alice/widget"),
        issue: Some(number(17)),
        pull_requests: vec![number(18)],
        base: id("main"),
        branch: id("bot-bottle/17/implementer-k3v9q"),
        identity: GitIdentity {
            login: id("widget-bot"),
            name: "Widget Bot".to_owned(),
            email: "widget-bot@example.org".to_owned(),
        },
    }
}

pub(crate) fn secrets() -> Secrets {
    Secrets { forge_token: Secret::parse(CANARY).unwrap() }
}

pub(crate) fn usage() -> Usage {
    Usage {
        nonce: Some(id("0123456789abcdef")),
        run: Some(id("implementer-k3v9q.1")),
        bottle_waiting: false,
        reads: 12,
        writes: 3,
        refusals: 1,
        queued_events: 0,
    }
}

/// One event of each kind.
pub(crate) fn events() -> Vec<QueueEvent> {
    let operation = Operation {
        method: "post_comment".to_owned(),
        number: Some(number(500)),
        outcome: OperationOutcome::Refused,
        sentence: "refused: write to #500, writable 17, 42".to_owned(),
    };
    let done = Happening::Done { status: DoneStatus::Success, summary: "Oiled.".to_owned() };
    let exited = Happening::Exited { code: 0, output_tail: "bye\n".to_owned() };
    let kinds = [
        Happening::RunStarted {},
        Happening::CheckIn { reads: 4, unlisted: 0 },
        Happening::Operation { operation },
        Happening::PrOpened { number: number(18) },
        done,
        exited,
    ];
    let event = |(sequence, what): (u32, Happening)| QueueEvent {
        version: VERSION,
        id: id(&format!("0123456789abcdef-{sequence:08}")),
        slug: id("implementer-k3v9q"),
        run: Some(id("implementer-k3v9q.1")),
        at: at(30),
        what,
    };
    (1..).zip(kinds).map(event).collect()
}

pub(crate) fn start_request() -> StartRequest {
    StartRequest {
        agent: id("implementer"),
        bottles: vec![id("default"), id("large")],
        prompt: "Look around.".to_owned(),
        label: Some("trial".to_owned()),
        backend: None,
        repo: Some(id("alice/widget")),
        issue: None,
    }
}

pub(crate) fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        slots: 4,
        slots_used: 1,
        kill_switch: false,
        last_delivery_at: Some(at(39)),
        notes: vec!["the disk is nearly full".to_owned()],
        next: Some(17),
        bottles: vec![bottle_status()],
    }
}

pub(crate) fn bottle_page() -> BottlePage {
    BottlePage { bottles: vec![bottle_status()], next: None }
}

pub(crate) fn bottle_status() -> BottleStatus {
    BottleStatus {
        slug: id("implementer-k3v9q"),
        agent_name: id("implementer"),
        bottle_names: vec![id("default")],
        backend_name: "docker".to_owned(),
        agent_git_user: id("widget-bot"),
        repo: id("alice/widget"),
        issue_number: Some(number(17)),
        pr_number: Some(number(18)),
        status: "frozen".to_owned(),
        detail: "hot".to_owned(),
        label: None,
        runs: 1,
        last_checkin_at: Some(at(40)),
        created_at: at(0),
    }
}

pub(crate) fn subject() -> Subject {
    "alice/widget#17".parse().unwrap()
}

pub(crate) fn explanation() -> Explanation {
    Explanation {
        repo: id("alice/widget"),
        number: number(17),
        runs: false,
        code: Some("no_agent_label".to_owned()),
        bottle: None,
        checks: vec![Condition {
            rule: "agent_labelled".to_owned(),
            outcome: Outcome::Fail,
            code: Some("no_agent_label".to_owned()),
            sentence: "no label asks for an agent".to_owned(),
        }],
    }
}

pub(crate) fn output() -> Output {
    Output { pieces: vec![OutputPiece { at: at(41), text: "bye\n".to_owned() }], ended: true }
}

pub(crate) fn pruned() -> Pruned {
    Pruned { bottles: vec![id("implementer-k3v9q")], logs: vec![id("implementer-bcdfg")] }
}

pub(crate) fn logs() -> Logs {
    let sentence = "posted comment on #17".to_owned();
    Logs { lines: vec![LogLine { position: 8, at: at(41), sentence }], output: "bye\n".to_owned() }
}
