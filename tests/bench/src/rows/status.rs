//! The operator's table of ten thousand bottles, asked over the operator's socket; the floor is the
//! bare reading of the same records.

use std::{sync::Arc, time::Duration};

use protocol::operator::{BottleStatus, OperatorRpcClient as _};
use rpc::client::UdsClient;
use rusqlite::Connection;

use crate::{
    Fault, Row,
    clock::{ms_since, now},
    figure::Unit,
    rows::Effort,
    world::{self, InstantForge, Life, MemoryEngine},
};

/// As many as one installation has in years.
const BOTTLES: u32 = 10_000;

/// Takes the row.
pub(super) async fn take(effort: Effort) -> Result<Row, Fault> {
    let dir = tempfile::tempdir()?;
    let config = world::config(dir.path())?;
    // Without issues: nobody looks at the forge for them.
    let count = BOTTLES / effort.part;
    let bottles: Result<Vec<_>, Fault> =
        (1..=count).map(|serial| world::bottle(serial, false, Life::Cold)).collect();
    world::fill(&config.data_dir, bottles?).await?;
    let (socket, database) = (config.operator_socket(), config.data_dir.join("bot-bottle.db"));
    let forge = Arc::new(InstantForge::new()?);
    let running = world::start(config, forge, Arc::new(MemoryEngine::default())).await?;
    let mut row = Row::new("status_10k", Unit::Milliseconds);
    let client = rpc::client::connect(&socket, Duration::from_secs(30))?;
    let books = Connection::open(&database)?;
    for sample in 0..=effort.samples {
        let begun = now();
        let bottles = all(&client).await?;
        let figure = ms_since(begun);
        if bottles.len() != usize::try_from(count)? {
            return Err(format!("status shows {} bottles", bottles.len()).into());
        }
        let begun = now();
        let mut asked = books.prepare("SELECT record FROM bottles ORDER BY serial DESC")?;
        let records = asked.query_map([], |row| row.get::<_, String>(0))?;
        let records = records.collect::<Result<Vec<_>, _>>()?;
        let floor = ms_since(begun);
        if sample > 0 {
            row.samples.push(figure);
            row.floor.push(floor);
        }
        drop(records);
    }
    running.stop().await;
    Ok(row)
}

/// Every page, as `orchestrate status` asks for them.
async fn all(client: &UdsClient) -> Result<Vec<BottleStatus>, Fault> {
    let status = client.status().await?;
    let (mut bottles, mut next) = (status.bottles, status.next);
    while let Some(before) = next {
        let page = client.bottles(before).await?;
        bottles.extend(page.bottles);
        next = page.next;
    }
    Ok(bottles)
}
