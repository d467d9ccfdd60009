//! Words about runs: waiting for one, its start, its end, and what the agent says of its work.

use std::sync::atomic::{AtomicUsize, Ordering};

use protocol::{
    agent::{DoneReceipt, DoneStatus, RunExit},
    error::{ErrorCode, RpcError},
    event::Happening,
    grant::RunSpec,
    ids::RunId,
    limits::{OUTPUT_TAIL_MAX_BYTES, SUMMARY_MAX_BYTES},
};
use tokio::time::{Instant, timeout};

use crate::{
    phase::{Phase, Sidecar},
    runs::{News, NoSuchRun},
    session::Work,
};

/// Counts a caller while it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Waits for a run. Waits also while there is no grant yet, so that a run starts without a round of
/// asking again; a drain ends the wait.
pub(super) async fn next(sidecar: &Sidecar) -> Result<Option<RunSpec>, RpcError> {
    let _waiting = Waiting::begin(&sidecar.waiting);
    let deadline = Instant::now() + sidecar.settings.next_run_wait;
    let (mut phase, mut runs) = (sidecar.phase.subscribe(), sidecar.runs.subscribe());
    loop {
        let is_draining = matches!(&*phase.borrow_and_update(), Phase::Draining);
        if is_draining {
            return sidecar.enter().map(|_| None);
        }
        let given = runs.borrow_and_update().to_give().cloned();
        if given.is_some() && sidecar.enter().is_ok() {
            return Ok(given);
        }
        tokio::select! {
            // Both senders live in the sidecar that we borrow.
            _ = phase.changed() => {}
            _ = runs.changed() => {}
            () = tokio::time::sleep_until(deadline) => return sidecar.enter().map(|_| None),
        }
    }
}

/// PID 1 has started a run.
pub(super) async fn started(sidecar: &Sidecar, run: RunId) -> Result<(), RpcError> {
    let work = sidecar.enter()?;
    let _one_at_a_time = sidecar.lanes.run.lock().await;
    let news = sidecar.runs.borrow().hears_start(&run).map_err(invalid)?;
    if news == News::Known {
        return Ok(());
    }
    tell(sidecar, &work, &run, Happening::RunStarted {}).await?;
    sidecar.runs.send_modify(|runs| runs.started(&run));
    Ok(())
}

/// A run's program has ended.
pub(super) async fn exited(sidecar: &Sidecar, run: RunId, exit: RunExit) -> Result<(), RpcError> {
    let work = sidecar.enter()?;
    let RunExit { code, output_tail } = exit;
    if output_tail.len() > OUTPUT_TAIL_MAX_BYTES {
        let message = format!("the output tail has at most {OUTPUT_TAIL_MAX_BYTES} bytes");
        return Err(RpcError::new(ErrorCode::Invalid, message));
    }
    let _one_at_a_time = sidecar.lanes.run.lock().await;
    let news = sidecar.runs.borrow().hears_exit(&run).map_err(invalid)?;
    if news == News::Known {
        return Ok(());
    }
    tell(sidecar, &work, &run, Happening::Exited { code, output_tail }).await?;
    sidecar.runs.send_modify(|runs| runs.exited(&run));
    Ok(())
}

/// The agent says that its work has ended. The first word of a run counts, and is durable before it
/// is answered (CASES 58, 59).
pub(super) async fn done(
    sidecar: &Sidecar,
    status: DoneStatus,
    summary: String,
) -> Result<DoneReceipt, RpcError> {
    let work = sidecar.enter()?;
    check_summary(&summary)?;
    let _one_at_a_time = sidecar.lanes.run.lock().await;
    let (run, earlier) = {
        let runs = sidecar.runs.borrow();
        (runs.current().cloned(), runs.done().cloned())
    };
    if let Some(earlier) = earlier {
        return Ok(DoneReceipt { counted: false, ..earlier });
    }
    let run = run.ok_or_else(|| RpcError::new(ErrorCode::Invalid, "no run is going on"))?;
    wait_for_pushes(sidecar, &work).await?;
    tell(sidecar, &work, &run, Happening::Done { status, summary: summary.clone() }).await?;
    let receipt = DoneReceipt { run, status, summary, counted: true };
    sidecar.runs.send_modify(|runs| runs.set_done(receipt.clone()));
    Ok(receipt)
}

/// Never "done" with a push whose fate is unknown (CASES 60).
async fn wait_for_pushes(sidecar: &Sidecar, work: &Work) -> Result<(), RpcError> {
    let waited = work.until_cut(timeout(sidecar.settings.push_patience, work.no_push())).await;
    match waited {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(RpcError::new(ErrorCode::Conflict, "a push is still going on")
            .hint("call signal_done again when the push has ended")),
        Err(cut) => Err(RpcError::new(ErrorCode::NotReady, cut.to_string())),
    }
}

fn check_summary(summary: &str) -> Result<(), RpcError> {
    if summary.len() > SUMMARY_MAX_BYTES {
        let message = format!(
            "the summary has at most {SUMMARY_MAX_BYTES} bytes, this one has {}",
            summary.len()
        );
        return Err(RpcError::new(ErrorCode::Invalid, message));
    }
    if summary.contains('\0') {
        return Err(RpcError::new(
            ErrorCode::Invalid,
            "the summary must not contain a NUL character",
        ));
    }
    Ok(())
}

/// Queues an event of a run, durably.
async fn tell(
    sidecar: &Sidecar,
    work: &Work,
    run: &RunId,
    what: Happening,
) -> Result<(), RpcError> {
    let mut stamp = sidecar.stamp(work.session());
    stamp.run = Some(run.clone());
    sidecar.queue.push(stamp, what, None).await?;
    Ok(())
}

fn invalid(error: NoSuchRun) -> RpcError {
    RpcError::new(ErrorCode::Invalid, error.to_string())
}
