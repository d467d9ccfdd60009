//! What `orchestrate status` shows, looked at for all errands together.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::RwLock;

use crate::rig::Rig;

/// Between two looks; each is a program of its own.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// One bottle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) slug: String,
    pub(super) repo: String,
    pub(super) issue: u64,
    pub(super) pull: Option<u64>,
    pub(super) status: String,
    pub(super) detail: String,
    pub(super) runs: u64,
}

/// Every bottle that was ever seen, as it was seen last: status shows the last destroyed ones only.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<BTreeMap<String, Row>>);

impl Board {
    /// Looks until it is dropped. A daemon that does not answer shows nothing new.
    pub(super) async fn watch(&self, rig: &RwLock<Rig>) {
        loop {
            let seen = rig.read().await.bottles().await.unwrap_or_default();
            let rows = seen.iter().filter_map(read).map(|row| (row.slug.clone(), row));
            self.rows().extend(rows);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// All bottles that an issue ever had.
    pub(super) fn of(&self, repo: &str, issue: u64) -> Vec<Row> {
        let rows = self.rows();
        rows.values().filter(|row| row.repo == repo && row.issue == issue).cloned().collect()
    }

    /// How many bottles have which status.
    pub(super) fn sentence(&self) -> String {
        let mut counts = BTreeMap::<String, usize>::new();
        for row in self.rows().values() {
            *counts.entry(row.status.clone()).or_default() += 1;
        }
        let counts: Vec<String> =
            counts.into_iter().map(|(status, count)| format!("{count} {status}")).collect();
        counts.join(", ")
    }

    fn rows(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(bottle: &Value) -> Option<Row> {
    let text = |name: &str| bottle.get(name)?.as_str().map(str::to_owned);
    Some(Row {
        slug: text("slug")?,
        repo: text("repo")?,
        issue: bottle.get("issue_number")?.as_u64()?,
        pull: bottle.get("pr_number").and_then(Value::as_u64),
        status: text("status")?,
        detail: text("detail")?,
        runs: bottle.get("runs")?.as_u64()?,
    })
}
