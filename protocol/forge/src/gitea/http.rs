//! One bounded question and its bounded answer.
//!
//! No redirect is followed, no proxy of the environment used, nothing repeated. The certificates
//! that are trusted are compiled in, plus the organisation's own: it works in an empty image, where
//! the system has none.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use protocol::{grant::ForgeAccess, limits, secret::Secret};
use reqwest::{Client, Response, redirect};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{SetupError, address::Address, failure::failure, words::Words};
use crate::{ForgeError, tls::trusted_roots};

/// The most that is read of an answer that is not a success: enough for any explanation.
const FAILURE_MAX_BYTES: usize = 64 * 1024;

/// How long and how much is waited for and read. [`Bounds::default`] has the project's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// One call, from connect to the last byte.
    pub call_timeout: Duration,
    /// Reaching the forge.
    pub connect_timeout: Duration,
    /// One answer.
    pub answer_max_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            call_timeout: limits::FORGE_CALL_TIMEOUT,
            connect_timeout: limits::FORGE_CONNECT_TIMEOUT,
            answer_max_bytes: limits::FORGE_ANSWER_MAX_BYTES,
        }
    }
}

/// The way to one forge with one account.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    root: Url,
    words: Words,
    bounds: Bounds,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Answer {
    /// What kind.
    pub(super) status: StatusCode,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// Its body, at most as much as was allowed.
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// Whether it says of itself that it is JSON; a login page does not (CASES 191).
    pub(super) fn is_json(&self) -> bool {
        self.is_of("application/json")
    }

    /// Whether the forge itself says that the object asked for is not there. A 404 without JSON is
    /// somebody else's: a proxy's whose forge restarts, or the router's of a forge that does not
    /// know the call.
    pub(super) fn is_missing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.is_json()
    }

    /// Whether the forge does not know the call: Gitea 1.15 answers in plain text then. A page is
    /// a proxy's.
    pub(super) fn is_unknown_call(&self) -> bool {
        let unrouted = self.status == StatusCode::NOT_FOUND && self.is_of("text/plain");
        unrouted || self.status == StatusCode::METHOD_NOT_ALLOWED
    }

    fn is_of(&self, wanted: &str) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|value| value.split(';').next()).unwrap_or_default();
        kind.trim().eq_ignore_ascii_case(wanted)
    }
}

impl Http {
    /// Prepares the way; nothing is sent yet.
    pub(super) fn new(
        access: &ForgeAccess,
        token: Secret,
        bounds: Bounds,
    ) -> Result<Self, SetupError> {
        let root = api_root(&access.url)?;
        let client = Client::builder()
            .default_headers(default_headers(&token)?)
            .user_agent(concat!("bot-bottle/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .timeout(bounds.call_timeout)
            .connect_timeout(bounds.connect_timeout)
            .tls_certs_only(trusted_roots(access.ca_pem.as_deref())?)
            .build()
            .map_err(|source| SetupError::Client { source })?;
        Ok(Self { client, root, words: Words::new(token), bounds })
    }

    /// Asks, and expects JSON of a shape.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        address: &Address,
        what: &str,
    ) -> Result<T, ForgeError> {
        let answer = self.ask(address, what).await?;
        self.json(&answer, what)
    }

    /// Asks, and leaves it to the caller what the status means.
    pub(super) async fn ask(&self, address: &Address, what: &str) -> Result<Answer, ForgeError> {
        self.exchange(Method::GET, address, None, what).await
    }

    /// Changes something, once, and expects JSON of a shape.
    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        address: &Address,
        body: &(impl Serialize + Sync),
        what: &str,
    ) -> Result<T, ForgeError> {
        let body = serde_json::to_vec(body).map_err(|error| ForgeError::Rejected {
            what: what.to_owned(),
            message: error.to_string(),
        })?;
        let answer = self.exchange(method, address, Some(body), what).await?;
        self.json(&answer, what)
    }

    /// The error that an answer stands for.
    pub(super) fn failure(&self, answer: &Answer, what: &str) -> ForgeError {
        failure(what, answer, &self.words)
    }

    /// Reads a successful answer; any other becomes its error.
    pub(super) fn json<T: DeserializeOwned>(
        &self,
        answer: &Answer,
        what: &str,
    ) -> Result<T, ForgeError> {
        if !answer.status.is_success() {
            return Err(self.failure(answer, what));
        }
        if !answer.is_json() {
            return Err(bad_answer(
                what,
                format!("status {} without JSON", answer.status.as_u16()),
            ));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| bad_answer(what, self.words.clean(&error.to_string())))
    }

    async fn exchange(
        &self,
        method: Method,
        address: &Address,
        body: Option<Vec<u8>>,
        what: &str,
    ) -> Result<Answer, ForgeError> {
        let url =
            address.under(&self.root).ok_or_else(|| bad_answer(what, "no address".to_owned()))?;
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| self.broken(what, error))?;
        self.receive(response, what).await
    }

    async fn receive(&self, mut response: Response, what: &str) -> Result<Answer, ForgeError> {
        let status = response.status();
        let headers = response.headers().clone();
        let max =
            if status.is_success() { self.bounds.answer_max_bytes } else { FAILURE_MAX_BYTES };
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= max => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) if status.is_success() => {
                    return Err(bad_answer(what, format!("longer than {max} bytes")));
                }
                Err(error) if status.is_success() => return Err(self.broken(what, error)),
                // The status of a failure tells enough, with or without its explanation.
                Ok(_) | Err(_) => return Ok(Answer { status, headers, body }),
            }
        }
    }

    /// No answer, or not all of it: whether a change was made is unknown.
    fn broken(&self, what: &str, error: reqwest::Error) -> ForgeError {
        let message = if error.is_timeout() {
            format!("no whole answer within {} s", self.bounds.call_timeout.as_secs_f32())
        } else {
            let kind = if error.is_connect() { "cannot connect" } else { "the connection broke" };
            self.words.clean(&format!("{kind}: {}", root_cause(&error.without_url())))
        };
        ForgeError::Server { what: what.to_owned(), message }
    }
}

/// An answer that cannot be used.
pub(super) fn bad_answer(what: &str, message: String) -> ForgeError {
    ForgeError::BadAnswer { what: what.to_owned(), message }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// `<url>/api/v1/`, of an address that has nothing but scheme, host, port and path.
fn api_root(url: &Url) -> Result<Url, SetupError> {
    let refuse = |why| Err(SetupError::Address { why });
    if !matches!(url.scheme(), "http" | "https") {
        return refuse("it must begin with https:// or http://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("it must not hold a name or password; the token is given in a file");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("it must not hold a query or fragment");
    }
    let mut root = url.clone();
    match root.path_segments_mut() {
        Ok(mut segments) => segments.pop_if_empty().extend(["api", "v1", ""]),
        Err(()) => return refuse("it must have a host"),
    };
    Ok(root)
}

fn default_headers(token: &Secret) -> Result<HeaderMap, SetupError> {
    let value = format!("token {}", token.expose());
    let mut authorization = HeaderValue::from_str(&value).map_err(|_| SetupError::Token)?;
    authorization.set_sensitive(true);
    let accept = HeaderValue::from_static("application/json");
    Ok([(header::AUTHORIZATION, authorization), (header::ACCEPT, accept)].into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_root_keeps_the_path_of_the_forge() {
        let root = |text: &str| api_root(&Url::parse(text).unwrap()).map(String::from);
        assert_eq!(root("https://git.example.org").unwrap(), "https://git.example.org/api/v1/");
        assert_eq!(root("http://h:3000/sub/").unwrap(), "http://h:3000/sub/api/v1/");
        for bad in [
            "ftp://h/",
            "https://u:p@h/",
            "https://h/?a=b",
            "https://h/#f",
            "data:,x",
            "file:///etc",
        ] {
            assert!(root(bad).is_err(), "{bad}");
        }
    }
}
