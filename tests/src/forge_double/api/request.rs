//! Reading requests: who asks, which repository, which number, what body.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::DeserializeOwned};

use crate::forge_double::{
    answer::Refusal,
    forge::Forge,
    registry::{Registry, RepoPath},
};

/// What Gitea says to an account whose sign-in is prohibited.
const SUSPENDED: &str =
    "This account is prohibited from signing in, please contact your site administrator.";

/// Whose token a request carries.
///
/// # Errors
/// 401 for credentials nobody has, 403 for a suspended account; none at all is `Ok(None)`.
pub(crate) fn authenticate(
    registry: &Registry,
    headers: &HeaderMap,
) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let candidates = value.to_str().map(candidates).unwrap_or_default();
    let mut users = registry.users.values();
    let user = users.find(|user| candidates.contains(&user.token)).ok_or(Refusal::Unauthorized)?;
    if user.is_suspended {
        return Err(Refusal::ForbiddenSaying(SUSPENDED.to_owned()));
    }
    Ok(Some(user.login.clone()))
}

/// The tokens an `Authorization` header may mean: in Basic, Gitea takes one as the password
/// of any user, or as the user name.
fn candidates(value: &str) -> Vec<String> {
    let Some((scheme, rest)) = value.trim().split_once(' ') else { return Vec::new() };
    let rest = rest.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "token" | "bearer" => vec![rest.to_owned()],
        "basic" => {
            let decoded = STANDARD.decode(rest).unwrap_or_default();
            let text = String::from_utf8_lossy(&decoded).into_owned();
            text.splitn(2, ':').filter(|part| !part.is_empty()).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// Who asks; `None` is anonymous.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Option<String>);

impl Caller {
    /// The login, if any.
    pub(crate) fn login(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl FromRequestParts<Arc<Forge>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, forge: &Arc<Forge>) -> Result<Self, Refusal> {
        forge.read(|registry| authenticate(registry, &parts.headers)).map(Self)
    }
}

/// Who asks, where anonymous requests are refused.
#[derive(Debug, Clone)]
pub(crate) struct Signed(pub(crate) String);

impl FromRequestParts<Arc<Forge>> for Signed {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, forge: &Arc<Forge>) -> Result<Self, Refusal> {
        let Caller(login) = Caller::from_request_parts(parts, forge).await?;
        login.map(Self).ok_or(Refusal::Unauthorized)
    }
}

#[derive(Debug, Deserialize)]
struct RepoParams {
    owner: String,
    repo: String,
}

impl FromRequestParts<Arc<Forge>> for RepoPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, forge: &Arc<Forge>) -> Result<Self, Refusal> {
        let params = Path::<RepoParams>::from_request_parts(parts, forge).await;
        let Path(params) = params.map_err(|_| Refusal::not_found())?;
        Ok(Self::new(&params.owner, &params.repo))
    }
}

/// The number in the path of an issue, pull request or comment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Index(pub(crate) u64);

#[derive(Debug, Deserialize)]
struct IndexParams {
    index: String,
}

impl FromRequestParts<Arc<Forge>> for Index {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, forge: &Arc<Forge>) -> Result<Self, Refusal> {
        let params = Path::<IndexParams>::from_request_parts(parts, forge).await;
        let Path(params) = params.map_err(|_| Refusal::not_found())?;
        params.index.parse().map(Self).map_err(|_| Refusal::not_found())
    }
}

/// The id in the path of a comment, review, label or hook.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Id {
    pub(crate) id: u64,
}

impl FromRequestParts<Arc<Forge>> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, forge: &Arc<Forge>) -> Result<Self, Refusal> {
        let params = Path::<Self>::from_request_parts(parts, forge).await;
        params.map(|Path(id)| id).map_err(|_| Refusal::not_found())
    }
}

/// A JSON body.
#[derive(Debug, Clone)]
pub(crate) struct Form<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Forge>> for Form<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, forge: &Arc<Forge>) -> Result<Self, Refusal> {
        let body = Bytes::from_request(request, forge).await;
        let body = body.map_err(|error| Refusal::Unprocessable(error.body_text()))?;
        let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
        let form = serde_json::from_slice(body);
        form.map(Self).map_err(|error| Refusal::Unprocessable(error.to_string()))
    }
}
