//! The agent's calls to a sidecar whose forge answers at once; the floor is a bare server that gives
//! the same bytes. Both have a thread and a runtime of their own, as a sidecar has.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use forge::Forge;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use protocol::{
    control::ControlRpcClient as _,
    grant::{ForgeAccess, ForgeKind, GitIdentity, Grant, PromptVia, RunSpec, Secrets},
    limits::RPC_IN_FLIGHT_MAX,
    secret::Secret,
};
use serde_json::Value;
use sidecar::{
    config::Config,
    phase::{Forges, Settings},
    process::Running,
};
use tempfile::TempDir;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, oneshot},
    task::JoinSet,
};

use crate::{
    Fault, Row,
    clock::{now, rate},
    figure::{Samples, Unit},
    rows::Effort,
    wire::{Wire, post},
    world::{InstantForge, SECRET},
};

/// Calls of one sample; their median is the sample.
const CALLS: usize = 100;
/// Connections at a time.
const CONNECTIONS: usize = 64;
/// Calls of one sample on all of them.
const MANY_CALLS: u32 = 4000;
/// The question.
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"read_issue","params":{"number":17}}"#;

/// One call after another.
pub(super) async fn one_by_one(samples: usize) -> Result<Row, Fault> {
    let pair = Pair::start().await?;
    let mut row = Row::new("rpc_round_trip", Unit::Microseconds);
    let mut figure = Wire::new(UnixStream::connect(pair.agent_socket()).await?);
    let mut floor = Wire::new(UnixStream::connect(pair.bare_socket()).await?);
    let call = post("/", "", CALL);
    // One that does not count.
    for count in 0..=samples {
        let values = (median(&mut figure, &call).await?, median(&mut floor, &call).await?);
        if count > 0 {
            row.samples.push(values.0);
            row.floor.push(values.1);
        }
    }
    pair.end()?;
    Ok(row)
}

async fn median(wire: &mut Wire<UnixStream>, call: &[u8]) -> Result<f64, Fault> {
    let mut samples = Samples::default();
    for _ in 0..CALLS {
        let begun = now();
        let (status, _) = wire.exchange(call).await?;
        samples.push(begun.elapsed().as_secs_f64() * 1e6);
        if status != 200 {
            return Err(format!("answered with {status}").into());
        }
    }
    Ok(samples.median())
}

/// Many calls on many connections, as many at a time as a sidecar takes.
pub(super) async fn many(effort: Effort) -> Result<Row, Fault> {
    let pair = Pair::start().await?;
    let mut row = Row::new("rpc_throughput", Unit::PerSecond);
    let calls = MANY_CALLS / effort.part;
    for count in 0..=effort.samples {
        let figure = throughput(&pair.agent_socket(), calls).await?;
        let floor = throughput(&pair.bare_socket(), calls).await?;
        if count > 0 {
            row.samples.push(figure);
            row.floor.push(floor);
        }
    }
    pair.end()?;
    Ok(row)
}

async fn throughput(socket: &Path, calls: u32) -> Result<f64, Fault> {
    let connect = async |_| UnixStream::connect(socket).await.map(Wire::new);
    let wires: Result<Vec<_>, _> =
        join_all((0..CONNECTIONS).map(connect)).await.into_iter().collect();
    let call = post("/", "", CALL);
    let places = Semaphore::new(usize::try_from(RPC_IN_FLIGHT_MAX)?);
    let each = usize::try_from(calls)?.div_ceil(CONNECTIONS);
    let begun = now();
    let sent = wires?.into_iter().map(async |mut wire| {
        for _ in 0..each {
            let place = places.acquire().await?;
            let (_, body) = wire.exchange(&call).await?;
            drop(place);
            if !body.starts_with(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\"") {
                return Err(Fault::from(String::from_utf8_lossy(body).into_owned()));
            }
        }
        Ok(())
    });
    join_all(sent).await.into_iter().collect::<Result<(), _>>()?;
    Ok(rate(u32::try_from(each * CONNECTIONS)?, begun.elapsed()))
}

/// A sidecar and the bare server, each in its thread, until they are told to end.
struct Pair {
    dir: TempDir,
    stops: Vec<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<Result<(), Fault>>>,
}

impl Pair {
    /// Starts both; the bare one gives the answer that the sidecar gave first.
    async fn start() -> Result<Self, Fault> {
        let dir = tempfile::tempdir()?;
        let mut pair = Self { dir, stops: vec![], threads: vec![] };
        let config = pair.config()?;
        pair.spawn("sidecar", move |ready, stop| sidecar_thread(&config, &ready, stop))?;
        configure(&pair.dir.path().join("control/control.sock")).await?;
        let mut wire = Wire::new(UnixStream::connect(pair.agent_socket()).await?);
        let (_, answer) = wire.exchange(&post("/", "", CALL)).await?;
        let known: Value = serde_json::from_slice(answer)?;
        if known.pointer("/result/number") != Some(&Value::from(17)) {
            return Err(format!("the sidecar answers {known}").into());
        }
        let (answer, socket) = (Bytes::copy_from_slice(answer), pair.bare_socket());
        pair.spawn("bare", move |ready, stop| bare_thread(&socket, &answer, &ready, stop))?;
        Ok(pair)
    }

    fn spawn(
        &mut self,
        name: &str,
        work: impl FnOnce(mpsc::SyncSender<()>, oneshot::Receiver<()>) -> Result<(), Fault>
        + Send
        + 'static,
    ) -> Result<(), Fault> {
        let (ready, is_ready) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(ready, stopped))?;
        self.stops.push(stop);
        self.threads.push(thread);
        // Its end drops the sender: then there is no need to wait.
        is_ready.recv().map_err(|_| format!("{name} did not start").into())
    }

    fn config(&self) -> Result<Config, Fault> {
        let [agent_dir, control_dir, queue_dir] =
            ["agent", "control", "queue"].map(|name| self.dir.path().join(name));
        for dir in [&agent_dir, &control_dir, &queue_dir] {
            std::fs::create_dir(dir)?;
        }
        let log = "off".parse()?;
        Ok(Config { agent_dir, control_dir, queue_dir, allow_no_landlock: true, log })
    }

    fn agent_socket(&self) -> PathBuf {
        self.dir.path().join("agent/agent.sock")
    }

    fn bare_socket(&self) -> PathBuf {
        self.dir.path().join("bare.sock")
    }

    fn end(self) -> Result<(), Fault> {
        drop(self.stops);
        for thread in self.threads {
            thread.join().map_err(|_| "a server's thread panicked")??;
        }
        Ok(())
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Fault> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn sidecar_thread(
    config: &Config,
    ready: &mpsc::SyncSender<()>,
    stop: oneshot::Receiver<()>,
) -> Result<(), Fault> {
    runtime()?.block_on(async {
        let mut running = Running::start(config, Box::new(Instant), Settings::default())?;
        ready.send(())?;
        // Told, or the one who would tell is gone.
        drop(stop.await);
        running.end().await;
        Ok(())
    })
}

fn bare_thread(
    socket: &Path,
    answer: &Bytes,
    ready: &mpsc::SyncSender<()>,
    stop: oneshot::Receiver<()>,
) -> Result<(), Fault> {
    runtime()?.block_on(async {
        let listener = UnixListener::bind(socket)?;
        ready.send(())?;
        tokio::select! {
            served = serve(&listener, answer) => served,
            _ = stop => Ok(()),
        }
    })
}

async fn serve(listener: &UnixListener, answer: &Bytes) -> Result<(), Fault> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        while connections.try_join_next().is_some() {}
        let answer = answer.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer.clone();
            async move {
                request.into_body().collect().await?;
                let mut response = Response::new(Full::new(answer));
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(CONTENT_TYPE, json);
                Ok::<_, hyper::Error>(response)
            }
        });
        connections.spawn(async move {
            // A connection that breaks shows at its other end.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

struct Instant;

impl Forges for Instant {
    fn open(&self, _: &ForgeAccess, _: Secret) -> Result<Arc<dyn Forge>, String> {
        InstantForge::new()
            .map(|forge| Arc::new(forge) as Arc<dyn Forge>)
            .map_err(|e| e.to_string())
    }
}

async fn configure(socket: &Path) -> Result<(), Fault> {
    let slug: protocol::ids::Slug = "implementer-k3v9q".parse()?;
    let grant = Grant {
        slug: slug.clone(),
        agent: "implementer".parse()?,
        forge: ForgeAccess {
            id: "home".parse()?,
            kind: ForgeKind::Gitea,
            url: "http://127.0.0.1:9/".parse()?,
            ca_pem: None,
        },
        repo: "alice/widget".parse()?,
        issue: Some("17".parse()?),
        pull_requests: vec![],
        base: "main".parse()?,
        branch: "bot-bottle/17/implementer-k3v9q".parse()?,
        identity: GitIdentity {
            login: "implementer-bot".parse()?,
            name: "Implementer".to_owned(),
            email: "bot@example.test".to_owned(),
        },
    };
    let client = rpc::client::connect(socket, Duration::from_secs(10))?;
    client.configure(grant, Secrets { forge_token: Secret::parse(SECRET)? }).await?;
    let run = RunSpec {
        run: protocol::ids::RunId::new(&slug, NonZeroU32::MIN),
        command: vec!["true".to_owned()],
        prompt_via: PromptVia::Stdin,
        prompt: "Measure.".to_owned(),
        env: [].into(),
    };
    Ok(client.start_run(run).await?)
}
