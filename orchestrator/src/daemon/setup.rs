//! From configuration to a daemon that is put together and has started nothing.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use nix::fcntl::{Flock, FlockArg};
use tokio::sync::{Notify, OnceCell, watch};

use super::{
    Daemon, ServeError,
    ports::{self, Ports},
    restored, rules,
};
use crate::{
    config::Config,
    effects::Executor,
    intake::queue::Relay,
    life::Laws,
    store::{self, Store},
};

/// Looks at a lock that is held, half a second in all.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

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

/// The data directory, held: its lock is taken and its store is open.
#[derive(Debug)]
pub struct StateDir {
    pub(super) lock: Flock<File>,
    pub(super) store: Store,
    instance: String,
}

impl StateDir {
    /// Makes and locks the data directory and opens its store.
    ///
    /// # Errors
    /// When it cannot be made, another daemon has it, or its store cannot be used.
    pub async fn take(config: &Config) -> Result<Self, ServeError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(config.data_dir.join("bottles"))
            .map_err(|source| ServeError::Files { path: config.data_dir.clone(), source })?;
        let mut lock = lock(&config.data_dir);
        // A command that asks whether a daemon has it holds it for an instant.
        for _ in 0..LOCK_TRIES {
            if !matches!(lock, Err(LockError::Held { .. })) {
                break;
            }
            tokio::time::sleep(LOCK_PAUSE).await;
            lock = self::lock(&config.data_dir);
        }
        let lock = lock?;
        let store = Store::start(store::open(&config.data_dir.join("bot-bottle.db"))?)?;
        restored::hold_if_restored(config, &store).await?;
        let instance = instance(&store).await?;
        Ok(Self { lock, store, instance })
    }

    /// The installation's name on everything that it makes outside.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Its store.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

/// Puts a daemon together over its ports; nothing runs yet.
///
/// # Errors
/// When the forge does not say who we are, or the records are of another forge.
pub async fn assemble(config: Config, dir: StateDir, ports: Ports) -> Result<Daemon, ServeError> {
    let StateDir { lock, store, instance: _ } = dir;
    same_forge(&config, &store).await?;
    let own = ports::account(ports.forge.as_ref(), &config.forge.access.url).await?;
    let config = Arc::new(config);
    let laws = Laws {
        timing: config.timing,
        slots: config.slots,
        rules: rules(&config, own.clone()),
        lack: None,
        forge: config.forge.access.id.clone(),
        branch_prefix: config.branch_prefix.clone(),
        backend: config.engine.backend.clone(),
    };
    let Ports { forge, engine, sidecars, sidecar_image, gauges } = ports;
    Ok(Daemon {
        relay: Relay::new(&config.data_dir, store.clone()),
        executor: Executor::new(Arc::clone(&config), Arc::clone(&engine), sidecars, sidecar_image),
        store,
        forge,
        engine,
        work: Arc::new(Notify::new()),
        drift: Arc::new(Notify::new()),
        pulse: Arc::default(),
        own,
        laws,
        gauges,
        host_limits: config.host.clone(),
        measured: super::host::Measured::default(),
        lack: Mutex::new(None),
        engine_root: OnceCell::new(),
        stop: watch::Sender::new(false),
        config,
        lock: Arc::new(lock),
    })
}

/// Numbers and logins of one forge mean nothing on another.
async fn same_forge(config: &Config, store: &Store) -> Result<(), ServeError> {
    let ours = config.forge.access.id.clone();
    let id = ours.clone();
    let other = store.write(move |books| {
        Ok(books.live_bottles()?.into_iter().find(|bottle| bottle.home.forge != id))
    });
    match other.await? {
        None => Ok(()),
        Some(bottle) => {
            Err(ServeError::OtherForge { slug: bottle.slug, known: bottle.home.forge, ours })
        }
    }
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
