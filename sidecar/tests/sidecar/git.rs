//! The git gate, with real git on both sides: the client through the bottle's own forwarder.

use std::{path::PathBuf, time::Duration};

use protocol::{
    agent::{AgentRpcClient as _, DoneStatus},
    control::ControlRpcClient as _,
    error::ErrorCode,
    event::Happening,
    limits::GIT_PACK_MAX_BYTES,
};
use sidecar::phase::Settings;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UnixStream},
    task::JoinSet,
};

use crate::{
    fake_forge::number,
    git_server::{GitServer, Mode, git, git_ok},
    harness::{BRANCH, Bottle, TOKEN, eventually, refused, settings},
};

/// A bottle with a clone of its repository.
struct Clone {
    bottle: Bottle,
    forge: GitServer,
    /// `http://127.0.0.1:<port>/git/`
    base: String,
    work: PathBuf,
    _forwarder: JoinSet<()>,
}

impl Clone {
    async fn new() -> Self {
        Self::with(settings()).await
    }

    async fn with(settings: Settings) -> Self {
        let forge = GitServer::start().await;
        let bottle = Bottle::at_work_at(&forge.url, settings).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/git/", listener.local_addr().unwrap());
        let socket = bottle.dir.path().join("agent/agent.sock");
        let mut forwarder = JoinSet::new();
        forwarder.spawn(sidecar::bottle::init::forward::serve(listener, socket));
        let url = format!("{base}alice/widget.git");
        git_ok(bottle.dir.path(), &["clone", "-q", &url, "work"]).await;
        let work = bottle.dir.path().join("work");
        Self { bottle, forge, base, work, _forwarder: forwarder }
    }

    async fn commit(&self, bytes: usize) {
        // Not compressible, so that the pack is as large.
        let noise: Vec<u8> = std::iter::repeat_with(rand::random::<u8>).take(bytes).collect();
        std::fs::write(self.work.join("file"), noise).unwrap();
        git_ok(&self.work, &["add", "."]).await;
        git_ok(&self.work, &["commit", "-qm", "change"]).await;
    }

    async fn push(&self, args: &[&str]) -> (bool, String) {
        git(&self.work, &[&["push", "origin"], args].concat()).await
    }

    fn to_branch() -> String {
        format!("HEAD:refs/heads/{BRANCH}")
    }

    /// Requests that would change something.
    fn pushes_seen(&self) -> usize {
        self.forge
            .asked()
            .iter()
            .filter(|(line, _)| line.starts_with("POST") && line.ends_with("receive-pack"))
            .count()
    }

    async fn raw(&self, request: &str) -> String {
        let path = self.bottle.dir.path().join("agent/agent.sock");
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

#[tokio::test]
async fn clone_fetch_and_push_of_the_own_branch_work() {
    let clone = Clone::new().await;
    assert_eq!(std::fs::read_to_string(clone.work.join("README.md")).unwrap(), "widget\n");
    clone.commit(100).await;
    let (done, said) = clone.push(&[&Clone::to_branch()]).await;
    assert!(done, "{said}");
    let first = clone.forge.at(BRANCH).await.unwrap();
    clone.commit(100).await;
    assert!(clone.push(&[&Clone::to_branch()]).await.0);
    let second = clone.forge.at(BRANCH).await.unwrap();
    git_ok(&clone.work, &["fetch", "-q", "origin"]).await;
    assert_eq!(
        git_ok(&clone.work, &["rev-parse", &format!("origin/{BRANCH}")]).await.trim(),
        second
    );
    assert_eq!(
        clone.bottle.sentences(),
        [
            format!("pushed {BRANCH} {} (new)", &first[..7]),
            format!("pushed {BRANCH} {}..{}", &first[..7], &second[..7]),
        ]
    );
    let usage = clone.bottle.control.usage().await.unwrap();
    assert_eq!(usage.writes, 2);
    assert!(usage.reads >= 2, "{usage:?}");
}

#[tokio::test]
async fn a_forced_push_of_the_own_branch_works() {
    let clone = Clone::new().await;
    clone.commit(100).await;
    assert!(clone.push(&[&Clone::to_branch()]).await.0);
    git_ok(&clone.work, &["commit", "-q", "--amend", "-m", "better"]).await;
    assert!(!clone.push(&[&Clone::to_branch()]).await.0);
    let (done, said) = clone.push(&["--force", &Clone::to_branch()]).await;
    assert!(done, "{said}");
}

#[tokio::test]
async fn a_large_push_that_git_probes_first_works() {
    let clone = Clone::new().await;
    clone.commit(3 << 20).await;
    let (done, said) = clone.push(&[&Clone::to_branch()]).await;
    assert!(done, "{said}");
    assert_eq!(clone.pushes_seen(), 1, "the probe went to the forge");
    assert_eq!(clone.bottle.sentences().len(), 1, "the probe was recorded");
}

#[tokio::test]
async fn a_pack_over_the_bound_is_refused_with_its_reason() {
    let clone = Clone::new().await;
    clone.commit(GIT_PACK_MAX_BYTES + (1 << 20)).await;
    let (done, said) = clone.push(&[&Clone::to_branch()]).await;
    assert!(!done && said.contains("the pack has more than 50 MiB"), "{said}");
    let reason = format!("failed: push to {BRANCH}: the pack has more than 50 MiB");
    assert_eq!(clone.bottle.sentences(), [reason]);
    assert_eq!(clone.forge.at(BRANCH).await, None);
}

// CASES 66-70
#[tokio::test]
async fn pushes_of_anything_else_never_reach_the_forge() {
    let clone = Clone::new().await;
    clone.commit(100).await;
    git_ok(&clone.work, &["tag", "v1"]).await;
    let own = Clone::to_branch();
    let upper = format!("HEAD:refs/heads/{}", BRANCH.to_uppercase());
    let (longer, below) = (format!("{own}x"), format!("{own}/x"));
    let not_ours = "not this bottle's branch, allowed is bot-bottle/17/implementer-k3v9q";
    let cases: [(&[&str], &str); 9] = [
        (&["HEAD:refs/heads/main"], not_ours),
        (&["v1"], not_ours),
        (&[&upper], not_ours),
        (&[&longer], not_ours),
        (&[&below], not_ours),
        (&["HEAD:refs/for/main"], not_ours),
        (&[&own, "HEAD:refs/heads/main"], "push it alone"),
        (&["--atomic", &own, "v1"], not_ours),
        (&["HEAD:refs/notes/x"], not_ours),
    ];
    for (args, reason) in cases {
        let (done, said) = clone.push(args).await;
        assert!(
            !done && said.contains("[remote rejected]") && said.contains(reason),
            "{args:?}: {said}"
        );
    }
    assert_eq!(clone.pushes_seen(), 0);
    assert_eq!(clone.forge.refs().await, "refs/heads/main\n");
    let sentences = clone.bottle.sentences();
    assert_eq!(sentences[0], format!("refused: push to main, allowed is {BRANCH}"));
    assert_eq!(sentences[1], format!("refused: push to refs/tags/v1, allowed is {BRANCH}"));
    assert_eq!(sentences.len(), 9);
}

// CASES 68, 69
#[tokio::test]
async fn deleting_push_options_and_signatures_are_refused() {
    let clone = Clone::new().await;
    clone.commit(100).await;
    assert!(clone.push(&[&Clone::to_branch()]).await.0);
    // Git asks first whether the other side can delete, or take options; it is told no.
    let (done, _) = clone.push(&["--delete", BRANCH]).await;
    assert!(!done && clone.forge.at(BRANCH).await.is_some());
    clone.commit(100).await;
    let (done, said) =
        clone.push(&["-o", "repo.private=false", &format!("+{}", Clone::to_branch())]).await;
    assert!(!done && said.contains("push options"), "{said}");
    let (done, said) = clone.push(&["--signed=true", &Clone::to_branch()]).await;
    assert!(!done && said.contains("does not support --signed"), "{said}");
    assert_eq!(clone.pushes_seen(), 1);
}

// CASES 69: a client that does not ask what is offered.
#[tokio::test]
async fn a_client_that_takes_what_was_not_offered_is_refused() {
    let clone = Clone::new().await;
    let (one, two) = ("1".repeat(40), "2".repeat(40));
    let line = format!("{one} {two} refs/heads/{BRANCH}\0report-status push-options");
    let body = format!("{:04x}{line}00000016repo.private=true0000", line.len() + 4);
    let request = |body: &str, extra: &str| {
        format!(
            "POST /git/alice/widget.git/git-receive-pack HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-git-receive-pack-request\r\n{extra}content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let answer = clone.raw(&request(&body, "")).await;
    assert!(
        answer.contains("ng refs/heads/") && answer.contains("push-options is not allowed"),
        "{answer}"
    );
    let gzip = clone.raw(&request(&body, "content-encoding: gzip\r\n")).await;
    assert!(gzip.starts_with("HTTP/1.1 415"), "{gzip}");
    for bad in ["PACK", "zzzz", "0008abcd0000", "ffff"] {
        let answer = clone.raw(&request(bad, "")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{bad}: {answer}");
    }
    let probe = clone.raw(&request("0000", "")).await;
    assert!(probe.starts_with("HTTP/1.1 200") && probe.ends_with("\r\n\r\n"), "{probe}");
    assert_eq!(clone.pushes_seen(), 0);
}

// CASES 44
#[tokio::test]
async fn only_the_bound_repository_is_served() {
    let clone = Clone::new().await;
    let seen = clone.forge.asked().len();
    let (done, said) =
        git(&clone.work, &["ls-remote", &format!("{}alice/other.git", clone.base)]).await;
    assert!(!done && said.contains("not found"), "{said}");
    for path in [
        "alice/other.git/info/refs?service=git-upload-pack",
        "ALICE/widget.git/info/refs?service=git-upload-pack",
        "alice/widget.git/../other.git/info/refs?service=git-upload-pack",
        "alice%2fwidget.git/info/refs?service=git-upload-pack",
        "alice/widget/info/refs?service=git-upload-pack",
        "alice/widget.git/info/refs",
        "alice/widget.git/info/refs?service=git-upload-archive",
        "alice/widget.git/HEAD",
        "alice/widget.git/objects/info/packs",
        "",
    ] {
        let answer = clone
            .raw(&format!("GET /git/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
            .await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    assert_eq!(clone.forge.asked().len(), seen);
}

#[tokio::test]
async fn only_the_credential_and_the_protocol_are_added_to_a_request() {
    let clone = Clone::new().await;
    clone.commit(100).await;
    git_ok(&clone.work, &["config", "http.extraHeader", "X-Evil: 1"]).await;
    git_ok(&clone.work, &["config", "http.cookieFile", "/dev/null"]).await;
    assert!(clone.push(&[&Clone::to_branch()]).await.0);
    git_ok(&clone.work, &["fetch", "-q"]).await;
    for (line, headers) in clone.forge.asked() {
        let mut names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
        names.retain(|name| {
            ![
                "accept",
                "authorization",
                "content-length",
                "content-type",
                "git-protocol",
                "host",
                "transfer-encoding",
                "user-agent",
            ]
            .contains(name)
        });
        assert!(names.is_empty(), "{line}: {names:?}");
        assert!(headers["authorization"].as_bytes().starts_with(b"Basic "));
    }
    let versions: Vec<_> = clone
        .forge
        .asked()
        .iter()
        .filter_map(|(_, headers)| headers.get("git-protocol").cloned())
        .collect();
    assert!(
        !versions.is_empty() && versions.iter().all(|version| version == "version=2"),
        "{versions:?}"
    );
}

// CASES 80
#[tokio::test]
async fn a_forge_that_fails_or_redirects_gives_a_reason() {
    let clone = Clone::new().await;
    clone.commit(100).await;
    for (mode, status) in [
        (Mode::Status(401), 502),
        (Mode::Status(403), 502),
        (Mode::Status(500), 502),
        (Mode::Redirect, 404),
        (Mode::Status(200), 502),
    ] {
        clone.forge.set(mode);
        let request = "GET /git/alice/widget.git/info/refs?service=git-upload-pack HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let answer = clone.raw(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{mode:?}: {answer}");
        assert!(!answer.contains(TOKEN) && !answer.contains("127.0.0.1"), "{answer}");
        assert!(!clone.push(&[&Clone::to_branch()]).await.0);
    }
    let sentences = clone.bottle.sentences();
    assert_eq!(
        sentences[0],
        "failed: fetch alice/widget: the forge refuses the agent's credential for this repository"
    );
    assert_eq!(
        sentences[1],
        format!(
            "failed: push to {BRANCH}: the forge refuses the agent's credential for this repository"
        )
    );
}

// CASES 60
#[tokio::test]
async fn done_waits_for_the_push_in_flight() {
    let patient = Settings { push_patience: Duration::from_secs(20), ..settings() };
    let clone = Clone::with(patient).await;
    clone.commit(100).await;
    clone.forge.set(Mode::SlowPush(Duration::from_millis(400)));
    let own = Clone::to_branch();
    let own = [own.as_str()];
    let push = clone.push(&own);
    let done = async {
        eventually("the push at the forge", || clone.pushes_seen() == 1).await;
        clone.bottle.agent.signal_done(DoneStatus::Success, "pushed".to_owned()).await.unwrap()
    };
    let ((pushed, said), done) = tokio::join!(push, done);
    assert!(pushed && done.counted, "{said}");
    let events = clone.bottle.events();
    let place =
        |wanted: fn(&Happening) -> bool| events.iter().position(|event| wanted(&event.what));
    let pushed = place(|what| matches!(what, Happening::Operation { .. }));
    let told = place(|what| matches!(what, Happening::Done { .. }));
    assert!(pushed.is_some() && pushed < told, "{events:?}");
}

#[tokio::test]
async fn done_does_not_wait_for_ever_for_a_push() {
    let clone = Clone::new().await;
    clone.commit(100).await;
    clone.forge.set(Mode::SlowPush(Duration::from_secs(2)));
    let own = Clone::to_branch();
    let own = [own.as_str()];
    let push = clone.push(&own);
    let done = async {
        eventually("the push at the forge", || clone.pushes_seen() == 1).await;
        refused(clone.bottle.agent.signal_done(DoneStatus::Success, "x".to_owned()).await)
    };
    let ((pushed, _), error) = tokio::join!(push, done);
    assert!(pushed);
    assert_eq!(error.data.kind, ErrorCode::Conflict);
}

#[tokio::test]
async fn a_push_ends_and_is_recorded_although_its_client_has_gone() {
    let clone = Clone::new().await;
    clone.commit(100).await;
    clone.forge.set(Mode::SlowPush(Duration::from_millis(300)));
    let own = Clone::to_branch();
    let own = [own.as_str()];
    let mut gone = JoinSet::new();
    let (work, spec) = (clone.work.clone(), own[0].to_owned());
    gone.spawn(async move { git(&work, &["push", "origin", &spec]).await });
    eventually("the push at the forge", || clone.pushes_seen() == 1).await;
    gone.shutdown().await;
    eventually("the record", || !clone.bottle.sentences().is_empty()).await;
    assert!(clone.bottle.sentences()[0].starts_with(&format!("pushed {BRANCH} ")));
    assert!(clone.forge.at(BRANCH).await.is_some());
}

// CASES 94
#[tokio::test]
async fn a_drain_waits_for_the_push_in_flight() {
    let patient = Settings { drain_patience: Duration::from_secs(20), ..settings() };
    let clone = Clone::with(patient).await;
    clone.commit(100).await;
    clone.forge.set(Mode::SlowPush(Duration::from_millis(300)));
    let own = Clone::to_branch();
    let own = [own.as_str()];
    let push = clone.push(&own);
    let drain = async {
        eventually("the push at the forge", || clone.pushes_seen() == 1).await;
        clone.bottle.control.drain().await.unwrap()
    };
    let ((pushed, said), drained) = tokio::join!(push, drain);
    assert!(pushed, "{said}");
    assert_eq!(drained.cut, 0);
    let (done, said) = git(&clone.work, &["fetch"]).await;
    assert!(!done && said.contains("503"), "{said}");
}

#[tokio::test]
async fn pushes_count_as_writes() {
    let clone = Clone::new().await;
    for _ in 0..30 {
        clone.bottle.agent.update_description(number(17), "x".to_owned()).await.unwrap();
    }
    clone.commit(100).await;
    let (done, said) = clone.push(&[&Clone::to_branch()]).await;
    assert!(!done && said.contains("30 writes per minute are used up"), "{said}");
    assert_eq!(clone.pushes_seen(), 0);
}

#[tokio::test]
async fn the_ways_out_are_closed() {
    let clone = Clone::new().await;
    for (request, status) in [
        ("CONNECT evil:443 HTTP/1.1\r\nhost: evil:443\r\nconnection: close\r\n\r\n", 403),
        ("GET http://evil/ HTTP/1.1\r\nhost: evil\r\nconnection: close\r\n\r\n", 403),
        (
            "POST http://evil/git/alice/widget.git/git-upload-pack HTTP/1.1\r\nhost: evil\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            403,
        ),
        (
            "POST /llm/claude/v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            501,
        ),
        ("GET /etc/passwd HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 404),
    ] {
        let answer = clone.raw(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
    }
}
