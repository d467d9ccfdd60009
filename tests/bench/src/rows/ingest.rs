//! Webhooks in a second, each on disk before it is answered; the floor is single rows committed one
//! after another. As many at a time as a forge with many repositories sends.

use std::{net::SocketAddr, sync::Arc};

use e2e::forge_double::{ForgeDouble, HookTarget, NewIssue, Options, sha256_hex};
use futures_util::future::join_all;
use orchestrator::config::Config;
use rusqlite::Connection;
use tokio::{net::TcpStream, sync::oneshot};

use crate::{
    Fault, Row,
    clock::{now, rate},
    figure::Unit,
    rows::Effort,
    wire::{Wire, post},
    world::{self, InstantForge, MemoryEngine, REPO, SECRET},
};

/// Deliveries at a time.
const CONNECTIONS: u32 = 128;
/// Deliveries of each connection in one sample.
const EACH: u32 = 30;
/// Commits of one sample.
const COMMITS: u32 = 1000;

/// Takes the row.
pub(super) async fn take(effort: Effort) -> Result<Row, Fault> {
    let dir = tempfile::tempdir()?;
    let config = world::config(dir.path())?;
    let (ready, is_ready) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let daemon = std::thread::Builder::new()
        .name("daemon".to_owned())
        .spawn(move || daemon_thread(config, ready, stopped))?;
    let address = is_ready.await.map_err(|_| "the daemon did not start")?;
    let mut row = Row::new("webhook_ingest", Unit::PerSecond);
    let body = delivery().await?;
    let floor = floor_table(&dir.path().join("floor.db"))?;
    let mut serial = 0;
    let each = EACH.div_ceil(effort.part);
    for count in 0..=effort.samples {
        let figure = deliver(address, (&body, each), &mut serial).await?;
        let bare = commit(&floor, COMMITS / effort.part, &mut serial)?;
        if count > 0 {
            row.samples.push(figure);
            row.floor.push(bare);
        }
    }
    drop(stop);
    daemon.join().map_err(|_| "the daemon's thread panicked")??;
    Ok(row)
}

/// A whole daemon on threads of its own: what came in is looked at while more comes.
fn daemon_thread(
    config: Config,
    ready: oneshot::Sender<SocketAddr>,
    stop: oneshot::Receiver<()>,
) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let forge = Arc::new(InstantForge::new()?);
        let running = world::start(config, forge, Arc::new(MemoryEngine::default())).await?;
        ready.send(running.listen()).map_err(|_| "nobody waits for the daemon")?;
        // Told, or the one who would tell is gone.
        drop(stop.await);
        running.stop().await;
        Ok(())
    })
}

/// What a forge sends when somebody comments.
async fn delivery() -> Result<String, Fault> {
    let forge = ForgeDouble::start(Options::default()).await?;
    forge.create_user("alice").await?;
    forge.create_repo("alice", REPO).await?;
    let issue = NewIssue { title: "Add a greeting".to_owned(), ..NewIssue::default() };
    let number = forge.create_issue("alice", REPO, &issue).await?;
    let target = HookTarget::everything("http://127.0.0.1:9/", SECRET);
    forge.create_hook("alice", REPO, target).await?;
    forge.comment("alice", REPO, number, "Could it greet the whole world?").await?;
    forge.deliveries_settled().await;
    let sent = forge.deliveries().pop().ok_or("the double sent nothing")?;
    forge.shutdown().await;
    Ok(sent.body)
}

async fn deliver(
    address: SocketAddr,
    (body, each): (&str, u32),
    serial: &mut u64,
) -> Result<f64, Fault> {
    let signature = sha256_hex(SECRET, body.as_bytes());
    let mut requests = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let own: Vec<Vec<u8>> = (0..each)
            .map(|_| {
                *serial += 1;
                let headers = format!(
                    "x-gitea-event: issue_comment\r\nx-gitea-delivery: {}\r\nx-gitea-signature: \
                     {signature}\r\n",
                    delivery_id(*serial)
                );
                post("/hooks/gitea", &headers, body)
            })
            .collect();
        requests.push((Wire::new(stream), own));
    }
    let begun = now();
    let sent = requests.into_iter().map(async |(mut wire, own)| {
        for request in own {
            let (status, body) = wire.exchange(&request).await?;
            if status != 202 {
                let body = String::from_utf8_lossy(body);
                return Err(Fault::from(format!("answered with {status}: {body}")));
            }
        }
        Ok(())
    });
    join_all(sent).await.into_iter().collect::<Result<(), _>>()?;
    Ok(rate(CONNECTIONS * each, begun.elapsed()))
}

fn delivery_id(serial: u64) -> String {
    format!("00000000-0000-4000-8000-{serial:012x}")
}

fn floor_table(path: &std::path::Path) -> Result<Connection, Fault> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "CREATE TABLE inbox (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, lane TEXT,
            received_ms INTEGER NOT NULL) STRICT;
         CREATE INDEX inbox_open ON inbox (lane) WHERE lane IS NOT NULL;
         CREATE INDEX inbox_age ON inbox (received_ms);",
    )?;
    Ok(connection)
}

fn commit(floor: &Connection, commits: u32, serial: &mut u64) -> Result<f64, Fault> {
    let mut insert =
        floor.prepare("INSERT INTO inbox (key, lane, received_ms) VALUES (?1, ?2, ?3)")?;
    let begun = now();
    for _ in 0..commits {
        *serial += 1;
        let key = format!("gitea:{}", delivery_id(*serial));
        insert.execute((key, format!("{REPO}#1"), i64::try_from(*serial)?))?;
    }
    Ok(rate(commits, begun.elapsed()))
}
