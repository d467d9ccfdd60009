//! One bounded question and its bounded answer.
//!
//! No redirect is followed, no proxy of the environment used. Repeated is what was refused before it
//! was done (a short rate limit, a connection that was never made), and a read whose answer was
//! lost; a write that may have been done is not. The certificates that are trusted are compiled in,
//! plus the organisation's own: it works in an empty image, where the system has none.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use protocol::{grant::ForgeAccess, limits, secret::Secret};
use reqwest::{Client, Response, redirect};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, sleep};
use url::Url;

use super::{SetupError, address::Address, failure::failure, quiet::Quiet, words::Words};
use crate::{ForgeError, tls::trusted_roots};

/// The most that is read of an answer that is not a success: enough for any explanation.
const FAILURE_MAX_BYTES: usize = 64 * 1024;

/// A rate limit that is over so soon is waited for within the call; the caller deals with others.
const LIMIT_WAIT_MAX: Duration = Duration::from_secs(5);

/// Idle connections kept: as many as calls are likely to go on at a time. Each holds a descriptor.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// How long and how much is waited for and read. [`Bounds::default`] has the project's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// One call, from connect to the last byte, with its repetitions.
    pub call_timeout: Duration,
    /// Reaching the forge.
    pub connect_timeout: Duration,
    /// One answer.
    pub answer_max_bytes: usize,
    /// How often a call is made at most, where it may be repeated.
    pub tries: usize,
    /// Before the second try; the later ones are longer.
    pub first_pause: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            call_timeout: limits::FORGE_CALL_TIMEOUT,
            connect_timeout: limits::FORGE_CONNECT_TIMEOUT,
            answer_max_bytes: limits::FORGE_ANSWER_MAX_BYTES,
            // A forge that restarts is away for a few seconds.
            tries: 4,
            first_pause: Duration::from_millis(300),
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
    quiet: Quiet,
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

    /// Whether the forge, or a proxy before it, may answer otherwise in a moment.
    fn is_passing(&self) -> bool {
        self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED
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
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .tls_certs_only(trusted_roots(access.ca_pem.as_deref())?)
            .build()
            .map_err(|source| SetupError::Client { source })?;
        Ok(Self { client, root, words: Words::new(token), bounds, quiet: Quiet::default() })
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
        self.settle(Method::GET, address, None, what).await
    }

    /// Changes something, at most once, and expects JSON of a shape.
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
        let answer = self.settle(method, address, Some(body), what).await?;
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

    /// Exchanges, and again where that does no harm, until the time of one call is over.
    async fn settle(
        &self,
        method: Method,
        address: &Address,
        body: Option<Vec<u8>>,
        what: &str,
    ) -> Result<Answer, ForgeError> {
        let deadline = Instant::now() + self.bounds.call_timeout;
        let mut pauses = self.bounds.pauses();
        loop {
            let result = match self.quiet.check(what) {
                Ok(()) => self.exchange(&method, address, body.clone(), deadline, what).await,
                Err(held) => Err(held),
            };
            let pause = pauses.next().and_then(|pause| self.again(&method, &result, pause, what));
            match pause {
                Some(pause) if Instant::now() + pause < deadline => sleep(pause).await,
                Some(_) | None => return result,
            }
        }
    }

    /// How long to wait before the same is sent again; `None` when it must not be.
    fn again(
        &self,
        method: &Method,
        result: &Result<Answer, ForgeError>,
        pause: Duration,
        what: &str,
    ) -> Option<Duration> {
        let is_read = *method == Method::GET;
        match result {
            Err(ForgeError::Unreachable { .. }) => Some(pause),
            Err(ForgeError::Server { .. }) => is_read.then_some(pause),
            Ok(answer) if answer.is_passing() => is_read.then_some(pause),
            Ok(answer) if answer.status.is_client_error() => {
                let failure = self.failure(answer, what);
                self.quiet.hear(&failure);
                short_limit(&failure)
            }
            Err(held @ ForgeError::RateLimited { .. }) => short_limit(held),
            Ok(_) | Err(_) => None,
        }
    }

    async fn exchange(
        &self,
        method: &Method,
        address: &Address,
        body: Option<Vec<u8>>,
        deadline: Instant,
        what: &str,
    ) -> Result<Answer, ForgeError> {
        let url =
            address.under(&self.root).ok_or_else(|| bad_answer(what, "no address".to_owned()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        let mut request = self.client.request(method.clone(), url).timeout(left);
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

    /// No answer, or not all of it: whether a change was made is unknown, if it was sent at all.
    fn broken(&self, what: &str, error: reqwest::Error) -> ForgeError {
        let what = what.to_owned();
        if error.is_connect() {
            let message = self.words.clean(&root_cause(&error.without_url()));
            return ForgeError::Unreachable { what, message };
        }
        let message = if error.is_timeout() {
            format!("no whole answer within {} s", self.bounds.call_timeout.as_secs_f32())
        } else {
            self.words.clean(&format!("the connection broke: {}", root_cause(&error.without_url())))
        };
        ForgeError::Server { what, message }
    }
}

impl Bounds {
    /// One pause after each try but the last: doubled each time, and scattered.
    fn pauses(&self) -> impl Iterator<Item = Duration> + use<> {
        ExponentialBuilder::new()
            .with_min_delay(self.first_pause)
            .with_max_times(self.tries.saturating_sub(1))
            .with_jitter()
            .build()
    }
}

/// The wait for a limit that is over soon. What it refused was not done.
fn short_limit(error: &ForgeError) -> Option<Duration> {
    error.retry_after().filter(|wait| *wait <= LIMIT_WAIT_MAX)
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
