//! What is settled before a call is looked at: whether its repository has another name now.

use axum::{
    body::Body,
    http::{Request, Response, StatusCode, header},
};

use super::{api::request::authenticate, forge::Forge, registry::RepoPath};

/// Where the API's calls about repositories begin.
const API: &str = "/api/v1/repos/";

/// The redirect that Gitea answers for a repository that was renamed or transferred, for API and
/// git alike: 301, because git follows no other.
pub(crate) fn redirect(forge: &Forge, request: &Request<Body>) -> Option<Response<Body>> {
    let path = request.uri().path();
    let rest = path.strip_prefix(API).or_else(|| path.strip_prefix('/'))?;
    let mut words = rest.splitn(3, '/');
    let (owner, name) = (words.next()?, words.next()?);
    let old = RepoPath::new(owner, name);
    let now = forge.read(|registry| {
        // Credentials come first: nobody learns new names with a token that is none.
        authenticate(registry, request.headers()).ok()?;
        registry.moved_to(&old).cloned()
    })?;
    let target = request.uri().path_and_query()?.as_str();
    let target = target.replacen(&old.to_string(), &now.to_string(), 1);
    Response::builder()
        .status(StatusCode::MOVED_PERMANENTLY)
        .header(header::LOCATION, &target)
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .body(Body::from(format!("<a href=\"{target}\">Moved Permanently</a>.\n\n")))
        .ok()
}
