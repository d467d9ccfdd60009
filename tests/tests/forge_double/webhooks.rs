//! Webhooks: payloads, headers, signatures and order as recorded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use axum::http::HeaderMap;
use e2e::forge_double::{HookTarget, NewIssue, NewLineComment, ReviewState, sha1_hex, sha256_hex};
use serde_json::Value;

use super::{
    recordings::{Comparison, Exception, recordings, shape},
    replay::Replay,
    support::{BOT, Hooked, REPO, Receiver, Team},
};

const SECRET: &str = "s3cret";

/// What a webhook is about: event, action, and the object's number, id or ref.
fn key(event: &str, body: &Value) -> String {
    let about = [&body["comment"]["id"], &body["number"], &body["ref"]];
    let about = about.into_iter().find(|value| !value.is_null()).unwrap_or(&Value::Null);
    format!("{event} {} {about}", body["action"])
}

fn names(headers: &HeaderMap) -> BTreeSet<String> {
    headers.keys().map(|name| name.as_str().to_owned()).collect()
}

fn assert_signed(event: &str, header: impl Fn(&str) -> String, body: &str) {
    let sha256 = sha256_hex(SECRET, body.as_bytes());
    let sha1 = sha1_hex(SECRET, body.as_bytes());
    assert_eq!(header("X-Gitea-Signature"), sha256);
    assert_eq!(header("X-Gogs-Signature"), sha256);
    assert_eq!(header("X-Hub-Signature-256"), format!("sha256={sha256}"));
    assert_eq!(header("X-Hub-Signature"), format!("sha1={sha1}"));
    for name in ["X-Gitea-Event", "X-GitHub-Event", "X-Gogs-Event"] {
        assert_eq!(header(name), event, "{name}");
    }
    let delivery = header("X-Gitea-Delivery");
    assert_eq!(delivery.len(), 36, "{delivery} is no UUID");
    assert_eq!(header("X-GitHub-Delivery"), delivery);
    assert_eq!(header("X-Gogs-Delivery"), delivery);
}

#[test]
fn recorded_webhooks_are_signed_as_ours_are() {
    for (name, recording) in recordings("webhooks") {
        let event = name.split_once('-').unwrap().1;
        let header = |name: &str| recording["headers"][name].as_str().unwrap().to_owned();
        assert_signed(event, header, recording["body"].as_str().unwrap());
    }
}

/// What is not compared exactly. The recorded server filled payloads while it was still
/// counting and checking, so these depend on its timing.
const EXCEPTIONS: &[Exception] = &[
    Exception { recording: "", path: ".size", reason: "how git packs on that server's disk" },
    Exception { recording: "", path: ".open_issues_count", reason: "issues are counted later" },
    Exception {
        recording: "",
        path: ".open_pr_counter",
        reason: "pull requests are counted later",
    },
    Exception {
        recording: "014",
        path: ".mergeable",
        reason: "a check was under way after a push",
    },
    Exception {
        recording: "016",
        path: ".head.sha",
        reason: "filled after the push that followed",
    },
];

/// The recorded server took note of the first push after the pull request was made and so
/// sent one more `synchronized`; only its shape is compared.
const LATE: &str = "011";

/// The recordings without the repeats of one delivery.
fn deliveries() -> Vec<(String, Value, Value)> {
    let mut seen = BTreeSet::new();
    let all = recordings("webhooks").into_iter();
    all.filter(|(_, recording)| seen.insert(recording["headers"]["X-Gitea-Delivery"].to_string()))
        .map(|(name, recording)| {
            let body = serde_json::from_str(recording["body"].as_str().unwrap()).unwrap();
            (name, recording["headers"].clone(), body)
        })
        .collect()
}

#[tokio::test]
async fn the_recorded_actions_send_the_recorded_webhooks() {
    let calls = recordings("api");
    let mut replay = Replay::start(&calls).await;
    replay.play_all(&calls).await.finish();
    let mut ours: BTreeMap<String, VecDeque<Hooked>> = BTreeMap::new();
    for hooked in replay.webhooks().await {
        let key = key(hooked.header("X-Gitea-Event"), &hooked.json());
        ours.entry(key).or_default().push_back(hooked);
    }
    let mut comparison = Comparison::new(EXCEPTIONS);
    for (name, headers, theirs) in deliveries() {
        let event = name.split_once('-').unwrap().1;
        let queue = ours.get_mut(&key(event, &theirs)).unwrap();
        let found = if name.starts_with(LATE) { queue.front().cloned() } else { queue.pop_front() };
        let found = found.unwrap();
        assert_signed(event, |name| found.header(name).to_owned(), &found.body);
        let recorded_names = headers.as_object().unwrap().keys();
        let recorded_names: BTreeSet<String> =
            recorded_names.map(|name| name.to_ascii_lowercase()).collect();
        assert_eq!(names(&found.headers), recorded_names, "{name}");
        let payload = replay.payload(&found);
        assert_eq!(shape(&payload), shape(&theirs), "{name}");
        if !name.starts_with(LATE) {
            comparison.compare(&name, "", &theirs, &payload);
        }
    }
    comparison.finish();
}

#[tokio::test]
async fn the_recorded_actions_send_nothing_else_and_in_this_order() {
    let calls = recordings("api");
    let mut replay = Replay::start(&calls).await;
    replay.play_all(&calls).await.finish();
    let keys: Vec<String> = replay
        .webhooks()
        .await
        .iter()
        .map(|hooked| key(hooked.header("X-Gitea-Event"), &hooked.json()))
        .collect();
    let sent = |range: std::ops::Range<usize>| keys[range].join("\n");
    assert_eq!(
        sent(0..8),
        "issues \"opened\" 1\nissues \"label_updated\" 1\nissues \"assigned\" 1\n\
         issue_comment \"created\" 4\nissue_comment \"created\" 5\nissue_comment \"created\" 6\n\
         create null \"bot-bottle/implementer/1\"\npush null \"refs/heads/bot-bottle/implementer/1\""
    );
    assert_eq!(
        sent(8..16),
        "pull_request \"opened\" 2\nissue_comment \"created\" 10\n\
         pull_request_rejected \"reviewed\" 2\npull_request_approved \"reviewed\" 2\n\
         push null \"refs/heads/bot-bottle/implementer/1\"\npull_request \"synchronized\" 2\n\
         pull_request \"closed\" 2\nissues \"closed\" 1"
    );
    assert_eq!(
        sent(16..27),
        "issues \"assigned\" 3\nissues \"opened\" 3\nissues \"label_updated\" 3\n\
         issues \"unassigned\" 3\nissues \"label_updated\" 3\nissues \"closed\" 3\n\
         issues \"reopened\" 3\ncreate null \"bot-bottle/implementer/3\"\n\
         push null \"refs/heads/bot-bottle/implementer/3\"\npull_request \"opened\" 4\n\
         pull_request \"closed\" 4"
    );
    assert!(keys[27..].iter().all(|key| key.starts_with("issue_comment \"created\"")));
    assert_eq!(keys[27..].len(), 49, "one for each comment that was kept");
}

#[tokio::test]
async fn one_call_that_opens_labels_and_assigns_sends_three_full_payloads() {
    let team = Team::start().await;
    let label = team.forge.create_label("alice", REPO, "bot-bottle:implementer").await.unwrap();
    let receiver = team.listen().await;
    let new = NewIssue {
        title: "Second".to_owned(),
        body: None,
        labels: Some(vec![label]),
        assignees: Some(vec![BOT.to_owned()]),
    };
    team.forge.create_issue("alice", REPO, &new).await.unwrap();
    let sent = receiver.after(&team.forge).await;
    assert_eq!(sent, ["issues/assigned", "issues/opened", "issues/label_updated"]);
    for hooked in receiver.all() {
        let issue = &hooked.json()["issue"];
        assert_eq!(issue["labels"][0]["name"], "bot-bottle:implementer");
        assert_eq!(issue["assignees"][0]["login"], BOT);
    }
}

#[tokio::test]
async fn persons_send_the_same_webhooks_as_the_api() {
    let team = Team::start().await;
    let forge = &team.forge;
    forge.create_label("alice", REPO, "ready").await.unwrap();
    let receiver = team.listen().await;
    let new = NewIssue { title: "One".to_owned(), ..NewIssue::default() };
    let issue = forge.create_issue("bob", REPO, &new).await.unwrap();
    forge.label("alice", REPO, issue, "ready").await.unwrap();
    forge.assign("alice", REPO, issue, BOT).await.unwrap();
    let comment = forge.comment("bob", REPO, issue, "please").await.unwrap();
    forge.edit_comment("bob", REPO, comment, "pretty please").await.unwrap();
    forge.delete_comment("bob", REPO, comment).await.unwrap();
    forge.unlabel("alice", REPO, issue, "ready").await.unwrap();
    forge.unassign("alice", REPO, issue, BOT).await.unwrap();
    forge.close("alice", REPO, issue).await.unwrap();
    forge.reopen("alice", REPO, issue).await.unwrap();
    let sent = receiver.after(forge).await;
    assert_eq!(
        sent,
        [
            "issues/opened",
            "issues/label_updated",
            "issues/assigned",
            "issue_comment/created",
            "issue_comment/edited",
            "issue_comment/deleted",
            "issues/label_updated",
            "issues/unassigned",
            "issues/closed",
            "issues/reopened",
        ]
    );
    let edited = receiver.all()[4].json();
    assert_eq!(edited["changes"]["body"]["from"], "please");
    assert_eq!(edited["sender"]["login"], "bob");
}

#[tokio::test]
async fn a_pull_request_lives_from_commit_to_merge() {
    let team = Team::start().await;
    let forge = &team.forge;
    let new = NewIssue { title: "Greet".to_owned(), ..NewIssue::default() };
    let issue = forge.create_issue("alice", REPO, &new).await.unwrap();
    let receiver = team.listen().await;
    forge.commit_file(BOT, REPO, "topic", ("hello.txt", "hello\n")).await.unwrap();
    let text = NewIssue {
        title: "Greeting".to_owned(),
        body: Some(format!("Fixes #{issue}")),
        ..NewIssue::default()
    };
    let pull = forge.create_pull(BOT, REPO, ("topic", "main"), text).await.unwrap();
    let line = NewLineComment {
        path: "hello.txt".to_owned(),
        body: "louder".to_owned(),
        new_position: 1,
        old_position: 0,
    };
    let review = (ReviewState::Comment, "hm");
    let review = forge.review("alice", REPO, pull, review, vec![line]).await.unwrap();
    forge.merge("alice", REPO, pull).await.unwrap();
    let sent = receiver.after(forge).await;
    assert_eq!(
        sent,
        [
            "create/-",
            "push/-",
            "pull_request/opened",
            "pull_request_comment/reviewed",
            "pull_request/closed",
            "issues/closed",
        ]
    );
    let path = format!("/repos/{REPO}/pulls/{pull}/reviews/{review}/comments");
    let lines = team.api(BOT, "GET", &path, Value::Null).await.json();
    assert_eq!(lines[0]["body"], "louder");
    assert_eq!(lines[0]["position"], 1);
    assert!(lines[0]["diff_hunk"].as_str().unwrap().ends_with("+hello\n"));
    assert_eq!(forge.file_at(REPO, "main", "hello.txt").await.as_deref(), Some("hello\n"));
    assert_eq!(forge.log(REPO, "main").await[0].parents.len(), 2);
}

#[tokio::test]
async fn each_subscription_brings_its_own_events_only() {
    let team = Team::start().await;
    let forge = &team.forge;
    let label = forge.create_label("alice", REPO, "ready").await.unwrap();
    let rows: [(&str, &[&str]); 8] = [
        ("issue_label", &["issues/label_updated", "issues/label_updated"]),
        ("issue_assign", &["issues/assigned"]),
        ("issue_comment", &["issue_comment/created"]),
        ("push", &["push/-"]),
        ("create", &["create/-"]),
        ("pull_request_comment", &["issue_comment/created"]),
        ("pull_request_review_rejected", &["pull_request_rejected/reviewed"]),
        ("delete", &["delete/-"]),
    ];
    let mut receivers = Vec::new();
    for (subscription, expected) in rows {
        let receiver = Receiver::start().await;
        let (url, secret) = (receiver.url.clone(), SECRET.to_owned());
        let target = HookTarget { url, secret, events: vec![subscription.to_owned()] };
        forge.create_hook("alice", REPO, target).await.unwrap();
        receivers.push((subscription, receiver, expected));
    }
    let labels = Some(vec![label]);
    let new = NewIssue { title: "One".to_owned(), labels, ..NewIssue::default() };
    let issue = forge.create_issue("alice", REPO, &new).await.unwrap();
    forge.unlabel("alice", REPO, issue, "ready").await.unwrap();
    forge.assign("alice", REPO, issue, BOT).await.unwrap();
    forge.comment("bob", REPO, issue, "on the issue").await.unwrap();
    forge.commit_file(BOT, REPO, "topic", ("x.txt", "x\n")).await.unwrap();
    let text = NewIssue { title: "Two".to_owned(), ..NewIssue::default() };
    let pull = forge.create_pull(BOT, REPO, ("topic", "main"), text).await.unwrap();
    forge.comment("bob", REPO, pull, "on the pull request").await.unwrap();
    let verdict = (ReviewState::RequestChanges, "no");
    forge.review("alice", REPO, pull, verdict, Vec::new()).await.unwrap();
    forge.close("alice", REPO, pull).await.unwrap();
    forge.delete_branch(BOT, REPO, "topic").await.unwrap();
    for (subscription, receiver, expected) in receivers {
        assert_eq!(receiver.after(forge).await, expected, "{subscription}");
    }
}
