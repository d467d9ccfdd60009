//! Runs the forge double by itself, for looking around by hand.
//!
//! Prints one line of JSON with its address and the tokens of its users, then serves until
//! SIGTERM or SIGINT.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Parser;
use e2e::forge_double::{Access, ForgeDouble, HookTarget, NewIssue, Options, Refusal, StartError};
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// A Gitea-compatible forge with real git, for tests.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The host that callers use, when it is another than the one listened on.
    #[arg(long)]
    public_host: Option<String>,
    /// A JSON file with users, organisations and repositories to begin with.
    #[arg(long)]
    seed: Option<PathBuf>,
}

/// What the forge has at the start.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Seed {
    users: Vec<String>,
    orgs: Vec<SeedOrg>,
    repos: Vec<SeedRepo>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedOrg {
    name: String,
    owner: String,
    #[serde(default)]
    members: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedRepo {
    /// `owner/name`; the owner must be a user.
    name: String,
    #[serde(default)]
    writers: Vec<String>,
    #[serde(default)]
    labels: Vec<String>,
    /// Titles.
    #[serde(default)]
    issues: Vec<String>,
    hook: Option<SeedHook>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedHook {
    url: String,
    secret: String,
}

/// What keeps the program from running.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("start the forge")]
    Start(#[source] StartError),
    #[error("read seed file {path}")]
    ReadSeed { path: PathBuf, source: std::io::Error },
    #[error("understand seed file {path}")]
    ParseSeed { path: PathBuf, source: serde_json::Error },
    #[error("make {what} of the seed")]
    Seed { what: String, source: Refusal },
    #[error("wait for a signal")]
    Signal(#[source] std::io::Error),
    #[error("print the address")]
    Print(#[source] std::io::Error),
}

#[tokio::main]
async fn main() -> Result<(), RunError> {
    let arguments = Arguments::parse();
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signal)?;
    let options = Options { listen: arguments.listen, public_host: arguments.public_host };
    let forge = ForgeDouble::start(options).await.map_err(RunError::Start)?;
    let seed = arguments.seed.as_deref().map_or_else(|| Ok(Seed::default()), read_seed)?;
    let tokens = plant(&forge, &seed).await?;
    let line = json!({ "base_url": forge.base_url(), "tokens": tokens });
    writeln!(std::io::stdout().lock(), "{line}").map_err(RunError::Print)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let mut stderr = std::io::stderr().lock();
    for wrong in forge.take_violations() {
        writeln!(stderr, "not in the API's description: {wrong}").map_err(RunError::Print)?;
    }
    drop(stderr);
    forge.shutdown().await;
    Ok(())
}

fn read_seed(path: &Path) -> Result<Seed, RunError> {
    let path = path.to_owned();
    match std::fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|source| RunError::ParseSeed { path, source })
        }
        Err(source) => Err(RunError::ReadSeed { path, source }),
    }
}

/// Makes what the seed names; gives the users' tokens.
async fn plant(forge: &ForgeDouble, seed: &Seed) -> Result<BTreeMap<String, String>, RunError> {
    let mut tokens = BTreeMap::new();
    for login in &seed.users {
        let token = forge.create_user(login).await;
        tokens.insert(login.clone(), token.map_err(|source| made(login, source))?);
    }
    for org in &seed.orgs {
        plant_org(forge, org).await.map_err(|source| made(&org.name, source))?;
    }
    for repo in &seed.repos {
        plant_repo(forge, repo).await.map_err(|source| made(&repo.name, source))?;
    }
    Ok(tokens)
}

fn made(what: &str, source: Refusal) -> RunError {
    RunError::Seed { what: what.to_owned(), source }
}

async fn plant_org(forge: &ForgeDouble, org: &SeedOrg) -> Result<(), Refusal> {
    forge.create_org(&org.owner, &org.name).await?;
    for member in &org.members {
        forge.add_member(&org.owner, &org.name, member).await?;
    }
    Ok(())
}

async fn plant_repo(forge: &ForgeDouble, repo: &SeedRepo) -> Result<(), Refusal> {
    let owner = repo.name.split('/').next().unwrap_or_default();
    forge.create_repo(owner, &repo.name).await?;
    for writer in &repo.writers {
        forge.add_collaborator(owner, &repo.name, writer, Access::Write).await?;
    }
    for label in &repo.labels {
        forge.create_label(owner, &repo.name, label).await?;
    }
    if let Some(hook) = &repo.hook {
        let target = HookTarget::everything(&hook.url, &hook.secret);
        forge.create_hook(owner, &repo.name, target).await?;
    }
    for title in &repo.issues {
        let new = NewIssue { title: title.clone(), ..NewIssue::default() };
        forge.create_issue(owner, &repo.name, &new).await?;
    }
    Ok(())
}
