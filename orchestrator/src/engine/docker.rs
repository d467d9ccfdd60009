//! The Docker Engine, by its API.

mod body;
mod image;
mod network;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use bollard::{
    Docker,
    errors::Error as DockerError,
    models::{
        ContainerInspectResponse, ContainerStateStatusEnum, EventMessage, EventMessageTypeEnum,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder,
        LogsOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    },
};
use futures_util::{StreamExt as _, stream::BoxStream};
use orchestrator_core::reconcile::Container;
use protocol::ids::Slug;
use tokio::sync::Mutex;

use super::{ContainerSpec, Engine, EngineError, Role, Seen};

pub use body::create_body;

/// Labels on everything that we make.
const LABEL_INSTANCE: &str = "bot-bottle.instance";
const LABEL_SLUG: &str = "bot-bottle.slug";
const LABEL_ROLE: &str = "bot-bottle.role";

/// Longest wait for one answer of the daemon, in seconds: a stop with its grace time, and some.
const ANSWER_TIMEOUT_S: u64 = 60;

/// A Docker daemon, as far as this installation's containers go.
pub struct DockerEngine {
    docker: Docker,
    events: Mutex<Option<Events>>,
    instance: String,
    network: String,
    sidecar_program: PathBuf,
}

type Events = BoxStream<'static, Result<EventMessage, DockerError>>;

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
        Ok(Self {
            docker,
            events: Mutex::new(None),
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

    fn subscribe(&self) -> Events {
        let label = format!("{LABEL_INSTANCE}={}", self.instance);
        let kind = EventMessageTypeEnum::CONTAINER.to_string();
        let events =
            ["die", "pause", "unpause", "destroy", "start", "oom"].map(str::to_owned).to_vec();
        let filters = [
            ("label".to_owned(), vec![label]),
            ("type".to_owned(), vec![kind]),
            ("event".to_owned(), events),
        ];
        let options = EventsOptionsBuilder::new().filters(&filters.into()).build();
        self.docker.events(Some(options)).boxed()
    }

    async fn inspect(
        &self,
        slug: &Slug,
        role: Role,
    ) -> Result<Option<ContainerInspectResponse>, EngineError> {
        let name = role.container_name(slug);
        let found = match self.docker.inspect_container(&name, None).await {
            Ok(found) => found,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(failed(&format!("inspect {name}"))(error)),
        };
        let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
        match labels.and_then(|labels| labels.get(LABEL_INSTANCE)) {
            Some(instance) if *instance == self.instance => Ok(Some(found)),
            Some(_) | None => Err(EngineError::Foreign { name, id: found.id.unwrap_or_default() }),
        }
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let name = spec.role.container_name(&spec.slug);
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let body = create_body(spec, &self.instance, &self.network);
        match self.docker.create_container(Some(options), body).await {
            Ok(_) => Ok(()),
            // Somebody was quicker; inspecting says whether it was us.
            Err(error) if status(&error) == Some(409) => {
                self.inspect(&spec.slug, spec.role).await.map(|_| ())
            }
            Err(error) => {
                Err(missing(&format!("create {name} from {}", spec.image), spec.role)(error))
            }
        }
    }

    /// Makes and starts what is missing.
    async fn run(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let name = spec.role.container_name(&spec.slug);
        let found = match self.inspect(&spec.slug, spec.role).await? {
            Some(found) => condition(&found),
            None => {
                self.create(spec).await?;
                Container::Created
            }
        };
        let done = match found {
            Container::Running => return Ok(()),
            Container::Paused => self.docker.unpause_container(&name).await,
            Container::Created | Container::Exited { .. } | Container::Missing => {
                self.docker.start_container(&name, None).await
            }
        };
        already(done, 304).map_err(missing(&format!("start {name}"), spec.role))
    }
}

#[async_trait]
impl Engine for DockerEngine {
    async fn prepare(&self) -> Result<(), EngineError> {
        network::ensure(&self.docker, &self.network, &self.instance).await?;
        image::ensure(&self.docker, &self.sidecar_program).await
    }

    async fn observe(&self) -> Result<BTreeMap<Slug, Seen>, EngineError> {
        let filter = [("label", vec![format!("{LABEL_INSTANCE}={}", self.instance)])];
        let filter = filter.map(|(key, values)| (key.to_owned(), values)).into();
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
        let list =
            self.docker.list_containers(Some(options)).await.map_err(failed("list containers"))?;
        let mut seen = BTreeMap::new();
        for container in list {
            let labels = container.labels.unwrap_or_default();
            let slug = labels.get(LABEL_SLUG).and_then(|text| text.parse::<Slug>().ok());
            let role = match labels.get(LABEL_ROLE).map(String::as_str) {
                Some("sidecar") => Role::Sidecar,
                Some("bottle") => Role::Bottle,
                Some(_) | None => continue,
            };
            let Some(slug) = slug else { continue };
            let state = match container.state.map(|state| state.to_string()).as_deref() {
                Some("created") => Container::Created,
                Some("running" | "restarting") => Container::Running,
                Some("paused") => Container::Paused,
                // Only an inspection tells how it ended; asked for those few alone.
                Some(_) | None => self
                    .inspect(&slug, role)
                    .await?
                    .map_or(Container::Missing, |found| condition(&found)),
            };
            let missing = || Seen { sidecar: Container::Missing, bottle: Container::Missing };
            let pair = seen.entry(slug).or_insert_with(missing);
            match role {
                Role::Sidecar => pair.sidecar = state,
                Role::Bottle => pair.bottle = state,
            }
        }
        Ok(seen)
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
        let now = |found: Option<ContainerInspectResponse>| {
            found.map_or(Container::Missing, |found| condition(&found))
        };
        let found = now(self.inspect(slug, role).await?);
        if found != Container::Running {
            return Ok(found);
        }
        match self.docker.pause_container(&name).await {
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
        let name = role.container_name(slug);
        let Some(found) = self.inspect(slug, role).await? else { return Ok(()) };
        let paused = match condition(&found) {
            Container::Running => false,
            Container::Paused => true,
            Container::Created | Container::Exited { .. } | Container::Missing => return Ok(()),
        };
        if paused {
            // A paused program cannot obey SIGTERM: Docker would wait and then kill it (CASES 173).
            let woken = self.docker.unpause_container(&name).await;
            already(woken, 409).map_err(failed(&format!("unpause {name}")))?;
        }
        // The grace time is the container's own.
        let stopped = self
            .docker
            .stop_container(&name, Some(StopContainerOptionsBuilder::new().build()))
            .await;
        already(already(stopped, 304), 404).map_err(failed(&format!("stop {name}")))
    }

    async fn ensure_removed(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        let name = role.container_name(slug);
        if self.inspect(slug, role).await?.is_none() {
            return Ok(());
        }
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = self.docker.remove_container(&name, Some(options)).await;
        already(already(removed, 404), 409).map_err(failed(&format!("remove {name}")))
    }

    async fn output(
        &self,
        slug: &Slug,
        role: Role,
        max_bytes: usize,
    ) -> Result<String, EngineError> {
        let name = role.container_name(slug);
        if self.inspect(slug, role).await?.is_none() {
            return Ok(String::new());
        }
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail("2000").build();
        let mut lines = self.docker.logs(&name, Some(options));
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

    async fn changed(&self) -> Result<(), EngineError> {
        // Only the daemon's one listener waits here. The subscription outlives the call, so that
        // nothing is missed between two.
        let mut subscription = self.events.lock().await;
        let events = subscription.get_or_insert_with(|| self.subscribe());
        match events.next().await {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => {
                *subscription = None;
                Err(failed("listen to events")(error))
            }
            None => {
                *subscription = None;
                let what = "listen to events".to_owned();
                Err(EngineError::Unreachable { what, source: "the stream ended".into() })
            }
        }
    }
}

fn condition(found: &ContainerInspectResponse) -> Container {
    let state = found.state.as_ref();
    match state.and_then(|state| state.status) {
        Some(ContainerStateStatusEnum::CREATED) => Container::Created,
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::RESTARTING) => {
            Container::Running
        }
        Some(ContainerStateStatusEnum::PAUSED) => Container::Paused,
        Some(_) | None => Container::Exited {
            code: state.and_then(|state| state.exit_code).unwrap_or(-1),
            out_of_memory: state.and_then(|state| state.oom_killed).unwrap_or(false),
        },
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

/// The HTTP status of an answer, if the daemon answered.
fn status(error: &DockerError) -> Option<u16> {
    match error {
        DockerError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Counts one status as success: it is already as it should be.
fn already(result: Result<(), DockerError>, code: u16) -> Result<(), DockerError> {
    match result {
        Err(error) if status(&error) == Some(code) => Ok(()),
        other => other,
    }
}

/// For what a container is made of: the answer 404 has a name of its own.
fn missing(what: &str, role: Role) -> impl FnOnce(DockerError) -> EngineError + use<> {
    let what = what.to_owned();
    move |error| match error {
        DockerError::DockerResponseServerError { status_code: 404, message } => {
            EngineError::Missing { what, message, role }
        }
        other => failed(&what)(other),
    }
}

fn failed(what: &str) -> impl FnOnce(DockerError) -> EngineError + use<> {
    let what = what.to_owned();
    move |error| match error {
        DockerError::DockerResponseServerError { status_code, message } => {
            // A bad request stays so; a server's fault (a full disk) may pass.
            EngineError::Refused { what, message, transient: status_code >= 500 }
        }
        other => EngineError::Unreachable { what, source: Box::new(other) },
    }
}
