//! Faults of the API and of git over HTTP, given as data.

pub(crate) mod body;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
    response::Response,
};

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub enum FaultKind {
    /// Answers this status with Gitea's error body; nothing is done.
    Status(u16),
    /// Does what was asked, then answers this status as if it had failed.
    AfterThenStatus(u16),
    /// Waits, then goes on as usual.
    Delay(Duration),
    /// Does what was asked, then waits with the answer.
    DelayAfter(Duration),
    /// Answers a login page with status 200; nothing is done.
    Html200,
    /// Closes the connection without an answer; nothing is done.
    DropConnection,
    /// Does what was asked, then closes the connection without an answer.
    AfterThenDrop,
    /// Does what was asked, then breaks off in the middle of the answer.
    Cut,
    /// Does what was asked, then answers a byte at a time with this pause before each.
    Drip(Duration),
    /// Answers JSON of this many bytes; nothing is done.
    Huge(u64),
    /// Answers exactly this; nothing is done.
    Answer(CannedAnswer),
}

impl FaultKind {
    /// A rate limit, 429 or 403, that says when to come back: seconds or a date.
    pub fn rate_limit(status: u16, retry_after: &str) -> Self {
        let headers = vec![
            ("Content-Type".to_owned(), super::answer::JSON.to_owned()),
            ("Retry-After".to_owned(), retry_after.to_owned()),
        ];
        let body = "{\"message\":\"rate limit exceeded\",\"url\":\"\"}\n".to_owned();
        Self::Answer(CannedAnswer { status, headers, body })
    }

    /// Whether the answer is still the forge's own, whole.
    pub(crate) fn leaves_answer(&self) -> bool {
        matches!(self, Self::Delay(_) | Self::DelayAfter(_))
    }
}

/// An answer given word for word: rate limits, redirects, nonsense.
#[derive(Debug, Clone, Default)]
pub struct CannedAnswer {
    /// The status, such as 429.
    pub status: u16,
    /// Headers, such as `Retry-After`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl CannedAnswer {
    /// The answer; an impossible status or header gives 500.
    pub(crate) fn response(&self) -> Response {
        let mut builder = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        builder.body(Body::from(self.body.clone())).unwrap_or_else(|_| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }
}

/// A fault, and the requests it strikes.
#[derive(Debug, Clone)]
pub struct Fault {
    method: Option<Method>,
    path: String,
    skip: usize,
    times: usize,
    kind: FaultKind,
}

impl Fault {
    /// Strikes the next request of any method and path, once.
    pub fn new(kind: FaultKind) -> Self {
        Self { method: None, path: String::new(), skip: 0, times: 1, kind }
    }

    /// Only requests with this method and this text in their path and query.
    #[must_use]
    pub fn on(mut self, method: Method, path: &str) -> Self {
        self.method = Some(method);
        path.clone_into(&mut self.path);
        self
    }

    /// Only requests with this text in their path and query, whatever the method.
    #[must_use]
    pub fn on_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Strikes the `k`-th matching request from now (1 is the next), once.
    #[must_use]
    pub fn nth(mut self, k: usize) -> Self {
        self.skip = k.saturating_sub(1);
        self.times = 1;
        self
    }

    /// Strikes this many matching requests, then stops; `usize::MAX` for all.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.times = count;
        self
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method) && path.contains(&self.path)
    }
}

/// The faults still to come.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan(Mutex<Vec<Fault>>);

impl FaultPlan {
    /// Adds a fault after those already planned.
    pub(crate) fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// Forgets all planned faults.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Counts a request; gives the first planned fault that strikes it.
    pub(crate) fn strike(&self, method: &Method, path: &str) -> Option<FaultKind> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut struck = None;
        for fault in faults.iter_mut().filter(|fault| fault.matches(method, path)) {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.times > 0 && struck.is_none() {
                fault.times -= 1;
                struck = Some(fault.kind.clone());
            }
        }
        faults.retain(|fault| fault.times > 0);
        struck
    }
}

/// What a reverse proxy with its own login shows instead of the API.
pub(crate) fn login_page() -> Response {
    let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\
                <body><form method=\"post\"><input name=\"user\"></form></body></html>\n";
    let mut response = Response::new(Body::from(page));
    let html = axum::http::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}
