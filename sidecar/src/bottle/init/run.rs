//! One run after another.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use protocol::{agent::RunExit, grant::RunSpec, ids::RunId};
use tokio::sync::oneshot;

use crate::bottle::{
    init::{
        children::Children,
        git,
        launch::{Launch, LaunchError, Place},
        output,
        sidecar::Sidecar,
    },
    whole_story,
};

/// Serves the runs that the sidecar hands out.
#[derive(Debug)]
pub struct Runs {
    /// Who hands them out.
    pub sidecar: Sidecar,
    /// Who starts and reaps.
    pub children: Children,
    /// Where programs are started.
    pub place: Place,
    /// Set when no run may be started any more.
    pub stopping: Arc<AtomicBool>,
}

impl Runs {
    /// Takes one run after another until `stopping` is set and the run that is going on has ended.
    /// May be dropped while none is.
    pub async fn serve(self) {
        let mut last: Option<RunId> = None;
        while !self.stopping.load(Ordering::Relaxed) {
            let spec = self.sidecar.next_run().await;
            if last.as_ref() == Some(&spec.run) {
                // It has ended here, and the sidecar has not heard that it was started: a sidecar
                // that was restarted, or one that does not remember.
                tracing::warn!(run = %spec.run, "offered again, not started again");
                self.sidecar.run_started(&spec.run).await;
                tokio::time::sleep(OFFERED_AGAIN_PAUSE).await;
                continue;
            }
            last = Some(spec.run.clone());
            self.serve_one(&spec).await;
        }
    }

    /// Starts a run's program, sees it to its end and reports both.
    async fn serve_one(&self, spec: &RunSpec) {
        let started = self.start(spec).await;
        let exit = match started {
            Ok(running) => {
                tracing::info!(run = %spec.run, "agent started");
                // Side by side: a sidecar that does not answer must not hold up the output.
                let report = self.sidecar.run_started(&spec.run);
                tokio::join!(report, running.finish(&self.children)).1
            }
            Err(error) => {
                let reason = whole_story(&error);
                tracing::error!(run = %spec.run, %reason, "the agent could not be started");
                self.sidecar.run_started(&spec.run).await;
                RunExit { code: error.exit_code(), output_tail: format!("bottle: {reason}\n") }
            }
        };
        tracing::info!(run = %spec.run, code = exit.code, "agent ended");
        self.sidecar.run_exited(&spec.run, &exit).await;
    }

    async fn start(&self, spec: &RunSpec) -> Result<Running, LaunchError> {
        let context = self.sidecar.context().await.map_err(LaunchError::Context)?;
        git::ensure(&self.place, &context).map_err(LaunchError::Git)?;
        let Launch { mut command, output } = self.place.launch(spec, &context)?;
        let program = command.get_program().to_string_lossy().into_owned();
        let ended = self
            .children
            .start_agent(&mut command)
            .map_err(|source| LaunchError::Start { program, source })?;
        Ok(Running { ended, output })
    }
}

/// A program that was started.
struct Running {
    ended: oneshot::Receiver<i32>,
    output: tokio::net::unix::pipe::Receiver,
}

impl Running {
    /// Relays its output until it has ended, and clears away what it left behind.
    async fn finish(self, children: &Children) -> RunExit {
        let (quiet, is_quiet) = oneshot::channel();
        let end = async {
            let code = self.ended.await.unwrap_or(LOST);
            children.sweep().await;
            // The relay has gone already when the output ended before the program.
            quiet.send(()).ok();
            code
        };
        let (code, output_tail) = tokio::join!(end, output::relay(self.output, is_quiet));
        RunExit { code, output_tail }
    }
}

/// What is reported when nobody knows how a program ended: the reaper is gone, which means that
/// this process is ending too.
const LOST: i32 = 255;
/// Between questions to a sidecar that offers a run that was started already.
const OFFERED_AGAIN_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
