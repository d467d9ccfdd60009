//! Git's smart HTTP, by running `git http-backend` as a CGI program.
//!
//! Both directions are streamed. The answer to a push ends only when the forge has taken
//! note of it, so a client that saw its push succeed also sees what followed from it.

mod cgi;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};

use self::cgi::Cgi;
use super::{
    access::Access, action::push::RefUpdate, answer::Refusal, api::request::authenticate,
    forge::Forge, registry::RepoPath,
};

/// What Gitea answers to a push to an archived repository.
const ARCHIVED: &str = "This repo is archived. You can view files and clone it, but cannot push or \
                        open issues or pull requests.\n";

/// The three addresses of the protocol.
pub(crate) fn routes() -> Router<Arc<Forge>> {
    Router::new()
        .route("/{owner}/{repo}/info/refs", get(info_refs))
        .route("/{owner}/{repo}/git-upload-pack", post(upload_pack))
        .route("/{owner}/{repo}/git-receive-pack", post(receive_pack))
}

/// Whether the client fetches or pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Fetch,
    Push,
}

type RepoParams = Path<(String, String)>;

async fn info_refs(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo)): RepoParams,
    request: Request,
) -> Response {
    let direction = match request.uri().query() {
        Some(query) if query.contains("service=git-receive-pack") => Direction::Push,
        Some(query) if query.contains("service=git-upload-pack") => Direction::Fetch,
        // The old protocol, which reads files, is not served.
        _ => return Refusal::Forbidden.into_response(),
    };
    serve(forge, RepoPath::new(&owner, &repo), direction, "info/refs", request).await
}

async fn upload_pack(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo)): RepoParams,
    request: Request,
) -> Response {
    let path = RepoPath::new(&owner, &repo);
    serve(forge, path, Direction::Fetch, "git-upload-pack", request).await
}

async fn receive_pack(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo)): RepoParams,
    request: Request,
) -> Response {
    let path = RepoPath::new(&owner, &repo);
    serve(forge, path, Direction::Push, "git-receive-pack", request).await
}

async fn serve(
    forge: Arc<Forge>,
    path: RepoPath,
    direction: Direction,
    rest: &str,
    request: Request,
) -> Response {
    let user = match authorize(&forge, &path, direction, request.headers()) {
        Ok(user) => user,
        Err(Refusal::Unauthorized) => return challenge(),
        Err(Refusal::Locked(_)) => return (StatusCode::FORBIDDEN, ARCHIVED).into_response(),
        Err(refusal) => return refusal.into_response(),
    };
    let cgi = match Cgi::start(&forge, &path, rest, user.as_deref(), request).await {
        Ok(cgi) => cgi,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, %path, "git http-backend failed");
            return Refusal::Internal(error.to_string()).into_response();
        }
    };
    let (status, headers) = (cgi.status, cgi.headers.clone());
    let body = Body::from_stream(cgi.into_stream(move |push| async move {
        let Some(user) = user.filter(|_| !push.updates.is_empty()) else { return };
        let noted = forge.after_push(&user, &path, push.updates, push.options).await;
        if let Err(refusal) = noted {
            tracing::warn!(%refusal, %path, "push not followed up");
        }
    }));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// What the post-receive hook wrote down.
#[derive(Debug, Default)]
struct PushRecord {
    updates: Vec<RefUpdate>,
    options: Vec<String>,
}

impl PushRecord {
    fn parse(text: &str) -> Self {
        let mut record = Self::default();
        for line in text.lines() {
            if let Some(option) = line.strip_prefix("option ") {
                record.options.push(option.to_owned());
            }
            let mut words = line.strip_prefix("ref ").unwrap_or_default().splitn(3, ' ');
            if let (Some(old), Some(new), Some(name)) = (words.next(), words.next(), words.next()) {
                let (old, new, name) = (old.to_owned(), new.to_owned(), name.to_owned());
                record.updates.push(RefUpdate { name, old, new });
            }
        }
        record
    }
}

/// Who this is, if they may do this. Nobody may fetch public repositories; whatever else is
/// refused to nobody with 401, so that git asks for credentials.
fn authorize(
    forge: &Forge,
    path: &RepoPath,
    direction: Direction,
    headers: &HeaderMap,
) -> Result<Option<String>, Refusal> {
    let needed = if direction == Direction::Push { Access::Write } else { Access::Read };
    forge.read(|registry| {
        let user = authenticate(registry, headers)?;
        let checked = if direction == Direction::Push {
            registry.repo_to_change(user.as_deref(), path, needed)
        } else {
            registry.repo_for(user.as_deref(), path, needed)
        };
        if checked.is_err() && user.is_none() {
            return Err(Refusal::Unauthorized);
        }
        checked.map(|_| user)
    })
}

fn challenge() -> Response {
    let mut response = (StatusCode::UNAUTHORIZED, "Unauthorized\n").into_response();
    let realm = HeaderValue::from_static("Basic realm=\"Gitea\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
    response
}
