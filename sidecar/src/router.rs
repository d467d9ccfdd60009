//! What is on the agent's socket beside RPC.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use rpc::server::{Body, Other, text};

use crate::{git::Gate, phase::Sidecar};

/// Sends requests to git, to the way out, or to the models.
#[derive(Debug)]
pub struct Router {
    git: Gate,
}

impl Router {
    /// A router for one sidecar.
    pub fn new(sidecar: Arc<Sidecar>) -> Self {
        Self { git: Gate::new(sidecar) }
    }
}

#[async_trait]
impl Other for Router {
    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        // A tunnel, or `GET http://elsewhere/`: requests to a proxy.
        if request.method() == Method::CONNECT || request.uri().authority().is_some() {
            return text(StatusCode::FORBIDDEN, "egress is not allowed in this bottle");
        }
        let path = request.uri().path().to_owned();
        match path.split('/').nth(1) {
            Some("git") => {
                let rest = path.strip_prefix("/git/").unwrap_or_default();
                self.git.handle(rest, request).await
            }
            Some("llm") => text(StatusCode::NOT_IMPLEMENTED, "no model is given to this bottle"),
            _ => text(StatusCode::NOT_FOUND, "there is POST / for calls and /git/ for git"),
        }
    }
}
