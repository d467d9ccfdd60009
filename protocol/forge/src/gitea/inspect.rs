//! What an operator's doctor asks of a forge: its clock, our rights, its webhooks. Nothing is changed.

use ::http::header;
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use protocol::ids::RepoName;
use serde::Deserialize;
use url::Url;

use super::{Gitea, address::Address, pages::Pages};
use crate::ForgeError;

/// What our account may do in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Everything; asked about others' permissions, a forge answers to administrators only.
    pub admin: bool,
    /// Push.
    pub push: bool,
    /// Read.
    pub pull: bool,
}

/// A webhook of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its number.
    pub id: u64,
    /// Whether it is switched on.
    pub active: bool,
    /// Where it delivers to, where that is an address.
    pub url: Option<Url>,
    /// What it tells of.
    pub events: Vec<String>,
    /// How it writes: `json` or `form`.
    pub content_type: String,
}

#[derive(Deserialize)]
struct WireRights {
    permissions: Option<WirePermissions>,
}

#[derive(Deserialize, Default)]
struct WirePermissions {
    #[serde(default)]
    admin: bool,
    #[serde(default)]
    push: bool,
    #[serde(default)]
    pull: bool,
}

#[derive(Deserialize)]
struct WireHook {
    id: u64,
    #[serde(default)]
    active: bool,
    events: Option<Vec<String>>,
    config: Option<WireHookConfig>,
}

#[derive(Deserialize, Default)]
struct WireHookConfig {
    url: Option<String>,
    content_type: Option<String>,
}

impl Gitea {
    /// The forge's time, to the second; `None` when it does not tell.
    ///
    /// # Errors
    /// The forge's.
    pub async fn time(&self) -> Result<Option<Timestamp>, ForgeError> {
        let answer = self.http.ask(&Address::of("version"), "read the forge's time").await?;
        let date = answer.headers.get(header::DATE).and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok()))
    }

    /// What our account may do in a repository.
    ///
    /// # Errors
    /// The forge's.
    pub async fn rights(&self, repo: &RepoName) -> Result<Rights, ForgeError> {
        let what = format!("read our rights in {repo}");
        let found: WireRights = self.http.get(&Address::repo(repo), &what).await?;
        let WirePermissions { admin, push, pull } = found.permissions.unwrap_or_default();
        Ok(Rights { admin, push, pull })
    }

    /// The webhooks of a repository; only its administrators see them.
    ///
    /// # Errors
    /// The forge's.
    pub async fn hooks(&self, repo: &RepoName) -> Result<Vec<Hook>, ForgeError> {
        let what = format!("read the webhooks of {repo}");
        let address = Address::repo(repo).word("hooks");
        let hooks = Pages::new(&self.http, address, &what, |hook: &WireHook| hook.id).all().await?;
        let hook = |hook: WireHook| {
            let config = hook.config.unwrap_or_default();
            Hook {
                id: hook.id,
                active: hook.active,
                url: config.url.and_then(|url| url.parse().ok()),
                events: hook.events.unwrap_or_default(),
                content_type: config.content_type.unwrap_or_default(),
            }
        };
        Ok(hooks.into_iter().map(hook).collect())
    }
}
