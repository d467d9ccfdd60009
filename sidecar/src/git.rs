//! The git gate: smart HTTP for the one bound repository.
//!
//! Fetching passes. A push is read up to the end of its command list and goes on only when that is
//! exactly one update of this bottle's branch; everything else gets git's own kind of refusal and
//! the forge never hears of it. The credential is added here, and only on the way to the forge.
//!
//! Formats: <https://git-scm.com/docs/http-protocol>, <https://git-scm.com/docs/gitprotocol-pack>.

pub mod advertisement;
pub mod commands;
mod fetch;
pub mod front;
pub mod pkt;
mod push;
pub mod report;
pub mod upstream;

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use rpc::server::{Body, text};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{oplog::Act, phase::Sidecar, session::Work};
use upstream::{Service, UpstreamError};

/// Exchanges at a time. Each may hold an advertisement or an answer in memory, see
/// `protocol::limits`; git itself uses one connection.
const EXCHANGES_MAX: usize = 4;
/// How long an exchange waits for its turn.
const TURN_PATIENCE: Duration = Duration::from_secs(30);

/// The gate.
#[derive(Debug)]
pub struct Gate {
    sidecar: Arc<Sidecar>,
    turns: Arc<Semaphore>,
    /// Pushes, which end even when their client has gone.
    pushes: TaskTracker,
}

impl Gate {
    /// A gate that asks `sidecar` what is allowed.
    pub fn new(sidecar: Arc<Sidecar>) -> Self {
        Self { sidecar, turns: Arc::new(Semaphore::new(EXCHANGES_MAX)), pushes: TaskTracker::new() }
    }

    /// Answers a request whose path is `/git/` and `rest`.
    pub async fn handle(&self, rest: &str, request: Request<Incoming>) -> Response<Body> {
        let work = match self.sidecar.enter() {
            Ok(work) => work,
            Err(error) => return text(StatusCode::SERVICE_UNAVAILABLE, error.message),
        };
        let repo = work.session().grant.repo.to_string();
        let Some(path) = rest.strip_prefix(&repo).and_then(|rest| rest.strip_prefix(".git/"))
        else {
            return text(StatusCode::NOT_FOUND, format!("only {repo} is served here"));
        };
        let Some(ask) = Ask::read(request.method(), path, request.uri().query()) else {
            return text(StatusCode::NOT_FOUND, "not a request of git's smart HTTP protocol");
        };
        let Ok(Ok(turn)) = timeout(TURN_PATIENCE, Arc::clone(&self.turns).acquire_owned()).await
        else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "too many git commands at a time");
        };
        match ask {
            Ask::Refs(Service::UploadPack) => {
                fetch::refs(&self.sidecar, work, &request, turn).await
            }
            Ask::Pack(Service::UploadPack) => fetch::pack(&self.sidecar, work, request, turn).await,
            Ask::Refs(Service::ReceivePack) => push::refs(&self.sidecar, &work).await,
            Ask::Pack(Service::ReceivePack) => {
                let sidecar = Arc::clone(&self.sidecar);
                let task = self.pushes.spawn(async move {
                    let answer = push::pack(&sidecar, &work, request).await;
                    drop(turn);
                    answer
                });
                task.await
                    .unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))
            }
        }
    }
}

/// What git asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Refs(Service),
    Pack(Service),
}

impl Ask {
    /// The four requests of smart HTTP, to the letter.
    fn read(method: &Method, path: &str, query: Option<&str>) -> Option<Self> {
        match (method, path, query) {
            (&Method::GET, "info/refs", Some("service=git-upload-pack")) => {
                Some(Self::Refs(Service::UploadPack))
            }
            (&Method::GET, "info/refs", Some("service=git-receive-pack")) => {
                Some(Self::Refs(Service::ReceivePack))
            }
            (&Method::POST, "git-upload-pack", None) => Some(Self::Pack(Service::UploadPack)),
            (&Method::POST, "git-receive-pack", None) => Some(Self::Pack(Service::ReceivePack)),
            _ => None,
        }
    }
}

/// Records that the forge did not answer as it should, and tells git.
async fn failed(
    sidecar: &Sidecar,
    work: &Work,
    act: &Act,
    error: &UpstreamError,
) -> Response<Body> {
    sidecar.log.record(sidecar.stamp(work.session()), act.failed(&error.to_string()), None).await;
    text(error.status(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_four_requests_are_read() {
        let (get, post) = (Method::GET, Method::POST);
        let refs = Some("service=git-upload-pack");
        assert_eq!(Ask::read(&get, "info/refs", refs), Some(Ask::Refs(Service::UploadPack)));
        assert_eq!(
            Ask::read(&post, "git-receive-pack", None),
            Some(Ask::Pack(Service::ReceivePack))
        );
        for (method, path, query) in [
            (&get, "info/refs", None),
            (&get, "info/refs", Some("service=git-upload-archive")),
            (&get, "info/refs", Some("service=git-upload-pack&x=1")),
            (&post, "info/refs", refs),
            (&get, "git-upload-pack", None),
            (&post, "git-upload-pack", Some("x")),
            (&get, "HEAD", None),
            (&get, "objects/info/packs", None),
            (&post, "../other.git/git-upload-pack", None),
        ] {
            assert_eq!(Ask::read(method, path, query), None, "{path} {query:?}");
        }
    }
}
