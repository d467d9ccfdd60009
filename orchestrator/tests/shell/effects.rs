//! Effects over an engine in memory and a sidecar that is a socket: what fails is repeated until it
//! is as it should be, whichever call it was.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use jsonrpsee::core::{RpcResult, async_trait};
use orchestrator::{
    effects::{ControlSockets, Executor},
    engine::{Change, ContainerSpec, Engine, EngineError, Role, Seen, spec},
};
use orchestrator_core::{
    bottle::{Bottle, Prompt, Tier},
    event::{Effect, Event},
    reconcile::Container,
};
use protocol::{
    control::{Configured, ControlRpcServer, Drained, METHODS, Usage},
    event::QueueEvent,
    grant::{Grant, RunSpec, Secrets},
    ids::{EventId, RunId, Slug},
};
use tokio::task::JoinSet;

use crate::{
    config::Place,
    support::{NONCE, name, queued},
};

/// Remembers containers; fails its `fail_at`th call, before or after it was carried out.
#[derive(Debug, Default)]
struct Memory {
    containers: Mutex<BTreeMap<String, Container>>,
    calls: AtomicU32,
    fail_at: u32,
    /// The answer is lost, not the call.
    late: bool,
    /// A stop never ends.
    hangs: AtomicBool,
    /// It answers nobody.
    away: AtomicBool,
    /// A container's log never ends.
    stalls: AtomicBool,
}

impl Memory {
    fn call(&self, slug: &Slug, role: Role, becomes: Option<Container>) -> Result<(), EngineError> {
        let fails = self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.fail_at;
        if !fails || self.late {
            let mut containers = self.containers.lock().unwrap();
            match becomes {
                Some(state) => containers.insert(role.container_name(slug), state),
                None => containers.remove(&role.container_name(slug)),
            };
        }
        let refused = EngineError::Unreachable { what: "a call".to_owned(), source: "cut".into() };
        if fails { Err(refused) } else { Ok(()) }
    }

    async fn stall(&self) {
        if self.stalls.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    fn states(&self) -> Vec<(String, Container)> {
        self.containers.lock().unwrap().clone().into_iter().collect()
    }
}

#[async_trait]
impl Engine for Memory {
    async fn prepare(&self) -> Result<(), EngineError> {
        Ok(())
    }
    async fn observe(&self) -> Result<BTreeMap<Slug, Seen>, EngineError> {
        Ok(BTreeMap::new())
    }
    async fn ensure_running(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        self.call(&spec.slug, spec.role, Some(Container::Running))
    }
    async fn ensure_paused(&self, slug: &Slug, role: Role) -> Result<Container, EngineError> {
        self.call(slug, role, Some(Container::Paused)).map(|()| Container::Paused)
    }
    async fn ping(&self) -> Result<(), EngineError> {
        match self.away.load(Ordering::SeqCst) {
            false => Ok(()),
            true => {
                Err(EngineError::Unreachable { what: "ping".to_owned(), source: "away".into() })
            }
        }
    }
    async fn ensure_stopped(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.call(slug, role, Some(Container::Exited { code: 0, out_of_memory: false }))
    }
    async fn ensure_removed(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        self.call(slug, role, None)
    }
    async fn output(&self, _: &Slug, _: Role, _: usize) -> Result<String, EngineError> {
        self.stall().await;
        Ok("what the agent wrote".to_owned())
    }
    async fn output_after(
        &self,
        _: &Slug,
        _: Role,
        _: Option<jiff::Timestamp>,
        _: usize,
    ) -> Result<Vec<(jiff::Timestamp, String)>, EngineError> {
        self.stall().await;
        Ok(vec![])
    }
    async fn changed(&self) -> Result<Change, EngineError> {
        std::future::pending().await
    }
}

/// What a sidecar was told.
#[derive(Debug, Default)]
struct Told {
    grant: Mutex<Option<(Grant, Secrets)>>,
    runs: Mutex<Vec<RunSpec>>,
    drained: AtomicBool,
}

struct Sidecar(Arc<Told>);

#[async_trait]
impl ControlRpcServer for Sidecar {
    async fn configure(&self, grant: Grant, secrets: Secrets) -> RpcResult<Configured> {
        *self.0.grant.lock().unwrap() = Some((grant, secrets));
        Ok(Configured { nonce: name(NONCE), version: "test".to_owned() })
    }
    async fn start_run(&self, run: RunSpec) -> RpcResult<()> {
        self.0.runs.lock().unwrap().push(run);
        Ok(())
    }
    async fn drain(&self) -> RpcResult<Drained> {
        self.0.drained.store(true, Ordering::SeqCst);
        Ok(Drained { cut: 0 })
    }
    async fn usage(&self) -> RpcResult<Usage> {
        Err(protocol::error::RpcError::new(protocol::error::ErrorCode::Internal, "unused").into())
    }
    async fn shutdown(&self) -> RpcResult<()> {
        Ok(())
    }
    async fn events(&self, _: Option<EventId>) -> RpcResult<Vec<QueueEvent>> {
        Ok(vec![])
    }
    async fn ack(&self, _: EventId) -> RpcResult<()> {
        Ok(())
    }
}

struct Rig {
    place: Place,
    engine: Arc<Memory>,
    executor: Executor,
    bottle: Bottle,
    told: Arc<Told>,
    _sidecar: JoinSet<()>,
}

impl Rig {
    async fn new(engine: Memory) -> Self {
        let place = Place::new();
        let mut config = place.load().unwrap();
        config.engine.programs = place.path("");
        config.data_dir = place.path("data");
        std::fs::write(place.path("bottle"), b"").unwrap();
        let engine = Arc::new(engine);
        let port = Arc::clone(&engine) as Arc<dyn Engine>;
        let sidecars = Arc::new(ControlSockets);
        let executor = Executor::new(Arc::new(config), port, sidecars, "sidecar:test".to_owned());
        let bottle = queued("implementer-aaaaa", 1, 7);
        executor.ensure_places(&bottle).await.unwrap();
        let told = Arc::new(Told::default());
        let socket = executor.places(&bottle.slug).control_socket();
        let listener = rpc::server::bind(&socket, 0o600).unwrap();
        let service = rpc::server::Service::new(Sidecar(Arc::clone(&told)).into_rpc(), METHODS);
        let mut sidecar = JoinSet::new();
        let limits = rpc::server::Limits::trusted();
        sidecar.spawn(rpc::server::serve(listener, service, limits, std::future::pending()));
        Self { place, engine, executor, bottle, told, _sidecar: sidecar }
    }

    async fn run(&self, effect: &Effect) -> Event {
        self.executor.run(&self.bottle, effect).await.expect("the engine answers")
    }

    /// As the daemon would: again after a failure that is said to pass.
    async fn until_done(&self, effect: &Effect) -> Event {
        let first = self.run(effect).await;
        match first {
            Event::AwakenFailed { transient: true, .. }
            | Event::SleepFailed { .. }
            | Event::CleanFailed { .. } => self.run(effect).await,
            done => done,
        }
    }
}

fn awaken() -> Effect {
    let prompt =
        Prompt { source: "a test".to_owned(), text: "fix the bug".to_owned(), saying: None };
    Effect::Awaken { run: NonZeroU32::MIN, prompts: vec![prompt] }
}

const BOTTLE: &str = "implementer-aaaaa";
const SIDECAR: &str = "implementer-aaaaa-sidecar";

#[tokio::test]
async fn a_bottle_is_awoken_with_its_grant_secret_and_prompt() {
    let rig = Rig::new(Memory::default()).await;
    let woken = rig.run(&awaken()).await;
    assert_eq!(woken, Event::Awoken { run: NonZeroU32::MIN, nonce: name(NONCE) });
    let both = [(BOTTLE, Container::Running), (SIDECAR, Container::Running)];
    assert_eq!(rig.engine.states(), both.map(|(name, state)| (name.to_owned(), state)));
    let (grant, secrets) = rig.told.grant.lock().unwrap().clone().unwrap();
    assert_eq!(grant.branch, rig.bottle.home.branch);
    assert_eq!(grant.issue, rig.bottle.home.issue);
    assert_eq!(secrets.forge_token.expose(), "9876543210987654321098765432109876543210");
    let runs = rig.told.runs.lock().unwrap().clone();
    assert_eq!(runs[0].run, RunId::new(&rig.bottle.slug, NonZeroU32::MIN));
    assert!(runs[0].prompt.contains("fix the bug"), "{}", runs[0].prompt);
    assert!(!format!("{runs:?}").contains("9876543210"), "the token is in no run");
}

#[tokio::test]
async fn whichever_call_of_the_engine_fails_the_end_is_the_same() {
    for late in [false, true] {
        for fail_at in 1..=12 {
            let rig = Rig::new(Memory { fail_at, late, ..Memory::default() }).await;
            let what = format!("call {fail_at}, late {late}");
            let woken = rig.until_done(&awaken()).await;
            assert!(matches!(woken, Event::Awoken { .. }), "{what}: {woken:?}");
            let slept = rig.until_done(&Effect::Sleep { tier: Tier::Hot }).await;
            assert_eq!(slept, Event::Asleep { tier: Tier::Hot }, "{what}");
            assert!(rig.told.drained.load(Ordering::SeqCst), "{what}: secrets are wiped");
            let cold = rig.until_done(&Effect::Sleep { tier: Tier::Cold }).await;
            assert_eq!(cold, Event::Asleep { tier: Tier::Cold }, "{what}");
            let gone = rig.until_done(&Effect::Remove {}).await;
            assert_eq!(gone, Event::Cleaned {}, "{what}");
            assert_eq!(rig.engine.states(), [], "{what}");
            assert!(!rig.executor.places(&rig.bottle.slug).root.exists(), "{what}");
        }
    }
}

#[tokio::test]
async fn what_can_never_work_is_not_called_passing() {
    let mut rig = Rig::new(Memory::default()).await;
    std::fs::remove_file(rig.place.path("bottle")).unwrap();
    let event = rig.run(&awaken()).await;
    let Event::AwakenFailed { transient: false, error, .. } = event else { panic!("{event:?}") };
    assert!(error.contains("set engine.programs"), "{error}");
    rig.bottle.agent = name("nobody");
    let event = rig.run(&awaken()).await;
    let Event::AwakenFailed { transient: false, error, .. } = event else { panic!("{event:?}") };
    assert!(error.contains("nobody is not configured"), "{error}");
}

// The bottle would run in another image and with other bounds than it was given.
#[tokio::test]
async fn a_profile_that_is_gone_keeps_the_bottle_from_running() {
    let mut rig = Rig::new(Memory::default()).await;
    rig.bottle.profiles = vec![name("default"), name("gone")];
    let event = rig.run(&awaken()).await;
    let Event::AwakenFailed { transient: false, error, .. } = event else { panic!("{event:?}") };
    assert!(error.contains("write bottles/gone.toml"), "{error}");
    assert_eq!(rig.engine.states(), [], "nothing was started");
}

#[tokio::test]
async fn a_destroyed_bottle_leaves_its_output() {
    let rig = Rig::new(Memory::default()).await;
    rig.run(&awaken()).await;
    rig.run(&Effect::Remove {}).await;
    let root = rig.executor.places(&rig.bottle.slug).root;
    let data: &Path = root.parent().and_then(Path::parent).unwrap();
    let kept = std::fs::read_to_string(data.join("records/implementer-aaaaa.out")).unwrap();
    assert_eq!(kept, "what the agent wrote");
    let records = std::fs::read_dir(data.join("records")).unwrap().count();
    assert_eq!(records, 1, "no draft is left");
}

#[tokio::test]
async fn a_record_that_cannot_be_written_keeps_no_container() {
    let rig = Rig::new(Memory::default()).await;
    rig.run(&awaken()).await;
    let root = rig.executor.places(&rig.bottle.slug).root;
    let data = root.parent().and_then(Path::parent).unwrap();
    std::fs::write(data.join("records"), b"not a directory").unwrap();
    assert_eq!(rig.run(&Effect::Remove {}).await, Event::Cleaned {});
    assert_eq!(rig.engine.states(), []);
    assert!(!root.exists());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_stalls_keeps_no_container() {
    let rig = Rig::new(Memory::default()).await;
    rig.run(&awaken()).await;
    rig.engine.stalls.store(true, Ordering::SeqCst);
    let slug = &rig.bottle.slug;
    let last = rig.executor.output(slug, 100).await;
    assert!(matches!(last, Err(EngineError::Unreachable { .. })), "{last:?}");
    let next = rig.executor.output_after(slug, None, 100).await;
    assert!(matches!(next, Err(EngineError::Unreachable { .. })), "{next:?}");
    assert_eq!(rig.run(&Effect::Remove {}).await, Event::Cleaned {});
    assert_eq!(rig.engine.states(), []);
}

// CASES 175: a process that the kernel does not let die, of one bottle among many.
#[tokio::test(start_paused = true)]
async fn a_stop_that_never_ends_is_a_failure_of_that_bottle() {
    let rig = Rig::new(Memory::default()).await;
    rig.engine.hangs.store(true, Ordering::SeqCst);
    for effect in [Effect::Sleep { tier: Tier::Cold }, Effect::Remove {}] {
        let event = rig.run(&effect).await;
        let (Event::SleepFailed { error } | Event::CleanFailed { error }) = event else {
            panic!("{event:?}")
        };
        assert!(error.contains("longer than 120 s"), "{error}");
    }
    rig.executor.stop(&rig.bottle).await; // comes back too
}

// CASES 161
#[tokio::test(start_paused = true)]
async fn an_engine_that_answers_nobody_says_nothing_about_a_bottle() {
    for fail_at in 1..=2 {
        let rig = Rig::new(Memory { fail_at, ..Memory::default() }).await;
        rig.engine.away.store(true, Ordering::SeqCst);
        assert_eq!(rig.executor.run(&rig.bottle, &awaken()).await, None);
        rig.engine.away.store(false, Ordering::SeqCst);
        let woken = rig.executor.run(&rig.bottle, &awaken()).await;
        assert!(matches!(woken, Some(Event::Awoken { .. })), "{woken:?}");
    }
    let rig = Rig::new(Memory::default()).await;
    rig.engine.hangs.store(true, Ordering::SeqCst);
    rig.engine.away.store(true, Ordering::SeqCst);
    let slept = rig.executor.run(&rig.bottle, &Effect::Sleep { tier: Tier::Cold }).await;
    assert_eq!(slept, None, "it hangs because nobody is there");
}

// CASES 181: no mount lies where a container could put something else in its place.
#[tokio::test]
async fn every_mount_lies_in_a_directory_that_only_we_may_change() {
    use std::os::unix::fs::MetadataExt as _;
    let rig = Rig::new(Memory::default()).await;
    let places = rig.executor.places(&rig.bottle.slug);
    let profile = orchestrator::config::Profile::default();
    let specs = [
        spec::sidecar(&rig.bottle, &places, "sidecar:test"),
        spec::bottle(&rig.bottle, &places, &profile, &rig.place.path("bottle")),
    ];
    let mounts: Vec<_> = specs.iter().flat_map(|spec| &spec.mounts).collect();
    assert_eq!(mounts.len(), 6);
    for mount in mounts {
        let parent = mount.source.parent().unwrap();
        let seen = std::fs::symlink_metadata(parent).unwrap();
        assert!(seen.is_dir(), "{}", parent.display());
        // Nobody else may change the directory of our program, nor enter the bottle's own.
        let others = if mount.writable { 0o077 } else { 0o022 };
        assert_eq!((seen.uid(), seen.mode() & others), (0, 0), "{}", parent.display());
        let source = std::fs::symlink_metadata(&mount.source).unwrap();
        assert!(!source.is_symlink(), "{}", mount.source.display());
    }
}
