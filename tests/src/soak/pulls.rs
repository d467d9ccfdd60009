//! Pull requests as the forge's API shows them.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;

use crate::rig::Fault;

/// Entries of one page.
const PAGE: usize = 50;
/// Pages read at most: more pull requests than a soak has issues.
const PAGES_MAX: usize = 100;

/// One pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pull {
    pub(super) number: u64,
    pub(super) branch: String,
    pub(super) state: PullState,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PullState {
    Open,
    Closed,
    Merged,
}

/// All of a repository.
pub(super) async fn all(base_url: &str, repo: &str) -> Result<Vec<Pull>, Fault> {
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    let mut pulls = Vec::new();
    for page in 1..=PAGES_MAX {
        let url =
            format!("{base_url}/api/v1/repos/{repo}/pulls?state=all&limit={PAGE}&page={page}");
        let request = hyper::Request::get(url).body(Empty::<Bytes>::new())?;
        let answer = client.request(request).await?;
        let entries: Vec<Value> =
            serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
        let last = entries.len() < PAGE;
        pulls.extend(entries.iter().filter_map(read));
        if last {
            return Ok(pulls);
        }
    }
    Err(format!("{repo} has too many pull requests").into())
}

fn read(entry: &Value) -> Option<Pull> {
    let state = match (entry.get("merged")?.as_bool()?, entry.get("state")?.as_str()?) {
        (true, _) => PullState::Merged,
        (false, "open") => PullState::Open,
        (false, _) => PullState::Closed,
    };
    let number = entry.get("number")?.as_u64()?;
    Some(Pull { number, branch: entry.get("head")?.get("ref")?.as_str()?.to_owned(), state })
}
