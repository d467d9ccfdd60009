//! The daemon's ports over [`Outside`].

mod forge;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use orchestrator::{
    daemon::{Gauges, Ports},
    effects::Sidecars,
    engine::{Change, ContainerSpec, Engine, EngineError, Role, Seen, spec::Places},
};
use orchestrator_core::{clock::Reading, host::Host, reconcile};
use protocol::{
    control::Usage,
    error::{ErrorCode, RpcError},
    grant::{Grant, RunSpec, Secrets},
    ids::{Nonce, Slug},
};
use tokio::time::Instant;

use crate::{
    gate::{Cut, Gate},
    outside::{Act, Container, Outside, Sidecar, State, Step},
    story,
};

/// All ports of one daemon.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) outside: Outside,
    pub(crate) gate: Arc<Gate>,
    begun: Instant,
}

impl World {
    pub(crate) fn new(outside: Outside, gate: Gate) -> Self {
        Self { outside, gate: Arc::new(gate), begun: Instant::now() }
    }

    pub(crate) fn ports(&self) -> Ports {
        let world = Arc::new(self.clone());
        let (forge, engine, sidecars) =
            (Arc::clone(&world), Arc::clone(&world), Arc::clone(&world));
        let mut ports = Ports::new(forge, engine, sidecars, "sidecar:test");
        ports.gauges = world;
        ports
    }

    fn ask<T>(&self, call: &str, read: impl FnOnce(&State) -> T) -> Result<T, Cut> {
        self.gate.pass(call, || read(&self.outside.look()))
    }

    fn act<T>(&self, call: &str, change: impl FnOnce(&mut State) -> T) -> Result<T, Cut> {
        self.gate.pass(call, || self.outside.change(change))
    }
}

impl Gauges for World {
    fn measure(&self, _: &[std::path::PathBuf]) -> Host {
        Host::default()
    }

    fn clocks(&self) -> Reading {
        Reading { wall: Timestamp::now(), steady: self.begun.elapsed() }
    }
}

impl From<Cut> for EngineError {
    fn from(_: Cut) -> Self {
        Self::Unreachable { what: "a call".to_owned(), source: "cut".into() }
    }
}

#[async_trait]
impl Engine for World {
    async fn prepare(&self) -> Result<(), EngineError> {
        Ok(self.ask("prepare", |_| ())?)
    }

    async fn observe(&self) -> Result<BTreeMap<Slug, Seen>, EngineError> {
        Ok(self.ask("observe", |state| {
            let slugs = state.sidecars.keys().map(|slug| slug.parse::<Slug>().unwrap());
            let seen = |slug: &Slug, role: Role| {
                let found = state.containers.get(&role.container_name(slug));
                found.map_or(reconcile::Container::Missing, |found| (*found).into())
            };
            slugs
                .map(|slug| {
                    let (sidecar, bottle) = (seen(&slug, Role::Sidecar), seen(&slug, Role::Bottle));
                    (slug, Seen { sidecar, bottle })
                })
                .filter(|(_, seen)| {
                    seen.sidecar != reconcile::Container::Missing
                        || seen.bottle != reconcile::Container::Missing
                })
                .collect()
        })?)
    }

    async fn ensure_running(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let name = spec.role.container_name(&spec.slug);
        Ok(self.act(&format!("run {}", spec.role.word()), |state| {
            let sidecar = state.sidecars.entry(spec.slug.to_string()).or_default();
            let before = state.containers.insert(name, Container::Running);
            if before.is_none() {
                *state.made.entry(spec.role.word().to_owned()).or_default() += 1;
            }
            if spec.role == Role::Sidecar && before != Some(Container::Running) {
                // Another process, without memory.
                sidecar.nonce = None;
                sidecar.runs.clear();
            }
        })?)
    }

    async fn ensure_paused(
        &self,
        slug: &Slug,
        role: Role,
    ) -> Result<reconcile::Container, EngineError> {
        let name = role.container_name(slug);
        let paused = self.act(&format!("pause {}", role.word()), |state| {
            let container = state.containers.get_mut(&name)?;
            if *container == Container::Running {
                *container = Container::Paused;
            }
            Some(*container)
        })?;
        Ok(paused.map_or(reconcile::Container::Missing, Into::into))
    }

    async fn ensure_stopped(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        let name = role.container_name(slug);
        Ok(self.act(&format!("stop {}", role.word()), |state| {
            if let Some(container) = state.containers.get_mut(&name) {
                *container = Container::Exited;
                end_programs(state, slug, role);
            }
        })?)
    }

    async fn ensure_removed(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        let name = role.container_name(slug);
        Ok(self.act(&format!("remove {}", role.word()), |state| {
            state.containers.remove(&name);
            end_programs(state, slug, role);
        })?)
    }

    async fn output(&self, _: &Slug, role: Role, _: usize) -> Result<String, EngineError> {
        Ok(self.ask(&format!("output {}", role.word()), |_| "what the agent wrote".to_owned())?)
    }

    async fn changed(&self) -> Result<Change, EngineError> {
        self.outside.changed.notified().await;
        Ok(Change::Container)
    }
}

/// A container's end is that of its programs.
fn end_programs(state: &mut State, slug: &Slug, role: Role) {
    let Some(sidecar) = state.sidecars.get_mut(slug.as_str()) else { return };
    match role {
        Role::Sidecar => {
            sidecar.nonce = None;
            sidecar.runs.clear();
        }
        Role::Bottle => {
            if let Some(step) = sidecar.agenda.front() {
                state.deeds.push(format!("{} was cut off at {:?}", number(&step.run), step.act));
            }
            sidecar.agenda.clear();
        }
    }
}

/// `run 2` of `implementer-k3v9q.2`: slugs are made by chance.
fn number(run: &protocol::ids::RunId) -> String {
    format!("run {}", run.as_str().rsplit_once('.').map_or("?", |(_, number)| number))
}

impl World {
    /// A call over the control socket, which is there while the sidecar runs.
    fn control<T>(
        &self,
        call: &str,
        slug: &Slug,
        act: impl FnOnce(&mut Sidecar, &mut Vec<String>) -> T,
    ) -> Result<T, RpcError> {
        let silent = || RpcError::new(ErrorCode::NotReady, "nobody answers");
        let answer = self.act(call, |state| {
            let name = Role::Sidecar.container_name(slug);
            if state.containers.get(&name) != Some(&Container::Running) {
                return Err(silent());
            }
            let sidecar = state.sidecars.get_mut(slug.as_str()).ok_or_else(silent)?;
            Ok(act(sidecar, &mut state.deeds))
        });
        answer.map_err(|_| silent())?
    }
}

#[async_trait]
impl Sidecars for World {
    async fn configure(
        &self,
        slug: &Slug,
        _: &Places,
        _: Grant,
        _: Secrets,
    ) -> Result<Nonce, RpcError> {
        self.control("configure", slug, |sidecar, _| {
            sidecar.configured += 1;
            let nonce: Nonce = format!("{:016x}", sidecar.configured).parse().unwrap();
            sidecar.nonce = Some(nonce.clone());
            nonce
        })
    }

    async fn start_run(&self, slug: &Slug, _: &Places, run: RunSpec) -> Result<(), RpcError> {
        self.control("start_run", slug, |sidecar, deeds| {
            if sidecar.runs.contains(&run.run) {
                return;
            }
            sidecar.runs.push(run.run.clone());
            deeds.push(format!("{} is told {:?}", number(&run.run), story::words(&run.prompt)));
            let write = if run.run.as_str().ends_with(".1") { Act::OpenPr } else { Act::Comment };
            for act in [Act::Start, write, Act::SayDone, Act::Exit] {
                sidecar.agenda.push_back(Step { run: run.run.clone(), act });
            }
        })
    }

    async fn drain(&self, slug: &Slug, _: &Places) -> Result<(), RpcError> {
        self.control("drain", slug, |sidecar, _| sidecar.nonce = None)
    }

    async fn usage(&self, slug: &Slug, _: &Places) -> Result<Usage, RpcError> {
        self.control("usage", slug, |sidecar, _| Usage {
            nonce: sidecar.nonce.clone(),
            run: sidecar.runs.last().cloned(),
            bottle_waiting: sidecar.agenda.is_empty(),
            reads: 0,
            writes: 0,
            refusals: 0,
            queued_events: 0,
        })
    }
}
