//! Records of bottles.

use jiff::Timestamp;
use orchestrator_core::bottle::Bottle;
use protocol::ids::{IssueNumber, RepoName, Slug};
use rusqlite::{named_params, params};

use super::{Books, decode, encode, to_sql};
use crate::store::StoreError;

impl Books<'_> {
    /// One bottle.
    pub fn bottle(&self, slug: &Slug) -> Result<Option<Bottle>, StoreError> {
        Ok(self.bottles("WHERE slug = ?1", [slug.as_str()])?.pop())
    }

    /// Every bottle that is not destroyed, oldest first.
    pub fn live_bottles(&self) -> Result<Vec<Bottle>, StoreError> {
        self.bottles("WHERE live = 1 ORDER BY serial", [])
    }

    /// Live bottles and the last `limit` destroyed ones, newest first.
    pub fn recent_bottles(&self, limit: u32) -> Result<Vec<Bottle>, StoreError> {
        let sql = "WHERE live = 1 OR serial IN
            (SELECT serial FROM bottles WHERE live = 0 ORDER BY serial DESC LIMIT ?1) ORDER BY serial DESC";
        self.bottles(sql, [limit])
    }

    /// Destroyed bottles of which something may be left outside.
    pub fn unclean_bottles(&self) -> Result<Vec<Bottle>, StoreError> {
        let all = self.bottles(
            "WHERE live = 0 AND (deadline_ms IS NOT NULL OR slug IN (SELECT slug FROM effects))",
            [],
        )?;
        Ok(all)
    }

    /// The live bottle that an issue or pull request belongs to, or the last one that it had.
    pub fn bottle_about(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Option<Bottle>, StoreError> {
        let sql = "WHERE slug IN (SELECT slug FROM pulls WHERE repo = ?1 AND number = ?2)
            OR (repo = ?1 AND issue = ?2) ORDER BY live DESC, coalesce(issue = ?2, 0) DESC, serial DESC LIMIT 1";
        Ok(self.bottles(sql, params![repo.to_string(), to_sql(number.get())])?.pop())
    }

    /// How many bottles are awake.
    pub fn slots_used(&self) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM bottles WHERE uses_slot = 1";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Bottles that have a slot or wait for one.
    pub fn slot_bottles(&self) -> Result<Vec<Bottle>, StoreError> {
        self.bottles("WHERE uses_slot = 1 OR wants_slot = 1", [])
    }

    /// The number for a new bottle.
    pub fn next_serial(&self) -> Result<u32, StoreError> {
        let sql = "SELECT coalesce(max(serial), 0) + 1 FROM bottles";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// Keeps a bottle's record; `deadline` is when time alone will change it.
    ///
    /// # Errors
    /// A constraint error when another live bottle has the same issue.
    pub fn save(&self, bottle: &Bottle, deadline: Option<Timestamp>) -> Result<(), StoreError> {
        let names: Vec<&str> =
            bottle.profiles.iter().map(protocol::ids::ProfileName::as_str).collect();
        let record = encode(bottle, "bottles")?;
        let sql = "INSERT INTO bottles VALUES (:slug, :serial, :forge, :repo, :issue, :live, :uses_slot,
                :wants_slot, :deadline, :agent, :names, :backend, :login, :pr, :status, :checkin, :record)
            ON CONFLICT (slug) DO UPDATE SET live = :live, uses_slot = :uses_slot,
                wants_slot = :wants_slot, deadline_ms = :deadline, pr_number = :pr, status = :status,
                last_checkin_at = :checkin, record = :record";
        self.connection.prepare_cached(sql)?.execute(named_params! {
            ":slug": bottle.slug.as_str(),
            ":serial": bottle.serial,
            ":forge": bottle.home.forge.as_str(),
            ":repo": bottle.home.repo.to_string(),
            ":issue": bottle.home.issue.map(|number| to_sql(number.get())),
            ":live": bottle.is_live(),
            ":uses_slot": bottle.uses_slot(),
            ":wants_slot": bottle.wants_slot_since().is_some(),
            ":deadline": deadline.map(Timestamp::as_millisecond),
            ":agent": bottle.agent.as_str(),
            ":names": names.join(","),
            ":backend": bottle.backend,
            ":login": bottle.login.as_str(),
            ":pr": bottle.pull_requests.last().map(|number| to_sql(number.get())),
            ":status": bottle.state.word(),
            ":checkin": bottle.last_checkin.map(|at| at.to_string()),
            ":record": record,
        })?;
        for number in &bottle.pull_requests {
            let sql = "INSERT OR IGNORE INTO pulls VALUES (?1, ?2, ?3)";
            let row =
                params![bottle.home.repo.to_string(), to_sql(number.get()), bottle.slug.as_str()];
            self.connection.prepare_cached(sql)?.execute(row)?;
        }
        Ok(())
    }

    fn bottles(
        &self,
        rest: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<Bottle>, StoreError> {
        let mut statement =
            self.connection.prepare_cached(&format!("SELECT record FROM bottles {rest}"))?;
        let texts = statement.query_map(values, |row| row.get::<_, String>(0))?;
        texts.map(|text| decode(&text?, "bottles")).collect()
    }
}
