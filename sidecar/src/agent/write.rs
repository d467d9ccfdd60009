//! Writing: within the grant, within the budget, and never without a record.

use std::sync::Arc;

use forge::{ForgeError, ScopedForge, again};
use protocol::{
    agent::Written,
    error::{ErrorCode, RpcError},
    event::{Operation, OperationOutcome},
    ids::IssueNumber,
    item::Comment,
    limits::COMMENT_MAX_BYTES,
};
use tokio::time::Instant;

use super::post::Post;
use crate::{
    failure, marker,
    oplog::{self, Act},
    phase::Sidecar,
    queue::Place,
    session::Work,
};

/// Posts a comment. One whose fate is unknown is looked for before it is posted again, also when the
/// agent was told so and comes again with the same (CASES 62, 148).
pub(super) async fn post_comment(
    sidecar: &Sidecar,
    number: IssueNumber,
    body: &str,
) -> Result<Comment, RpcError> {
    let work = sidecar.enter()?;
    check_text(body, "a comment")?;
    if body.trim().is_empty() {
        return Err(RpcError::new(ErrorCode::Invalid, "a comment must not be empty"));
    }
    let key = sidecar.lanes.posts.key(number, body);
    let answer = sidecar.lanes.posts.answer(key);
    let mut answer = answer.lock().await;
    if let Some(comment) = &*answer {
        return Ok(comment.clone());
    }
    let doubtful = sidecar.with_memory(|memory| memory.doubts.take(key));
    let may_be_there = doubtful.is_some();
    let mark = doubtful.unwrap_or_else(|| next_mark(sidecar, &work));
    let post = Post::new(number, body, mark.clone());
    let send = |forge: Arc<ScopedForge>| async move {
        if may_be_there { post.once_more(&forge).await } else { post.once(&forge).await }
    };
    let done = |_: &Comment| oplog::posted_comment(number);
    match write(sidecar, &work, Act::post_comment(number), send, done).await {
        Ok(mut comment) => {
            comment.body = marker::strip(&comment.body);
            *answer = Some(comment.clone());
            Ok(comment)
        }
        Err(error) => {
            let unknown =
                matches!(error.data.kind, ErrorCode::ForgeUnavailable | ErrorCode::NotReady);
            if unknown || may_be_there {
                sidecar.with_memory(|memory| memory.doubts.add(key, mark));
            }
            Err(error)
        }
    }
}

/// Replaces a description; repeating that does no harm.
pub(super) async fn update_description(
    sidecar: &Sidecar,
    number: IssueNumber,
    body: &str,
) -> Result<Written, RpcError> {
    let work = sidecar.enter()?;
    check_text(body, "a description")?;
    let body = marker::strip(body);
    let send = |forge: Arc<ScopedForge>| async move {
        again::repeat(forge.patience(), || forge.update_description(number, &body)).await
    };
    let done = |(): &()| oplog::updated_description(number);
    write(sidecar, &work, Act::update_description(number), send, done).await?;
    Ok(Written { number })
}

/// Does one write: place in the queue, budget, forge, record; in this order.
///
/// # Errors
/// Why it was not done, recorded as well, except when the record's place is what was missing.
pub(super) async fn write<T, F>(
    sidecar: &Sidecar,
    work: &Work,
    act: Act,
    send: impl FnOnce(Arc<ScopedForge>) -> F,
    done: impl FnOnce(&T) -> Operation,
) -> Result<T, RpcError>
where
    F: Future<Output = Result<T, ForgeError>>,
{
    let place = sidecar.log.reserve().await?;
    take_budget(sidecar, work, &act).await?;
    match work.until_cut(send(work.session().forge())).await {
        Ok(Ok(made)) => {
            sidecar.with_memory(|memory| memory.counts.writes += 1);
            sidecar.log.record(sidecar.stamp(work.session()), done(&made), Some(place)).await;
            Ok(made)
        }
        Ok(Err(error)) => Err(not_done(sidecar, work, &act, &error, Some(place)).await),
        Err(cut) => {
            let entry = act.failed(&cut.to_string());
            sidecar.log.record(sidecar.stamp(work.session()), entry, Some(place)).await;
            Err(RpcError::new(ErrorCode::NotReady, cut.to_string()))
        }
    }
}

/// Takes one write of the budget.
///
/// # Errors
/// [`ErrorCode::LimitReached`] with the time to wait; recorded.
pub(crate) async fn take_budget(sidecar: &Sidecar, work: &Work, act: &Act) -> Result<(), RpcError> {
    let taken = sidecar.with_memory(|memory| memory.budget.take(Instant::now()));
    let Err(used_up) = taken else { return Ok(()) };
    sidecar.with_memory(|memory| memory.counts.refusals += 1);
    let entry = act.refused(&used_up.to_string());
    sidecar.log.record(sidecar.stamp(work.session()), entry, None).await;
    let mut error = RpcError::new(ErrorCode::LimitReached, used_up.to_string());
    error.data.retry_after_s = Some(used_up.retry_after.as_secs());
    Err(error)
}

/// Records what the forge, or its scope, did not do, and says it to the agent.
pub(super) async fn not_done(
    sidecar: &Sidecar,
    work: &Work,
    act: &Act,
    error: &ForgeError,
    place: Option<Place>,
) -> RpcError {
    let entry = match error {
        ForgeError::OutOfScope { number, writable } => act.out_of_scope(*number, writable),
        other => act.failed(&other.to_string()),
    };
    if failure::outcome(error) == OperationOutcome::Refused {
        sidecar.with_memory(|memory| {
            memory.counts.refusals += 1;
            memory.budget.give_back();
        });
    }
    sidecar.log.record(sidecar.stamp(work.session()), entry, place).await;
    failure::to_rpc(error)
}

/// Size and characters of a text that goes to the forge.
pub(super) fn check_text(text: &str, what: &str) -> Result<(), RpcError> {
    let invalid = |why: String| Err(RpcError::new(ErrorCode::Invalid, why));
    if text.len() > COMMENT_MAX_BYTES {
        return invalid(format!(
            "{what} has at most {COMMENT_MAX_BYTES} bytes, this one has {}",
            text.len()
        ));
    }
    if text.contains('\0') {
        return invalid(format!("{what} must not contain a NUL character"));
    }
    Ok(())
}

/// The mark of the next comment.
fn next_mark(sidecar: &Sidecar, work: &Work) -> String {
    let number = sidecar.with_memory(|memory| {
        memory.comments += 1;
        memory.comments
    });
    let session = work.session();
    let runs = sidecar.runs.borrow();
    marker::of_comment(&session.grant.slug, runs.current(), &session.nonce, number)
}
