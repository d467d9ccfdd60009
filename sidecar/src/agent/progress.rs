//! The one comment that shows how far the work is.

use std::sync::Arc;

use forge::{ForgeError, ScopedForge, again};
use protocol::{
    agent::ProgressItem,
    error::{ErrorCode, RpcError},
    ids::IssueNumber,
    item::Comment,
};

use super::{post::Post, write::write};
use crate::{
    marker,
    oplog::{self, Act},
    phase::Sidecar,
    progress,
    session::Work,
};

/// Edits it, or posts it the first time. After a restart it is found by its mark.
pub(super) async fn report(sidecar: &Sidecar, items: &[ProgressItem]) -> Result<Comment, RpcError> {
    let work = sidecar.enter()?;
    let list = progress::render(items)?;
    let number = target(&work)?;
    let mark = marker::of_progress(&work.session().grant.slug);
    let post = Post::new(number, &list, mark);
    let one_at_a_time = sidecar.lanes.progress.lock().await;
    let known = sidecar
        .with_memory(|memory| memory.progress)
        .and_then(|(place, id)| (place == number).then_some(id));
    let send = |forge: Arc<ScopedForge>| async move { show(&forge, number, known, &post).await };
    let done = |_: &Comment| oplog::reported_progress(number);
    let mut comment = write(sidecar, &work, Act::report_progress(number), send, done).await?;
    sidecar.with_memory(|memory| memory.progress = Some((number, comment.id)));
    drop(one_at_a_time);
    comment.body = marker::strip(&comment.body);
    Ok(comment)
}

/// The assigned issue, else the pull request opened last.
fn target(work: &Work) -> Result<IssueNumber, RpcError> {
    let session = work.session();
    let last_pull = || session.forge().scope().pull_requests.last().copied();
    session.grant.issue.or_else(last_pull).ok_or_else(|| {
        RpcError::new(ErrorCode::Invalid, "this bottle has neither an issue nor a pull request")
    })
}

async fn show(
    forge: &ScopedForge,
    number: IssueNumber,
    known: Option<u64>,
    post: &Post,
) -> Result<Comment, ForgeError> {
    let known = match known {
        Some(id) => Some(id),
        None => post.find(forge).await?.map(|comment| comment.id),
    };
    let Some(id) = known else { return post.once(forge).await };
    let edit = || forge.edit_comment(number, id, post.text());
    match again::repeat(forge.patience(), edit).await {
        // Somebody deleted it.
        Err(ForgeError::Gone { .. }) => post.once(forge).await,
        settled => settled,
    }
}
