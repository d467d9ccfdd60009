//! From configuration to a daemon that has bound everything and started nothing: a start that fails
//! leaves nothing behind.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use forge::{Forge as _, gitea::Gitea};
use nix::fcntl::{Flock, FlockArg};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{Notify, watch},
};

use super::{Daemon, ServeError, rules};
use crate::{
    config::Config,
    effects::Executor,
    engine::docker::DockerEngine,
    intake::queue::Relay,
    life::Laws,
    store::{self, Store},
};

/// Why a state directory cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file cannot be made.
    #[error("cannot make {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another daemon has it (CASES 156).
    #[error("another daemon (process {pid}) works with {path}")]
    Held {
        /// Its process.
        pid: String,
        /// The directory.
        path: PathBuf,
    },
}

/// What is bound before anything runs.
#[derive(Debug)]
pub(super) struct Bound {
    pub daemon: Arc<Daemon>,
    pub hooks: TcpListener,
    pub operator: UnixListener,
    /// Held until the process ends.
    pub lock: Flock<File>,
}

/// Checks and binds everything.
pub(super) async fn bind(config: Config) -> Result<Bound, ServeError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(config.data_dir.join("bottles"))
        .map_err(|source| ServeError::Files { path: config.data_dir.clone(), source })?;
    let lock = lock(&config.data_dir)?;
    let store = Store::start(store::open(&config.data_dir.join("bot-bottle.db"))?)?;
    let instance = instance(&store).await?;
    let forge = Gitea::new(&config.forge.access, config.forge.token.clone())
        .map_err(ServeError::ForgeSetup)?;
    let own = forge.whoami().await.map_err(ServeError::Forge)?;
    let engine = &config.engine;
    let docker = DockerEngine::connect(
        engine.socket.as_deref(),
        &instance,
        &engine.network,
        &engine.programs,
    )
    .await?;
    let sidecar_image = docker.sidecar_image()?;
    let hooks = TcpListener::bind(config.listen)
        .await
        .map_err(|source| ServeError::Listen { at: config.listen.to_string(), source })?;
    let socket = config.operator_socket();
    let operator = rpc::server::bind(&socket, 0o600)
        .map_err(|source| ServeError::Listen { at: socket.display().to_string(), source })?;
    let config = Arc::new(config);
    let laws = Laws {
        timing: config.timing,
        slots: config.slots,
        rules: rules(&config, own.clone()),
        forge: config.forge.access.id.clone(),
        branch_prefix: config.branch_prefix.clone(),
        backend: config.engine.backend.clone(),
    };
    let docker: Arc<dyn crate::engine::Engine> = Arc::new(docker);
    let daemon = Daemon {
        relay: Relay::new(&config.data_dir, store.clone()),
        executor: Executor::new(Arc::clone(&config), Arc::clone(&docker), sidecar_image),
        store,
        forge: Arc::new(forge),
        engine: docker,
        work: Arc::new(Notify::new()),
        drift: Arc::new(Notify::new()),
        own,
        laws,
        stop: watch::Sender::new(false),
        config,
    };
    Ok(Bound { daemon: Arc::new(daemon), hooks, operator, lock })
}

/// One daemon per directory. The lock goes with the process, so that a stale file locks nothing.
fn lock(data_dir: &Path) -> Result<Flock<File>, LockError> {
    let path = data_dir.join("lock");
    let failed = |source| LockError::File { path: path.clone(), source };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    match Flock::lock(file.map_err(failed)?, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            lock.set_len(0).map_err(failed)?;
            lock.rewind().map_err(failed)?;
            writeln!(lock, "{}", std::process::id()).map_err(failed)?;
            Ok(lock)
        }
        Err((mut file, _)) => {
            let mut pid = String::new();
            drop(file.read_to_string(&mut pid));
            Err(LockError::Held { pid: pid.trim().to_owned(), path: data_dir.to_owned() })
        }
    }
}

/// This installation's name on everything that it makes outside; chosen once.
async fn instance(store: &Store) -> Result<String, store::StoreError> {
    let work = |books: &store::Books<'_>| {
        if let Some(known) = books.meta("instance")? {
            return Ok(known);
        }
        let fresh = format!("{:016x}", rand::random::<u64>());
        books.set_meta("instance", &fresh)?;
        Ok(fresh)
    };
    store.write(work).await
}
