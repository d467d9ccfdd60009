//! Reading: anywhere in the bound repository.

use std::sync::Arc;

use forge::{ForgeError, ScopedForge};
use protocol::{
    agent::Context,
    error::RpcError,
    ids::IssueNumber,
    item::{CiReport, Comment, Issue, PullRequest, Review},
};
use tokio::time::Instant;

use super::write::not_done;
use crate::{
    marker,
    oplog::{self, Act},
    phase::Sidecar,
};

/// Asks the forge, counts it, and records a failure.
async fn ask<T, F>(
    sidecar: &Sidecar,
    act: Act,
    question: impl FnOnce(Arc<ScopedForge>) -> F,
) -> Result<T, RpcError>
where
    F: Future<Output = Result<T, ForgeError>>,
{
    let work = sidecar.enter()?;
    match work.until_cut(question(work.session().forge())).await {
        Ok(Ok(answer)) => {
            sidecar.with_memory(|memory| memory.counts.reads += 1);
            sidecar.log.count_read(&oplog::read(&act));
            Ok(answer)
        }
        Ok(Err(error)) => Err(not_done(sidecar, &work, &act, &error, None).await),
        Err(cut) => Err(RpcError::new(protocol::error::ErrorCode::NotReady, cut.to_string())),
    }
}

pub(super) async fn issue(sidecar: &Sidecar, number: IssueNumber) -> Result<Issue, RpcError> {
    let act = Act::read("read_issue", number);
    let mut issue =
        ask(sidecar, act, |forge| async move { forge.read_issue(number).await }).await?;
    issue.body = marker::strip(&issue.body);
    Ok(issue)
}

pub(super) async fn pull_request(
    sidecar: &Sidecar,
    number: IssueNumber,
) -> Result<PullRequest, RpcError> {
    let act = Act::read("read_pr", number);
    let mut pull = ask(sidecar, act, |forge| async move { forge.read_pr(number).await }).await?;
    pull.body = marker::strip(&pull.body);
    Ok(pull)
}

pub(super) async fn comments(
    sidecar: &Sidecar,
    number: IssueNumber,
) -> Result<Vec<Comment>, RpcError> {
    let act = Act::read("read_comments", number);
    let mut comments =
        ask(sidecar, act, |forge| async move { forge.read_comments(number).await }).await?;
    for comment in &mut comments {
        comment.body = marker::strip(&comment.body);
    }
    Ok(comments)
}

pub(super) async fn reviews(
    sidecar: &Sidecar,
    number: IssueNumber,
) -> Result<Vec<Review>, RpcError> {
    let act = Act::read("read_reviews", number);
    ask(sidecar, act, |forge| async move { forge.read_reviews(number).await }).await
}

pub(super) async fn ci(sidecar: &Sidecar, number: IssueNumber) -> Result<CiReport, RpcError> {
    let act = Act::read("read_ci", number);
    ask(sidecar, act, |forge| async move { forge.read_ci(number).await }).await
}

/// What the bottle is; asks nobody.
pub(super) fn context(sidecar: &Sidecar) -> Result<Context, RpcError> {
    let work = sidecar.enter()?;
    let session = work.session();
    let grant = &session.grant;
    let scope = session.forge();
    Ok(Context {
        slug: grant.slug.clone(),
        agent: grant.agent.clone(),
        run: sidecar.runs.borrow().current().cloned(),
        repo: grant.repo.clone(),
        clone_url: session.upstream.clone_url().to_owned(),
        issue: grant.issue,
        pull_requests: scope.scope().pull_requests.iter().copied().collect(),
        base: grant.base.clone(),
        branch: grant.branch.clone(),
        git_name: grant.identity.name.clone(),
        git_email: grant.identity.email.clone(),
        writes_left: sidecar.with_memory(|memory| memory.budget.left(Instant::now())),
    })
}
