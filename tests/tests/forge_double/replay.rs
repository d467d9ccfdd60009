//! Every recorded request, in order, gets the recorded answer.

use axum::http::Method;
use e2e::forge_double::{Fault, FaultKind, ForgeDouble, Options};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    recordings::{Comparison, Exception, RECORDED_HOOK, RECORDED_URL, Recording, recordings},
    support::{BOT, Hooked, PATIENCE, REPO, Receiver, Reply, WorkTree, try_call, with_credentials},
};

/// What is not compared exactly. Hashes and times are never equal and are compared as such.
const EXCEPTIONS: &[Exception] = &[
    Exception { recording: "", path: ".size", reason: "how git packs on that server's disk" },
    Exception { recording: "38", path: ".open_pr_counter", reason: "38 counted before it was in" },
    Exception { recording: "60", path: ".open_pr_counter", reason: "60 counted before it was in" },
    Exception { recording: "44", path: ".mergeable", reason: "a check was under way after a push" },
];

/// What the recorded calls did that 1.25 does not describe.
const UNDESCRIBED: [&str; 3] = [
    "POST /repos/{owner}/{repo}/issues.body: null is no string",
    "GET /repos/{owner}/{repo}/issues/{index}/comments: ?limit: no such parameter",
    "GET /repos/{owner}/{repo}/issues/{index}/comments: ?page: no such parameter",
];

/// A forge on which the recordings are played again.
pub(crate) struct Replay {
    pub(crate) forge: ForgeDouble,
    receiver: Receiver,
    tree: Option<WorkTree>,
    /// Numbers of the burst of comments that the recorded server lost.
    lost: Vec<u32>,
}

/// Comments in the recorded burst.
const BURST: u32 = 55;

impl Replay {
    /// The accounts the recorded server had, in the order of their ids.
    pub(crate) async fn start(all: &[Recording]) -> Self {
        let forge = ForgeDouble::start(Options::default()).await.unwrap();
        forge.create_site_admin("root_admin").await.unwrap();
        for login in ["alice", "bob", BOT, "mallory"] {
            forge.create_user(login).await.unwrap();
        }
        let (_, burst) = all.iter().find(|(name, _)| name.starts_with("117")).unwrap();
        let kept = burst["response"]["body"].as_str().unwrap();
        let is_lost = |number: &u32| !kept.contains(&format!("\"bulk {number}\""));
        let lost = (0..BURST).filter(is_lost).collect();
        Self { forge, receiver: Receiver::start().await, tree: None, lost }
    }

    /// What happened on the recorded server between recordings.
    async fn before(&mut self, name: &str) {
        match name.split('-').next().unwrap() {
            "38" => {
                let token = self.forge.token(BOT).unwrap();
                let url = with_credentials(&self.forge.clone_url(REPO), BOT, &token);
                let tree = WorkTree::clone(&url).await;
                tree.git(&["checkout", "--quiet", "-b", "bot-bottle/implementer/1"]).await;
                tree.commit("hello.txt", b"hello\n", "Add a greeting (#1)").await;
                tree.git(&["push", "--quiet", "origin", "HEAD"]).await;
                self.tree = Some(tree);
            }
            // The recorded server took note of the push only after the pull request was made,
            // which gave that one an entry in its timeline.
            "39" => self.forge.skip_comment_ids(1),
            "53" => {
                let tree = self.tree.as_ref().unwrap();
                tree.commit("hello.txt", b"hello world\n", "Say hello world").await;
                tree.git(&["push", "--quiet", "origin", "HEAD"]).await;
            }
            "60" => {
                let tree = self.tree.as_ref().unwrap();
                let branch = "bot-bottle/implementer/3";
                tree.git(&["checkout", "--quiet", "-b", branch, "origin/main"]).await;
                tree.commit("b.txt", b"b\n", "b").await;
                tree.git(&["push", "--quiet", "origin", "HEAD"]).await;
            }
            "062" => {
                self.burst(0..42).await;
                self.fail_comment(42);
            }
            "117" => self.burst(43..BURST).await,
            _ => {}
        }
    }

    async fn burst(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.fail_comment(number);
            let body = json!({ "body": format!("bulk {number}") });
            let path = format!("/api/v1/repos/{REPO}/issues/3/comments");
            let reply = self.call("POST", &path, &json!("bob"), Some(&body)).await;
            assert_eq!(reply.status == 500, self.lost.contains(&number));
        }
    }

    /// The recorded 500s came at random; here they are planned.
    fn fail_comment(&self, number: u32) {
        if self.lost.contains(&number) {
            let fault = Fault::new(FaultKind::Status(500));
            self.forge.fault(fault.on(Method::POST, "/issues/3/comments"));
        }
    }

    async fn call(&self, method: &str, path: &str, user: &Value, body: Option<&Value>) -> Reply {
        let token = user.as_str().map(|user| self.forge.token(user).unwrap());
        let authorization = token.map(|token| format!("token {token}"));
        let url = format!("{}{path}", self.forge.base_url());
        try_call(method, &url, authorization.as_deref(), body).await.unwrap()
    }

    /// Plays one recording.
    async fn play(&mut self, name: &str, request: &Value, comparison: &Comparison) -> Reply {
        self.before(name).await;
        let method = request["method"].as_str().unwrap();
        let path = comparison.our_hashes(request["path"].as_str().unwrap());
        let body = request["body"].to_string().replace(RECORDED_HOOK, &self.receiver.url);
        let body: Value = serde_json::from_str(&body).unwrap();
        let body = if body.is_null() { None } else { Some(&body) };
        if name.ends_with("bad-token") {
            let url = format!("{}{path}", self.forge.base_url());
            return try_call(method, &url, Some("token 0123456789"), body).await.unwrap();
        }
        self.call(method, &path, &request["as"], body).await
    }

    /// Our text with the addresses of the recorded server.
    fn recorded_addresses(&self, text: &str) -> String {
        let text = text.replace(&self.receiver.url, RECORDED_HOOK);
        text.replace(self.forge.base_url(), RECORDED_URL)
    }

    /// Plays all recordings, comparing as it goes.
    pub(crate) async fn play_all(&mut self, all: &[Recording]) -> Comparison {
        let mut comparison = Comparison::new(EXCEPTIONS);
        for (name, recording) in all {
            let reply = self.play(name, &recording["request"], &comparison).await;
            let recorded = &recording["response"];
            let header = |header: &str| reply.header(header).map_or(Value::Null, Value::from);
            let headers = &recorded["headers"];
            for (what, theirs, ours) in [
                ("status", &recorded["status"], json!(reply.status)),
                ("Content-Type", &headers["Content-Type"], header("Content-Type")),
                ("X-Total-Count", &headers["X-Total-Count"], header("X-Total-Count")),
            ] {
                comparison.compare(name, what, theirs, &ours);
            }
            let theirs = recorded["body"].as_str().unwrap();
            let ours = self.recorded_addresses(&reply.text);
            match (serde_json::from_str(theirs), serde_json::from_str(&ours)) {
                (Ok(theirs), Ok(ours)) => {
                    comparison.compare(name, "", &theirs, &ours);
                    assert!(reply.text.ends_with('\n'), "{name}: Gitea ends JSON with a newline");
                }
                _ => comparison.compare(name, "text", &theirs.into(), &ours.into()),
            }
        }
        assert_eq!(self.forge.take_violations(), UNDESCRIBED);
        comparison
    }

    /// The webhooks that came of it, with the addresses of the recorded server.
    pub(crate) async fn webhooks(&self) -> Vec<Hooked> {
        timeout(PATIENCE, self.forge.deliveries_settled()).await.unwrap();
        self.receiver.all()
    }

    /// A webhook's body with the addresses of the recorded server.
    pub(crate) fn payload(&self, hooked: &Hooked) -> Value {
        serde_json::from_str(&self.recorded_addresses(&hooked.body)).unwrap()
    }
}

#[tokio::test]
async fn every_recorded_request_gets_the_recorded_answer() {
    let all = recordings("api");
    let mut replay = Replay::start(&all).await;
    let comparison = replay.play_all(&all).await;
    comparison.finish();
}
