//! The routes of Gitea's API under `/api/v1`.

mod accounts;
mod admin;
mod branches;
mod comments;
mod contents;
mod hooks;
mod issues;
mod labels;
mod page;
mod pulls;
mod repos;
pub(crate) mod request;
mod reviews;
mod statuses;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{delete, get, patch, post, put},
};

use super::{answer::Refusal, forge::Forge, git_http};

/// Gitea has no limit of its own; this one only keeps a test from eating the machine.
const BODY_MAX_BYTES: usize = 32 * 1024 * 1024;

/// The whole server: API and git.
pub(crate) fn router(forge: Arc<Forge>) -> Router {
    let api = Router::new().merge(account_routes()).merge(repo_routes()).merge(issue_routes());
    let api = api.merge(pull_routes()).layer(DefaultBodyLimit::max(BODY_MAX_BYTES));
    Router::new()
        .nest("/api/v1", api)
        .merge(git_http::routes())
        .fallback(|| async { Refusal::NoSuchPage })
        .with_state(forge)
}

fn account_routes() -> Router<Arc<Forge>> {
    Router::new()
        .route("/version", get(accounts::version))
        .route("/user", get(accounts::own_user))
        .route("/user/orgs", get(accounts::own_orgs))
        .route("/user/repos", post(repos::create_own))
        .route("/users/{user}", get(accounts::user))
        .route("/users/{user}/tokens", post(admin::create_token))
        .route("/admin/users", post(admin::create_user))
        .route("/admin/users/{user}", patch(admin::edit_user).delete(admin::delete_user))
        .route("/admin/users/{user}/rename", post(admin::rename_user))
        .route("/orgs", post(accounts::create_org))
        .route("/orgs/{org}", get(accounts::org).delete(admin::delete_org))
        .route("/orgs/{org}/repos", post(repos::create_for_org))
        .route("/orgs/{org}/teams", get(accounts::teams))
        .route("/orgs/{org}/members", get(accounts::members))
        .route("/orgs/{org}/members/{user}", get(accounts::is_member))
        .route(
            "/teams/{team}/members/{user}",
            put(accounts::add_team_member).delete(accounts::remove_team_member),
        )
}

fn repo_routes() -> Router<Arc<Forge>> {
    let collaborator =
        get(repos::is_collaborator).put(repos::add_collaborator).delete(repos::remove_collaborator);
    let branch = get(branches::get).patch(branches::rename).delete(branches::delete);
    let hook = get(hooks::get).patch(hooks::edit).delete(hooks::delete);
    let routes = Router::new()
        .route("/", get(repos::repo).patch(repos::edit).delete(repos::delete))
        .route("/transfer", post(repos::transfer))
        .route("/contents", get(contents::root))
        .route("/contents/{*file}", get(contents::file))
        .route("/collaborators/{user}", collaborator)
        .route("/collaborators/{user}/permission", get(repos::permission))
        .route("/labels", get(labels::of_repo).post(labels::create))
        .route("/hooks", get(hooks::list).post(hooks::create))
        .route("/hooks/{id}", hook)
        .route("/branches", get(branches::list))
        .route("/branches/{*branch}", branch)
        .route("/statuses/{sha}", get(statuses::list).post(statuses::create))
        .route("/commits/{sha}/statuses", get(statuses::list))
        .route("/commits/{sha}/status", get(statuses::combined));
    Router::new().nest("/repos/{owner}/{repo}", routes)
}

fn issue_routes() -> Router<Arc<Forge>> {
    let of_issue =
        get(labels::of_issue).post(labels::add).put(labels::replace).delete(labels::clear);
    let comment = get(comments::get).patch(comments::edit).delete(comments::delete);
    let routes = Router::new()
        .route("/", get(issues::list).post(issues::create))
        .route("/comments", get(comments::of_repo))
        .route("/comments/{id}", comment)
        .route("/{index}", get(issues::get).patch(issues::edit).delete(issues::delete))
        .route("/{index}/comments", get(comments::of_issue).post(comments::create))
        .route("/{index}/reactions", post(issues::react))
        .route("/{index}/lock", put(issues::lock).delete(issues::unlock))
        .route("/{index}/labels", of_issue)
        .route("/{index}/labels/{id}", delete(labels::remove));
    Router::new().nest("/repos/{owner}/{repo}/issues", routes)
}

fn pull_routes() -> Router<Arc<Forge>> {
    let routes = Router::new()
        .route("/", get(pulls::list).post(pulls::create))
        .route("/{index}", get(pulls::get).patch(pulls::edit))
        .route("/{index}/{*head}", get(pulls::by_branches))
        .route("/{index}/commits", get(pulls::commits))
        .route("/{index}/files", get(pulls::files))
        .route("/{index}/merge", get(pulls::is_merged).post(pulls::merge))
        .route("/{index}/reviews", get(reviews::list).post(reviews::create))
        .route("/{index}/reviews/{id}", get(reviews::get))
        .route("/{index}/reviews/{id}/comments", get(reviews::comments));
    Router::new().nest("/repos/{owner}/{repo}/pulls", routes)
}
