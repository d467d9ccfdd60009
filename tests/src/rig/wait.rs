//! Waiting for a condition, never for a time.

use std::time::Duration;

use super::Fault;

/// Longest wait for anything: a container start on a machine that builds at the same time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits until `condition` holds.
///
/// # Errors
/// When it does not after a minute; `what` says what was waited for.
pub async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) -> Result<(), Fault> {
    wait_until_for(PATIENCE, what, condition).await
}

/// Waits until `condition` holds, at most for `patience`.
///
/// # Errors
/// When it does not by then.
pub async fn wait_until_for(
    patience: Duration,
    what: &str,
    condition: impl AsyncFn() -> bool,
) -> Result<(), Fault> {
    let deadline = tokio::time::Instant::now() + patience;
    while !condition().await {
        if tokio::time::Instant::now() > deadline {
            return Err(format!("waited {} s in vain until {what}", patience.as_secs()).into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}
