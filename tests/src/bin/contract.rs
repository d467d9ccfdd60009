//! What of bot-bottle's needs a forge has: a table. Without `FORGE_URL`, the forge double's.
//!
//! - `FORGE_URL`: the server, such as `https://git.example.org`
//! - `FORGE_ADMIN_TOKEN`: a token of a site admin with all scopes; it makes three accounts, an
//!   organisation and some repositories, all named `bb-contract-...`, and removes them at the end
//! - `FORGE_HOOK_HOST`: how the server reaches this machine, for webhooks
//!
//! Ends with 0 when the server has all that is needed, 1 when not, 2 when it could not be tried.

use std::{env, error::Error, io::Write as _, process::ExitCode, time::Duration};

use clap::Parser;
use e2e::{
    contract::{Ground, Row, Server, try_all},
    forge_double::{ForgeDouble, Options},
    interruption::Signals,
};
use tokio::time::{sleep, timeout};

/// What all probes together may take.
const RUN_TIMEOUT: Duration = Duration::from_secs(600);

/// Tries what bot-bottle needs of a forge and prints a table. Reads FORGE_URL, FORGE_ADMIN_TOKEN
/// and FORGE_HOOK_HOST; without them it tries the forge double.
#[derive(Debug, Parser)]
struct Arguments {}

/// How long a server may go on with a call whose caller went away.
const SETTLE_PAUSE: Duration = Duration::from_secs(1);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    Arguments::parse();
    match run().await {
        Ok(code) => code,
        Err(error) => {
            let mut said = error.to_string();
            let mut cause = error.source();
            while let Some(source) = cause {
                said = format!("{said}: {source}");
                cause = source.source();
            }
            // Nobody is left to hear that nobody hears.
            drop(writeln!(std::io::stderr(), "contract: {said}"));
            ExitCode::from(2)
        }
    }
}

async fn run() -> Outcome<ExitCode> {
    let mut signals = Signals::new()?;
    let Some(url) = given("FORGE_URL") else { return with_double(&mut signals).await };
    let admin_token = given("FORGE_ADMIN_TOKEN");
    let admin_token = admin_token.ok_or("FORGE_ADMIN_TOKEN is not set: a token of a site admin")?;
    let server = Server { url, admin_token, hook_host: given("FORGE_HOOK_HOST") };
    try_server(&server, &mut signals).await
}

/// The settings stand in the environment and not in arguments, which all users of a machine see.
fn given(name: &str) -> Option<String> {
    env::var_os(name)?.into_string().ok().filter(|value| !value.is_empty())
}

async fn with_double(signals: &mut Signals) -> Outcome<ExitCode> {
    let forge = ForgeDouble::start(Options::default()).await?;
    let server = Server {
        url: forge.base_url().to_owned(),
        admin_token: forge.create_site_admin("root").await?,
        hook_host: Some("127.0.0.1".to_owned()),
    };
    let tried = try_server(&server, signals).await;
    forge.shutdown().await;
    tried
}

/// Whatever happens in between, what was made is removed.
async fn try_server(server: &Server, signals: &mut Signals) -> Outcome<ExitCode> {
    let mut ground = Ground::new(server)?;
    let tried = tokio::select! {
        tried = timeout(RUN_TIMEOUT, lay_and_try(&mut ground, server)) => {
            tried.unwrap_or_else(|_| Err("no end in time".into()))
        }
        signal = signals.next() => {
            drop(writeln!(std::io::stderr(), "{}: removing what was made", signal.name));
            // The server may still do what it was asked last.
            sleep(SETTLE_PAUSE).await;
            Ok(ExitCode::from(signal.exit_code))
        }
    };
    let left = ground.clean().await;
    if left.is_empty() {
        return tried;
    }
    Err(format!("left on the server: {}", left.join(", ")).into())
}

async fn lay_and_try(ground: &mut Ground, server: &Server) -> Outcome<ExitCode> {
    ground.lay(server).await?;
    let mut stderr = std::io::stderr();
    let report = try_all(ground, |row: &Row| {
        drop(writeln!(stderr, "  {}", row.what));
    });
    let report = report.await;
    writeln!(std::io::stdout(), "{report}")?;
    Ok(if report.is_fit() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
