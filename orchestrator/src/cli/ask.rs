//! Commands that the daemon answers.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jsonrpsee::core::client::Error as CallError;
use protocol::{
    ids::Slug,
    operator::{Logs as LogsAnswer, OperatorRpcClient as _, StartRequest, Status, Subject},
};
use tokio::time::Instant;

use super::{
    args::{Command, Logs, Prune, Start},
    failure::{Failure, unreachable, with_config},
    follow::{self, Follow},
    screen::{Mood, Screen},
    show,
    text::harmless,
};
use crate::{
    clock,
    config::{self, Environment},
};

/// For one answer of the daemon; `start` asks the forge.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long `cancel` waits: containers are asked to stop and then killed, which takes some seconds.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks at a bottle that is being destroyed.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A way to the daemon.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) screen: Screen,
    pub(super) client: rpc::client::UdsClient,
    socket: PathBuf,
    config: PathBuf,
}

impl Asker {
    /// To the daemon at `socket`; `config` is named to whoever must start it.
    pub(super) fn new(screen: Screen, socket: &Path, config: &Path) -> Result<Self, Failure> {
        let client = rpc::client::connect(socket, ANSWER_TIMEOUT)
            .map_err(|error| Failure::Rpc(rpc::client::error(error)))?;
        Ok(Self { screen, client, socket: socket.to_owned(), config: config.to_owned() })
    }

    /// A call's error as the operator reads it.
    pub(super) fn failed(&self, error: CallError) -> Failure {
        Failure::Rpc(unreachable(&self.socket, &self.config, rpc::client::error(error)))
    }

    /// Where the kill switch lies: beside the socket.
    pub(super) fn kill_switch(&self) -> PathBuf {
        self.socket.with_file_name("kill-switch")
    }

    /// Every page of the bottles.
    pub(super) async fn status(&self) -> Result<Status, Failure> {
        let mut status = self.client.status().await.map_err(|error| self.failed(error))?;
        while let Some(next) = status.next {
            let page = self.client.bottles(next).await.map_err(|error| self.failed(error))?;
            status.bottles.extend(page.bottles);
            status.next = page.next;
        }
        Ok(status)
    }

    /// The bottle that is meant.
    pub(super) async fn slug(&self, subject: Subject) -> Result<Slug, Failure> {
        match subject {
            Subject::Bottle(slug) => Ok(slug),
            Subject::Item { .. } | Subject::Address(_) => {
                let found = self.client.find(subject).await.map_err(|error| self.failed(error))?;
                Ok(found.slug)
            }
        }
    }
}

/// Asks, and prints the answer.
pub(super) async fn run(
    asker: &Asker,
    command: Command,
    env: Environment<'_>,
) -> Result<(), Failure> {
    let screen = asker.screen;
    let failed = |error| asker.failed(error);
    match command {
        Command::Status(wanted) if wanted.watch => follow::status(asker).await,
        Command::Status(_) => {
            let status = asker.status().await?;
            screen.print(&status, || {
                show::status(screen, &status, &asker.kill_switch(), clock::now())
            })
        }
        Command::Explain(meant) => {
            let answer = asker.client.explain(meant.subject).await.map_err(failed)?;
            let named =
                Some(asker.config.as_path()).filter(|path| *path != config::config_file(None, env));
            screen.print(&answer, || with_config(&show::explanation(screen, &answer), named))
        }
        Command::Start(start) => {
            let slug = asker.client.start(request(start, env)?).await.map_err(failed)?;
            screen.print(&slug, || format!("{slug}\n"))
        }
        Command::Resume(resume) => {
            let Some(subject) = resume.subject.or(resume.slug) else { return Ok(()) };
            let slug = asker.slug(subject).await?;
            asker.client.resume(slug.clone(), resume.prompt).await.map_err(failed)?;
            screen.print(&slug, || format!("{slug} will be told\n"))
        }
        Command::Freeze(freeze) => {
            let slug = asker.slug(freeze.meant.subject).await?;
            asker.client.freeze(slug.clone(), freeze.cold).await.map_err(failed)?;
            screen.print(&slug, || format!("{slug} goes to sleep\n"))
        }
        Command::Destroy(meant) => {
            let slug = asker.slug(meant.subject).await?;
            asker.client.destroy(slug.clone()).await.map_err(failed)?;
            screen.print(&slug, || format!("{slug} is being destroyed\n"))
        }
        Command::Cancel(meant) => cancel(asker, meant.subject).await,
        Command::Logs(wanted) => logs(asker, wanted).await,
        Command::Attach(wanted) => {
            refuse_raw(screen, wanted.raw)?;
            let slug = asker.slug(wanted.meant.subject).await?;
            let shown = Follow { op_log: false, output: true, raw: wanted.raw };
            follow::bottle(asker, &slug, shown).await
        }
        Command::Prune(wanted) => prune(asker, &wanted).await,
        // These do not ask.
        Command::Serve
        | Command::Init
        | Command::Config(_)
        | Command::Doctor
        | Command::Backup(_)
        | Command::Completions(_) => Ok(()),
    }
}

/// Flags, and where they are missing the variables of the first version.
fn request(start: Start, env: Environment<'_>) -> Result<StartRequest, Failure> {
    let bad = |name: &str, error: protocol::ids::BadName| {
        Failure::Usage(format!("variable {name}: {error}"), "unset it or give the flag".to_owned())
    };
    let repo = match (start.repo, env("FORGE_OWNER"), env("FORGE_REPO")) {
        (None, Some(owner), Some(name)) => Some(
            format!("{owner}/{name}")
                .parse()
                .map_err(|error| bad("FORGE_OWNER/FORGE_REPO", error))?,
        ),
        (given, _, _) => given,
    };
    let issue = match (start.issue, env("FORGE_ISSUE_NUMBER").filter(|text| !text.is_empty())) {
        (None, Some(text)) => Some(text.parse().map_err(|error| bad("FORGE_ISSUE_NUMBER", error))?),
        (given, _) => given,
    };
    let Start { agent, bottles, prompt, label, backend, .. } = start;
    Ok(StartRequest { agent, bottles, prompt, label, backend, repo, issue })
}

/// Ends a bottle and waits until nothing of it is left.
async fn cancel(asker: &Asker, subject: Subject) -> Result<(), Failure> {
    let slug = asker.slug(subject).await?;
    asker.client.destroy(slug.clone()).await.map_err(|error| asker.failed(error))?;
    let deadline = Instant::now() + CANCEL_TIMEOUT;
    loop {
        let found = asker.client.find(Subject::Bottle(slug.clone())).await;
        let found = found.map_err(|error| asker.failed(error))?;
        if found.status == "destroyed" && !found.detail.ends_with("cleaning up") {
            return asker.screen.print(&slug, || format!("{slug} is gone\n"));
        }
        if Instant::now() > deadline {
            let what = format!("{slug} was ended, but is not all gone: {}", found.detail);
            let hint = format!("it is tried on; see `orchestrate logs {slug}`");
            return Err(Failure::Other(what, hint));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn logs(asker: &Asker, wanted: Logs) -> Result<(), Failure> {
    let screen = asker.screen;
    refuse_raw(screen, wanted.raw)?;
    let slug = asker.slug(wanted.meant.subject).await?;
    if wanted.follow {
        let shown = Follow { op_log: !wanted.output, output: true, raw: wanted.raw };
        return follow::bottle(asker, &slug, shown).await;
    }
    let logs = whole_logs(asker, &slug, wanted.output).await?;
    screen.print(&logs, || match (wanted.output, wanted.raw) {
        (true, true) => logs.output.clone(),
        (true, false) => harmless(&logs.output, true),
        (false, _) => show::lines(&logs.lines),
    })
}

async fn whole_logs(asker: &Asker, slug: &Slug, output: bool) -> Result<LogsAnswer, Failure> {
    let ask = async |after, output| {
        let answer = asker.client.logs(slug.clone(), after, output).await;
        answer.map_err(|error| asker.failed(error))
    };
    let mut logs = ask(0, output).await?;
    let mut page = logs.lines.len();
    while let (false, true, Some(last)) = (output, page > 0, logs.lines.last()) {
        let more = ask(last.position, false).await?;
        page = more.lines.len();
        logs.lines.extend(more.lines);
    }
    Ok(logs)
}

/// A terminal would obey what an agent wrote.
fn refuse_raw(screen: Screen, raw: bool) -> Result<(), Failure> {
    if raw && screen.terminal {
        let what = "--raw to a terminal would let the agent command it".to_owned();
        return Err(Failure::Usage(what, "leave --raw out, or send it into a file".to_owned()));
    }
    Ok(())
}

async fn prune(asker: &Asker, wanted: &Prune) -> Result<(), Failure> {
    let age = wanted.older_than.as_secs();
    let pruned = asker.client.prune(age, wanted.dry_run).await;
    let pruned = pruned.map_err(|error| asker.failed(error))?;
    asker.screen.print(&pruned, || {
        let would = if wanted.dry_run { "would be forgotten" } else { "forgotten" };
        let line = |what: &'static str| move |slug: &Slug| format!("{slug}  {what}\n");
        let mut text: String = pruned.bottles.iter().map(line("record, log and output")).collect();
        text.extend(pruned.logs.iter().map(line("log and output; its record keeps its issue")));
        let count = pruned.bottles.len() + pruned.logs.len();
        text.push_str(&asker.screen.paint(Mood::Head, &format!("{count} {would}")));
        text.push('\n');
        text
    })
}
