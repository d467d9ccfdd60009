//! A sidecar that follows a script: it hands out runs, keeps what is reported, and answers every
//! question with an example.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jsonrpsee::core::{RpcResult, async_trait};
use protocol::{
    agent::{
        AgentRpcServer, Context, DoneReceipt, DoneStatus, METHODS, OpenedPr, ProgressItem, RunExit,
        Written,
    },
    error::{ErrorCode, RpcError},
    grant::{PromptVia, RunSpec},
    ids::{IssueNumber, RunId},
    item::{CiReport, Comment, Issue, PullRequest, Review},
};
use rpc::server::{Limits, Service};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::timeout,
};

/// Nothing here takes longer, even on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the sidecar was told, and what it is to say.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// Handed out next.
    pub(crate) offered: Option<RunSpec>,
    /// Goes on offering a run that was started.
    pub(crate) forgetful: bool,
    /// So many calls more are answered with this error.
    pub(crate) failing: Option<(u32, RpcError)>,
    /// Every call, as `method parameters`.
    pub(crate) calls: Vec<String>,
    /// Runs that were reported as started or ended, in order.
    pub(crate) reports: Vec<Report>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    Started(RunId),
    Exited(RunId, RunExit),
}

/// A sidecar and the directory in which a bottle meets it.
#[derive(Debug)]
pub(crate) struct Fake {
    directory: TempDir,
    script: watch::Sender<Script>,
    server: Option<(oneshot::Sender<()>, JoinSet<()>)>,
}

impl Fake {
    /// A sidecar that is not there yet.
    pub(crate) fn absent() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, script: watch::Sender::default(), server: None }
    }

    /// A sidecar that answers.
    pub(crate) fn start() -> Self {
        let mut fake = Self::absent();
        fake.appear();
        fake
    }

    /// Begins to answer.
    pub(crate) fn appear(&mut self) {
        let listener = rpc::server::bind(&self.socket(), 0o600).unwrap();
        let service = Service::new(Agent(self.script.clone()).into_rpc(), METHODS);
        let limits = Limits { grace: Duration::from_millis(20), ..Limits::agent() };
        let (stop, stopped) = oneshot::channel::<()>();
        let mut server = JoinSet::new();
        server.spawn(rpc::server::serve(listener, service, limits, async {
            stopped.await.ok();
        }));
        self.server = Some((stop, server));
    }

    /// Goes away, cutting what is in flight.
    pub(crate) async fn vanish(&mut self) {
        let (stop, server) = self.server.take().unwrap();
        stop.send(()).unwrap();
        server.join_all().await;
        std::fs::remove_file(self.socket()).unwrap();
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("agent.sock")
    }

    /// The bottle's home.
    pub(crate) fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// A path for a script and its test to meet at.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Script)) {
        self.script.send_modify(change);
    }

    /// Offers a run of a shell script.
    pub(crate) fn offer(&self, number: u32, script: &str) {
        self.offer_spec(shell(number, script));
    }

    pub(crate) fn offer_spec(&self, spec: RunSpec) {
        self.change(|script| script.offered = Some(spec));
    }

    /// Waits until something has been heard.
    pub(crate) async fn heard(&self, what: impl FnMut(&Script) -> bool) {
        let mut script = self.script.subscribe();
        if timeout(PATIENCE, script.wait_for(what)).await.is_err() {
            panic!("not heard in time: {:?}", self.script.borrow());
        }
    }

    /// Waits for a run's end.
    pub(crate) async fn exit_of(&self, number: u32) -> RunExit {
        let run = run_id(number);
        self.heard(|script| exit_in(&script.reports, &run).is_some()).await;
        exit_in(&self.script.borrow().reports, &run).unwrap()
    }

    pub(crate) fn reports(&self) -> Vec<Report> {
        self.script.borrow().reports.clone()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.script.borrow().calls.clone()
    }
}

fn exit_in(reports: &[Report], run: &RunId) -> Option<RunExit> {
    reports.iter().find_map(|report| match report {
        Report::Exited(of, exit) if of == run => Some(exit.clone()),
        Report::Exited(..) | Report::Started(_) => None,
    })
}

pub(crate) fn run_id(number: u32) -> RunId {
    format!("implementer-k3v9q.{number}").parse().unwrap()
}

/// A run of `sh -c`, without a prompt.
pub(crate) fn shell(number: u32, script: &str) -> RunSpec {
    RunSpec {
        run: run_id(number),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        prompt_via: PromptVia::Argument,
        prompt: String::new(),
        env: [("PATH".to_owned(), std::env::join_paths(paths()).unwrap().into_string().unwrap())]
            .into(),
    }
}

/// Where the machine that runs the tests has its programs.
fn paths() -> Vec<PathBuf> {
    ["/usr/local/bin", "/usr/bin", "/bin"].map(|path| Path::new(path).to_owned()).to_vec()
}

/// Reads an example as it comes over the wire.
fn example<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub(crate) fn context() -> Context {
    example(json!({
        "slug": "implementer-k3v9q", "agent": "implementer", "run": null, "repo": "alice/widget",
        "clone_url": "https://git.example.org/alice/widget.git", "issue": 17,
        "pull_requests": [18], "base": "main", "branch": "bot-bottle/17/implementer-k3v9q",
        "git_name": "Widget Bot", "git_email": "bot@example.org",
        "writes_left": { "this_minute": 30, "today": 500 },
    }))
}

fn comment(body: &str) -> Comment {
    example(json!({
        "id": 301, "author": "widget-bot", "body": body, "created_at": "2026-03-01T10:00:00Z",
        "updated_at": "2026-03-01T10:00:00Z", "url": "https://git.example.org/c/301",
    }))
}

fn pull_request(title: &str, body: &str) -> PullRequest {
    example(json!({
        "number": 18, "title": title, "body": body, "state": "open", "author": "widget-bot",
        "head_branch": "bot-bottle/17/implementer-k3v9q", "head_repo": null, "head_sha": "5d6e7f8",
        "base_branch": "main", "mergeable": true, "created_at": "2026-03-01T10:00:00Z",
        "updated_at": "2026-03-01T10:00:00Z", "url": "https://git.example.org/p/18",
    }))
}

/// The methods. Issue #500 is out of scope, #404 is not there.
struct Agent(watch::Sender<Script>);

impl Agent {
    fn heard(&self, call: String) -> Result<(), RpcError> {
        let mut answer = Ok(());
        self.0.send_modify(|script| {
            script.calls.push(call);
            if let Some((left @ 1.., error)) = &mut script.failing {
                *left -= 1;
                answer = Err(error.clone());
            }
        });
        answer
    }

    fn about(&self, method: &str, number: IssueNumber) -> Result<(), RpcError> {
        self.heard(format!("{method} {number}"))?;
        match number.get() {
            404 => Err(RpcError::new(ErrorCode::NotFound, "#404 is not there")),
            _ => Ok(()),
        }
    }

    fn write(&self, method: &str, number: IssueNumber, body: &str) -> Result<(), RpcError> {
        self.heard(format!("{method} {number} {body:?}"))?;
        if number.get() != 500 {
            return Ok(());
        }
        let mut error = RpcError::new(ErrorCode::OutOfScope, "write to #500, writable 17, 42");
        error.data.writable = Some(vec![17.try_into().unwrap(), 42.try_into().unwrap()]);
        Err(error.hint("write to the assigned issue"))
    }
}

#[async_trait]
impl AgentRpcServer for Agent {
    async fn read_issue(&self, number: IssueNumber) -> RpcResult<Issue> {
        self.about("read_issue", number)?;
        Ok(example(json!({
            "number": number, "title": "Widgets squeak", "body": "They \u{1b}[31mdo.",
            "state": "open", "author": "alice", "labels": [], "assignees": [], "comments": 0,
            "created_at": "2026-03-01T10:00:00Z", "updated_at": "2026-03-01T10:00:00Z",
            "url": "https://git.example.org/i/17",
        })))
    }

    async fn read_pr(&self, number: IssueNumber) -> RpcResult<PullRequest> {
        self.about("read_pr", number)?;
        Ok(pull_request("Oil", ""))
    }

    async fn read_comments(&self, number: IssueNumber) -> RpcResult<Vec<Comment>> {
        self.about("read_comments", number)?;
        // More than a pipe holds, for readers that go away.
        Ok((0..200).map(|_| comment(&"A line.\n".repeat(100))).collect())
    }

    async fn read_reviews(&self, number: IssueNumber) -> RpcResult<Vec<Review>> {
        self.about("read_reviews", number)?;
        Ok(Vec::new())
    }

    async fn read_ci(&self, number: IssueNumber) -> RpcResult<CiReport> {
        self.about("read_ci", number)?;
        Ok(CiReport { sha: "5d6e7f8".to_owned(), state: None, checks: Vec::new() })
    }

    async fn post_comment(&self, number: IssueNumber, body: String) -> RpcResult<Comment> {
        self.write("post_comment", number, &body)?;
        Ok(comment(&body))
    }

    async fn update_description(&self, number: IssueNumber, body: String) -> RpcResult<Written> {
        self.write("update_description", number, &body)?;
        Ok(Written { number })
    }

    async fn open_pr(&self, title: String, body: String) -> RpcResult<OpenedPr> {
        self.heard(format!("open_pr {title:?} {body:?}"))?;
        Ok(OpenedPr { pull_request: pull_request(&title, &body), existed: false })
    }

    async fn report_progress(&self, items: Vec<ProgressItem>) -> RpcResult<Comment> {
        let items: Vec<_> = items.iter().map(|item| (item.done, item.text.as_str())).collect();
        self.heard(format!("report_progress {items:?}"))?;
        Ok(comment("progress"))
    }

    async fn signal_done(&self, status: DoneStatus, summary: String) -> RpcResult<DoneReceipt> {
        self.heard(format!("signal_done {status:?} {summary:?}"))?;
        Ok(DoneReceipt { run: run_id(1), status, summary, counted: true })
    }

    async fn context(&self) -> RpcResult<Context> {
        self.heard("context".to_owned())?;
        Ok(context())
    }

    async fn next_run(&self) -> RpcResult<Option<RunSpec>> {
        self.heard("next_run".to_owned())?;
        let mut script = self.0.subscribe();
        let offered = script.wait_for(|script| script.offered.is_some());
        let offered = timeout(Duration::from_secs(5), offered).await;
        Ok(offered.ok().and_then(|script| script.unwrap().offered.clone()))
    }

    async fn run_started(&self, run: RunId) -> RpcResult<()> {
        self.heard(format!("run_started {run}"))?;
        self.0.send_modify(|script| {
            let named = script.offered.as_ref().is_some_and(|spec| spec.run == run);
            if named && !script.forgetful {
                script.offered = None;
            }
            script.reports.push(Report::Started(run));
        });
        Ok(())
    }

    async fn run_exited(&self, run: RunId, exit: RunExit) -> RpcResult<()> {
        self.heard(format!("run_exited {run} {}", exit.code))?;
        self.0.send_modify(|script| script.reports.push(Report::Exited(run, exit)));
        Ok(())
    }
}
