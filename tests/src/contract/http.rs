//! Calls to a server's API, and what became of them.

use std::{
    collections::BTreeSet,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{
    Client, Method, RequestBuilder,
    header::{HeaderMap, LINK, LOCATION},
    redirect::Policy,
};
use serde_json::Value;

use super::Finding;
use crate::api_description::Description;

/// What one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

static DESCRIPTION: LazyLock<Description> = LazyLock::new(Description::load);

/// A server and the account that may do everything on it.
#[derive(Clone)]
pub struct Server {
    /// Its address, without a slash at the end.
    pub url: String,
    /// A token of a site admin, with all scopes.
    pub admin_token: String,
    /// How the server reaches this machine, for webhooks; `None` when it cannot.
    pub hook_host: Option<String>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The connection failed.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// No client could be made.
    #[error("prepare an HTTP client")]
    Client(#[source] reqwest::Error),
    /// No answer, or half of one.
    #[error("{method} {path}")]
    Call {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// Why.
        source: reqwest::Error,
    },
}

impl From<Broken> for Finding {
    fn from(broken: Broken) -> Self {
        let cause = std::error::Error::source(&broken).map(ToString::to_string);
        Self::Differs(format!("{broken}: {}", cause.unwrap_or_default()))
    }
}

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Credential<'a> {
    Token(&'a str),
    Password(&'a str, &'a str),
    Nobody,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) by: Credential<'a>,
    pub(super) method: &'a str,
    /// After `/api/v1`, with its query.
    pub(super) path: &'a str,
    pub(super) body: &'a Value,
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    call: String,
    pub(super) status: u16,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    /// The answer if it has this status.
    ///
    /// # Errors
    /// What it is instead.
    pub(super) fn expect(self, status: u16) -> Result<Self, Finding> {
        self.expect_one_of(&[status])
    }

    /// The answer if it has one of these statuses.
    ///
    /// # Errors
    /// What it is instead.
    pub(super) fn expect_one_of(self, wanted: &[u16]) -> Result<Self, Finding> {
        if wanted.contains(&self.status) {
            return Ok(self);
        }
        let no_route = self.status == 405 || (self.status == 404 && self.json().is_null());
        if no_route {
            return Err(Finding::Lacks(self.call));
        }
        let said: String = self.text.trim().chars().take(120).collect();
        Err(Finding::Differs(format!(
            "{}: {wanted:?} expected, got {}: {said}",
            self.call, self.status
        )))
    }

    /// The document; null when there is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The value at a place of the document.
    pub(super) fn at(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).cloned().unwrap_or_default()
    }

    /// A number that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn number(&self, pointer: &str) -> Result<u64, Finding> {
        let found = self.at(pointer);
        found.as_u64().ok_or_else(|| self.differs(&format!("{pointer} is {found}, no number")))
    }

    /// Whether a value is what it must be.
    ///
    /// # Errors
    /// What it is instead.
    pub(super) fn holds(&self, pointer: &str, wanted: &Value) -> Result<(), Finding> {
        let found = self.at(pointer);
        let is_it = found == *wanted;
        is_it
            .then_some(())
            .ok_or_else(|| self.differs(&format!("{pointer} is {found}, not {wanted}")))
    }

    /// The values at one place of each document of a list.
    pub(super) fn each(&self, pointer: &str) -> Vec<Value> {
        let list = self.json();
        let items = list.as_array().into_iter().flatten();
        items.map(|item| item.pointer(pointer).cloned().unwrap_or_default()).collect()
    }

    pub(super) fn location(&self) -> String {
        self.header(LOCATION.as_str())
    }

    /// The address of the next page.
    pub(super) fn next(&self) -> Option<String> {
        let links = self.header(LINK.as_str());
        let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
        Some(next.split_once('<')?.1.split_once('>')?.0.to_owned())
    }

    pub(super) fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    }

    /// That this answer is not what is needed.
    pub(super) fn differs(&self, how: &str) -> Finding {
        Finding::Differs(format!("{}: {how}", self.call))
    }
}

/// The connection to a server.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    url: String,
    undescribed: Mutex<BTreeSet<String>>,
}

impl Http {
    /// Prepares calls; none is made yet.
    pub(super) fn new(url: &str) -> Result<Self, Broken> {
        // Another part of this process may have chosen before; both are the same.
        rustls::crypto::ring::default_provider().install_default().ok();
        let builder = Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .timeout(CALL_TIMEOUT)
            .no_proxy();
        // Without TLS no certificates are needed, and some machines have none.
        let builder = if url.starts_with("https:") { builder } else { builder.tls_certs_only([]) };
        let client = builder.build().map_err(Broken::Client)?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { client, url, undescribed: Mutex::default() })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What did not fit the description so far.
    pub(super) fn undescribed(&self) -> BTreeSet<String> {
        self.undescribed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One call.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Reply, Broken> {
        let Call { by, method, path, body } = call;
        let kind = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let request = with_credential(self.client.request(kind, self.address(path)), by);
        let request = if body.is_null() { request } else { request.json(body) };
        let broken = |source: reqwest::Error| Broken::Call {
            method: method.to_owned(),
            path: path.to_owned(),
            source: source.without_url(),
        };
        let response = request.send().await.map_err(broken)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.map_err(broken)?;
        let reply = Reply { call: format!("{method} {path}"), status, headers, text };
        self.describe(method, path, &reply);
        Ok(reply)
    }

    /// A path of the API, or a whole address that a page named.
    fn address(&self, path: &str) -> String {
        if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}/api/v1{path}", self.url)
        }
    }

    fn describe(&self, method: &str, path: &str, reply: &Reply) {
        let path = path.split('?').next().unwrap_or(path);
        let is_json = reply.header("content-type").starts_with("application/json");
        if path.starts_with("http") || (300..400).contains(&reply.status) || !is_json {
            return;
        }
        let path = format!("/api/v1{path}");
        let checked = DESCRIPTION.check_answer(method, &path, reply.status, reply.text.as_bytes());
        let wrong = checked.err().into_iter().flatten();
        self.undescribed.lock().unwrap_or_else(PoisonError::into_inner).extend(wrong);
    }
}

fn with_credential(request: RequestBuilder, by: Credential<'_>) -> RequestBuilder {
    match by {
        Credential::Token(token) => request.header("Authorization", format!("token {token}")),
        Credential::Password(login, password) => request.basic_auth(login, Some(password)),
        Credential::Nobody => request,
    }
}
