//! The Docker Engine, by its API.

mod body;
mod events;
mod examine;
mod failure;
mod features;
mod found;
mod image;
mod list;
mod network;
mod output;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use bollard::{
    Docker,
    query_parameters::{
        CreateContainerOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
        StopContainerOptionsBuilder,
    },
};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use orchestrator_core::reconcile::Container;
use protocol::ids::Slug;
use tokio::{sync::Mutex, time::Instant};

use self::{
    events::Subscription,
    failure::{already, failed, missing, status},
    found::Found,
    image::Platform,
    list::Ended,
};
use super::{Change, ContainerSpec, Engine, EngineError, Role, Seen};

pub use body::create_body;
pub use examine::{Facts, ImageFacts, examine};

/// Labels on everything that we make.
const LABEL_INSTANCE: &str = "bot-bottle.instance";
const LABEL_SLUG: &str = "bot-bottle.slug";
const LABEL_ROLE: &str = "bot-bottle.role";
/// What it was made from, so that copies of the labels are told from the original.
const LABEL_IMAGE: &str = "bot-bottle.image";

/// Longest wait for one answer of the daemon, in seconds: a stop with its grace time, and some.
const ANSWER_TIMEOUT_S: u64 = 60;
/// For an agent whose bottle was cancelled, in seconds; then it is killed. Cancelling takes five in
/// all.
const CANCELLED_GRACE_S: i32 = 2;
/// For an answer that needs no work.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// For a removal that somebody else has begun.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A Docker daemon, as far as this installation's containers go.
pub struct DockerEngine {
    docker: Docker,
    events: Mutex<Subscription>,
    ended: Ended,
    platform: Platform,
    instance: String,
    network: String,
    sidecar_program: PathBuf,
}

impl fmt::Debug for DockerEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerEngine").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl DockerEngine {
    /// Connects to the daemon at `socket` (its usual place if `None`) and agrees on a version.
    ///
    /// # Errors
    /// When the socket cannot be used or nobody answers.
    pub async fn connect(
        socket: Option<&Path>,
        instance: &str,
        network: &str,
        programs: &Path,
    ) -> Result<Self, EngineError> {
        let path = socket
            .map_or_else(|| "/var/run/docker.sock".to_owned(), |path| path.display().to_string());
        let what = format!("connect to {path}");
        let docker =
            Docker::connect_with_unix(&path, ANSWER_TIMEOUT_S, bollard::API_DEFAULT_VERSION)
                .map_err(failed(&what))?
                .negotiate_version()
                .await
                .map_err(failed(&what))?;
        let version = docker.version().await.map_err(failed(&what))?;
        Ok(Self {
            docker,
            events: Mutex::new(Subscription::default()),
            ended: Ended::default(),
            platform: Platform { os: version.os, architecture: version.arch },
            instance: instance.to_owned(),
            network: network.to_owned(),
            sidecar_program: programs.join("sidecar"),
        })
    }

    /// The sidecars' image, named after its content.
    ///
    /// # Errors
    /// When the program cannot be read.
    pub fn sidecar_image(&self) -> Result<String, EngineError> {
        image::name(&self.sidecar_program)
    }

    async fn inspect(&self, slug: &Slug, role: Role) -> Result<Option<Found>, EngineError> {
        let name = role.container_name(slug);
        let found = match self.docker.inspect_container(&name, None).await {
            Ok(found) => found,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(failed(&format!("inspect {name}"))(error)),
        };
        if found::ours(&found, &self.instance, slug, role) {
            return Ok(Some(found::found(found)));
        }
        Err(EngineError::Foreign { name, id: found.id.unwrap_or_default() })
    }

    /// Makes a container; one that is there already is taken if it is ours.
    async fn create(&self, spec: &ContainerSpec) -> Result<Option<Found>, EngineError> {
        let name = spec.role.container_name(&spec.slug);
        if spec.role == Role::Bottle {
            image::check(&self.docker, &spec.image, &self.platform).await?;
        }
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let body = create_body(spec, &self.instance, &self.network);
        match self.docker.create_container(Some(options), body).await {
            Ok(made) => {
                for warning in made.warnings {
                    tracing::warn!(%name, warning, "the engine warns");
                }
                Ok(Some(Found { id: made.id, condition: Container::Created, broken: false }))
            }
            // Somebody was quicker; inspecting says whether it was us.
            Err(error) if status(&error) == Some(409) => self.inspect(&spec.slug, spec.role).await,
            Err(error) => {
                Err(missing(&format!("create {name} from {}", spec.image), spec.role)(error))
            }
        }
    }

    /// Makes and starts what is missing.
    async fn run(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let name = spec.role.container_name(&spec.slug);
        let mut found = self.inspect(&spec.slug, spec.role).await?;
        if found.as_ref().is_some_and(|found| found.broken) {
            self.ensure_removed(&spec.slug, spec.role).await?;
            found = None;
        }
        let found = match found {
            Some(found) => Some(found),
            None => self.create(spec).await?,
        };
        let Some(Found { id, condition, .. }) = found else {
            let message = "it was removed while it was made".to_owned();
            let what = format!("create {name}");
            return Err(EngineError::Refused { what, message, transient: true });
        };
        let done = match condition {
            Container::Running => return Ok(()),
            Container::Paused => self.docker.unpause_container(&id).await,
            Container::Created
            | Container::Exited { .. }
            | Container::Missing
            | Container::Unclear => self.docker.start_container(&id, None).await,
        };
        already(done, 304).map_err(missing(&format!("start {name}"), spec.role))
    }

    /// Waits for the end of a removal that somebody else has begun.
    async fn removed(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let deadline = Instant::now() + REMOVAL_PATIENCE;
        loop {
            match self.docker.inspect_container(id, None).await {
                Err(error) if status(&error) == Some(404) => return Ok(()),
                Err(error) => return Err(failed(&format!("inspect {name}"))(error)),
                Ok(_) if Instant::now() < deadline => tokio::time::sleep(LOOK_AGAIN).await,
                Ok(_) => {
                    let message = "its removal does not end; a process of it may hang in the \
                                   kernel, or its file system be busy";
                    return Err(EngineError::Refused {
                        what: format!("remove {name}"),
                        message: message.to_owned(),
                        transient: true,
                    });
                }
            }
        }
    }
}

impl DockerEngine {
    async fn stop(
        &self,
        slug: &Slug,
        role: Role,
        options: StopContainerOptionsBuilder,
    ) -> Result<(), EngineError> {
        let name = role.container_name(slug);
        let Some(found) = self.inspect(slug, role).await? else { return Ok(()) };
        match found.condition {
            Container::Running | Container::Unclear => {}
            Container::Paused => {
                // A paused program cannot obey SIGTERM: Docker would wait and then kill it
                // (CASES 173).
                let woken = self.docker.unpause_container(&found.id).await;
                let woken = already(already(already(woken, 409), 500), 404);
                woken.map_err(failed(&format!("unpause {name}")))?;
            }
            Container::Created | Container::Exited { .. } | Container::Missing => return Ok(()),
        }
        let stopped = self.docker.stop_container(&found.id, Some(options.build())).await;
        already(already(stopped, 304), 404).map_err(failed(&format!("stop {name}")))
    }
}

#[async_trait]
impl Engine for DockerEngine {
    async fn prepare(&self) -> Result<(), EngineError> {
        let info = self.docker.info().await.map_err(failed("ask what the engine can do"))?;
        features::check(&info, features::host_has_swap())?;
        network::ensure(&self.docker, &self.network, &self.instance).await?;
        image::ensure(&self.docker, &self.sidecar_program).await
    }

    async fn observe(&self) -> Result<BTreeMap<Slug, Seen>, EngineError> {
        self.list().await
    }

    async fn ensure_running(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        match self.run(spec).await {
            // Somebody has cleaned up (`docker system prune`) what all sidecars share. A container
            // remembers a network by its id, so that the old one cannot be started in the new
            // network; a sidecar keeps nothing in its container.
            Err(EngineError::Missing { role: Role::Sidecar, .. }) => {
                self.prepare().await?;
                self.ensure_removed(&spec.slug, spec.role).await?;
                self.run(spec).await
            }
            done => done,
        }
    }

    async fn ensure_paused(&self, slug: &Slug, role: Role) -> Result<Container, EngineError> {
        let name = role.container_name(slug);
        let now = |found: Option<Found>| found.map_or(Container::Missing, |found| found.condition);
        let id = match self.inspect(slug, role).await? {
            Some(Found { id, condition: Container::Running, .. }) => id,
            other => return Ok(now(other)),
        };
        match self.docker.pause_container(&id).await {
            Ok(()) => Ok(Container::Paused),
            // It ended or was paused between the two calls: what it is now decides (CASES 172).
            Err(error) if matches!(status(&error), Some(404 | 409 | 500)) => {
                match now(self.inspect(slug, role).await?) {
                    Container::Running => Err(failed(&format!("pause {name}"))(error)),
                    other => Ok(other),
                }
            }
            Err(error) => Err(failed(&format!("pause {name}"))(error)),
        }
    }

    async fn ensure_stopped(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        // The grace time is the container's own.
        self.stop(slug, role, StopContainerOptionsBuilder::new()).await
    }

    async fn ensure_ended(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        self.stop(slug, role, StopContainerOptionsBuilder::new().t(CANCELLED_GRACE_S)).await
    }

    async fn ensure_removed(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        let name = role.container_name(slug);
        let Some(Found { id, .. }) = self.inspect(slug, role).await? else { return Ok(()) };
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.docker.remove_container(&id, Some(options)).await {
            Err(error) if status(&error) == Some(409) => self.removed(&id, &name).await,
            removed => already(removed, 404).map_err(failed(&format!("remove {name}"))),
        }
    }

    async fn output(
        &self,
        slug: &Slug,
        role: Role,
        max_bytes: usize,
    ) -> Result<String, EngineError> {
        let name = role.container_name(slug);
        let Some(Found { id, .. }) = self.inspect(slug, role).await? else {
            return Ok(String::new());
        };
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail("2000").build();
        let mut lines = self.docker.logs(&id, Some(options));
        let mut text = String::new();
        while let Some(line) = lines.next().await {
            let line = line.map_err(failed(&format!("read the output of {name}")))?;
            text.push_str(&String::from_utf8_lossy(&line.into_bytes()));
            if text.len() > 2 * max_bytes {
                keep_end(&mut text, max_bytes);
            }
        }
        keep_end(&mut text, max_bytes);
        Ok(text)
    }

    async fn output_after(
        &self,
        slug: &Slug,
        role: Role,
        after: Option<Timestamp>,
        max_bytes: usize,
    ) -> Result<Vec<(Timestamp, String)>, EngineError> {
        match self.inspect(slug, role).await? {
            Some(found) => output::after(&self.docker, &found.id, after, max_bytes).await,
            None => Ok(Vec::new()),
        }
    }

    async fn changed(&self) -> Result<Change, EngineError> {
        self.next_change().await
    }

    async fn ping(&self) -> Result<(), EngineError> {
        match tokio::time::timeout(PING_TIMEOUT, self.docker.ping()).await {
            Ok(answer) => answer.map(|_| ()).map_err(failed("ping")),
            Err(slow) => {
                Err(EngineError::Unreachable { what: "ping".to_owned(), source: Box::new(slow) })
            }
        }
    }

    async fn root(&self) -> Option<PathBuf> {
        self.docker.info().await.ok()?.docker_root_dir.map(PathBuf::from)
    }
}

/// Keeps the end of a text, from a character's start.
fn keep_end(text: &mut String, max_bytes: usize) {
    if text.len() > max_bytes {
        let mut start = text.len() - max_bytes;
        while !text.is_char_boundary(start) {
            start += 1;
        }
        text.drain(..start);
    }
}
