//! The life of an issue on a real engine: asked, done, frozen, woken in memory, woken from disk. Each
//! step is followed by its floor, taken with containers that are made in the same way.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use e2e::rig::{BOT, LABEL, REPO, Rig, Setup, wait_until};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use tokio::{
    net::unix::pipe::{OpenOptions, Receiver},
    time::{sleep, timeout},
};

use crate::{
    Fault, Row,
    clock::{ms, ms_since, now},
    docker::{self, Template},
    figure::Unit,
    memory,
};

/// Says by pipes when it begins and when it is about to end.
const AGENT: &str = "set -eu\n\
    if [ -p begun ]; then echo >begun; else mkfifo begun gone; : >started; fi\n\
    bottle signal-done success 'all done'\n\
    echo >gone\n";
/// Longest wait for any step.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks where nothing tells of a change.
const LOOK_EVERY: Duration = Duration::from_micros(200);
/// Between two steps, so that what the engine still does for one does not count for the next.
const SETTLE: Duration = Duration::from_millis(300);

/// The rows as they fill.
struct Rows {
    cold: Row,
    frozen: Row,
    hot: Row,
    thawed: Row,
    sidecar: Row,
    bottle: Row,
}

/// Takes the rows; each life gives a sample of each.
pub(super) async fn take(samples: usize) -> Result<Vec<Row>, Fault> {
    let limits = "grace = \"20s\"\nhot_for = \"1h\"\n".to_owned();
    let rig = Rig::start(&Setup { agent: AGENT.to_owned(), limits, ..Setup::default() }).await?;
    let taken = lives(&rig, samples).await;
    let taken = taken.map_err(|error| format!("{error}\n{}", rig.log()));
    rig.finish().await?;
    let Rows { cold, frozen, hot, thawed, sidecar, bottle } = taken?;
    Ok(vec![cold, frozen, hot, thawed, sidecar, bottle])
}

async fn lives(rig: &Rig, samples: usize) -> Result<Rows, Fault> {
    let mut rows = Rows {
        cold: Row::new("event_to_agent_cold", Unit::Milliseconds),
        frozen: Row::new("done_to_frozen", Unit::Milliseconds),
        hot: Row::new("comment_to_agent_hot", Unit::Milliseconds),
        thawed: Row::new("comment_to_agent_cold", Unit::Milliseconds),
        sidecar: Row::new("sidecar_pss", Unit::Mebibytes),
        bottle: Row::new("bottle_pss", Unit::Mebibytes),
    };
    // One that does not count: caches are filled, and it shows what floors are made of.
    let template = live(rig, None).await?;
    for number in 0..samples {
        floors(rig, &template, number, &mut rows).await?;
        live(rig, Some(&mut rows)).await?;
    }
    Ok(rows)
}

async fn floors(
    rig: &Rig,
    template: &Template,
    number: usize,
    rows: &mut Rows,
) -> Result<(), Fault> {
    let pair = template.pair(number, rig.dir())?;
    sleep(SETTLE).await;
    let begun = now();
    pair.create_and_start().await?;
    rows.cold.floor.push(ms_since(begun));
    sleep(SETTLE).await;
    let begun = now();
    docker::tell(pair.bottle(), "pause").await?;
    rows.frozen.floor.push(ms_since(begun));
    sleep(SETTLE).await;
    let begun = now();
    docker::tell(pair.bottle(), "unpause").await?;
    rows.hot.floor.push(ms_since(begun));
    pair.tell("stop?t=1").await?;
    sleep(SETTLE).await;
    let begun = now();
    pair.tell("start").await?;
    rows.thawed.floor.push(ms_since(begun));
    Ok(())
}

/// An issue from label to close.
async fn live(rig: &Rig, mut rows: Option<&mut Rows>) -> Result<Template, Fault> {
    let issue = e2e::forge_double::NewIssue { title: "Work".to_owned(), ..Default::default() };
    let issue = rig.forge.create_issue("alice", REPO, &issue).await?;
    rig.forge.label("alice", REPO, issue, LABEL).await?;
    rig.forge.deliveries_settled().await;
    sleep(SETTLE).await;
    rig.forge.assign("alice", REPO, issue, BOT).await?;
    rig.forge.deliveries_settled().await;
    let asked = now();
    let (slug, started) = first_start(rig).await?;
    let mut pipes = Pipes::open(&work(rig, &slug))?;
    let frozen = pipes.gone_to_frozen(rig, &slug).await?;
    if let Some(rows) = &mut rows {
        let sidecar = sidecar_of(&slug);
        let (sidecar, bottle) = (docker::pid(&sidecar), docker::pid(&slug));
        rows.cold.samples.push(ms(asked, started));
        rows.frozen.samples.push(frozen);
        rows.sidecar.samples.push(memory::pss_mib(sidecar.await?)?);
        rows.bottle.samples.push(memory::pss_mib(bottle.await?)?);
    }
    let template = Template::of(&slug, &root(rig, &slug)).await?;

    let hot = pipes.comment_to_agent(rig, issue).await?;
    pipes.gone_to_frozen(rig, &slug).await?;
    rig.try_command(&["freeze", &slug, "--cold"]).await?;
    wait_until("both containers are stopped", async || {
        docker::pid(&slug).await.is_err() && docker::pid(&sidecar_of(&slug)).await.is_err()
    })
    .await?;
    let thawed = pipes.comment_to_agent(rig, issue).await?;
    pipes.gone_to_frozen(rig, &slug).await?;
    if let Some(rows) = rows {
        rows.hot.samples.push(hot);
        rows.thawed.samples.push(thawed);
    }
    rig.forge.close("alice", REPO, issue).await?;
    let bottles = rig.data_dir().join("bottles");
    let is_empty = || std::fs::read_dir(&bottles).is_ok_and(|mut entries| entries.next().is_none());
    wait_until("nothing is left of the bottle", async || is_empty()).await?;
    Ok(template)
}

/// What an agent writes to when it begins and when it is about to end.
struct Pipes {
    begun: Receiver,
    gone: Receiver,
}

impl Pipes {
    fn open(work: &Path) -> Result<Self, Fault> {
        // For writing too: then an agent that ends does not close it.
        let open = |name: &str| OpenOptions::new().read_write(true).open_receiver(work.join(name));
        Ok(Self { begun: open("begun")?, gone: open("gone")? })
    }

    /// From the agent's end to the record that says that the bottle sleeps.
    async fn gone_to_frozen(&mut self, rig: &Rig, slug: &str) -> Result<f64, Fault> {
        let gone = heard(&self.gone).await?;
        let (database, slug) = (rig.data_dir().join("bot-bottle.db"), slug.to_owned());
        let frozen = off_thread(move || {
            let books = Connection::open_with_flags(
                database,
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?;
            let mut asked =
                books.prepare("SELECT 1 FROM bottles WHERE slug = ?1 AND status = 'frozen'")?;
            looked(|| Ok(asked.query_row([&slug], |_| Ok(())).optional()?))
        });
        Ok(ms(gone, frozen.await?.1))
    }

    /// From the webhook of a comment, when it is answered, to the agent.
    async fn comment_to_agent(&mut self, rig: &Rig, issue: u64) -> Result<f64, Fault> {
        sleep(SETTLE).await;
        rig.forge.comment("bob", REPO, issue, "Again, please.").await?;
        rig.forge.deliveries_settled().await;
        let asked = now();
        Ok(ms(asked, heard(&self.begun).await?))
    }
}

async fn heard(pipe: &Receiver) -> Result<Instant, Fault> {
    let read = async {
        loop {
            pipe.readable().await?;
            match pipe.try_read(&mut [0; 8]) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    };
    timeout(PATIENCE, read).await.map_err(|_| "the agent says nothing")??;
    Ok(now())
}

/// The bottle whose agent was started, and when.
async fn first_start(rig: &Rig) -> Result<(String, Instant), Fault> {
    let bottles = rig.data_dir().join("bottles");
    off_thread(move || {
        looked(|| {
            let entries = std::fs::read_dir(&bottles)?.flatten();
            let started =
                |slug: &std::ffi::OsString| bottles.join(slug).join("home/work/started").exists();
            let slug = entries.map(|entry| entry.file_name()).find(started);
            Ok(slug.map(|slug| slug.to_string_lossy().into_owned()))
        })
    })
    .await
}

/// Looks again and again until there is something; says when.
fn looked<T>(mut look: impl FnMut() -> Result<Option<T>, Fault>) -> Result<(T, Instant), Fault> {
    let begun = now();
    while begun.elapsed() < PATIENCE {
        if let Some(found) = look()? {
            return Ok((found, now()));
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    Err("nothing was seen in time".into())
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await?
}

fn sidecar_of(slug: &str) -> String {
    format!("{slug}-sidecar")
}

fn root(rig: &Rig, slug: &str) -> PathBuf {
    rig.data_dir().join("bottles").join(slug)
}

fn work(rig: &Rig, slug: &str) -> PathBuf {
    root(rig, slug).join("home/work")
}
