//! A daemon that starts after its host was started anew: a thousand bottles are on record, all
//! containers have ended, and what ran must be put to sleep. Until everything is at rest.

use std::{sync::Arc, time::Duration};

use crate::{
    Fault, Row,
    clock::{ms_since, now},
    figure::Unit,
    rows::Effort,
    world::{self, InstantForge, Life, MemoryEngine},
};

/// On record.
const BOTTLES: u32 = 1000;
/// Of these, in the middle of a run.
const RUNNING: u32 = 100;
/// Longest wait for one start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes the row.
pub(super) async fn take(effort: Effort) -> Result<Row, Fault> {
    let mut row = Row::new("restart_reconcile_1k", Unit::Milliseconds);
    for sample in 0..=effort.samples {
        let figure = restart(effort.part).await?;
        if sample > 0 {
            row.samples.push(figure);
        }
    }
    Ok(row)
}

async fn restart(part: u32) -> Result<f64, Fault> {
    let dir = tempfile::tempdir()?;
    let config = world::config(dir.path())?;
    let life = |serial| if serial <= RUNNING / part { Life::Running } else { Life::Cold };
    let bottles: Result<Vec<_>, Fault> =
        (1..=BOTTLES / part).map(|serial| world::bottle(serial, true, life(serial))).collect();
    let bottles = bottles?;
    let engine = Arc::new(MemoryEngine::ended(bottles.iter()));
    world::fill(&config.data_dir, bottles).await?;
    let forge = Arc::new(InstantForge::new()?);
    let begun = now();
    let running = world::start(config, forge, engine).await?;
    let store = running.daemon().store.clone();
    while store.write(|books| Ok(books.slot_bottles()?.len())).await? > 0 {
        if begun.elapsed() > PATIENCE {
            return Err("bottles without containers still count as running".into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = ms_since(begun);
    drop(store);
    running.stop().await;
    Ok(took)
}
