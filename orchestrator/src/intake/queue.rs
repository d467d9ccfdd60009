//! The relay: reading the bottles' queue directories into the store.
//!
//! `new/` is read again at least every [`limits::QUEUE_RESCAN`]; inotify only makes it sooner. Each
//! file is committed before it is unlinked, so that a crash shows it again, and its id is known
//! then. What cannot be read goes to `bad/` and holds up nobody.

mod dir;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use orchestrator_core::{
    bottle::Bottle,
    event::{Event, News},
};
use protocol::{
    event::{Happening, Operation, QueueEvent},
    ids::Slug,
};

use self::watch::Watches;
use crate::{
    clock,
    engine::{
        Role,
        spec::{Places, uid},
    },
    life::{self, Laws},
    store::{Arrival, Books, Store, StoreError},
};

/// Reads the queues of all bottles.
#[derive(Debug)]
pub struct Relay {
    data_dir: PathBuf,
    store: Store,
    watches: Watches,
    /// Which directory was read last for each bottle that is watched.
    seen: Mutex<BTreeMap<Slug, dir::Identity>>,
}

impl Relay {
    /// A relay over the bottles below `data_dir`.
    pub fn new(data_dir: &Path, store: Store) -> Self {
        let data_dir = data_dir.to_owned();
        Self { data_dir, store, watches: Watches::start(), seen: Mutex::default() }
    }

    /// Watches a bottle's queue from now on; may be repeated.
    pub fn watch(&self, slug: &Slug) {
        self.watches.add(Places::of(&self.data_dir, slug).queue.join("new"));
    }

    /// Ends watching a bottle's queue.
    pub fn unwatch(&self, slug: &Slug) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(slug);
        self.watches.remove(Places::of(&self.data_dir, slug).queue.join("new"));
    }

    /// Waits until a queue changes and gives the bottles that it happened to.
    pub async fn touched(&self) -> BTreeSet<Slug> {
        self.watches.touched().await
    }

    /// Reads one bottle's queue into the store, at most [`protocol::limits::QUEUE_FILES_PER_SCAN`]
    /// files; says whether anything was read.
    ///
    /// # Errors
    /// The store's, or of a directory that cannot be read; the files are kept and read again.
    pub async fn scan(&self, laws: &Laws, slug: &Slug) -> Result<bool, StoreError> {
        self.scan_and_tell(laws, slug, || ()).await
    }

    /// As [`Relay::scan`]; calls `stored` as soon as something has been stored, so that nobody waits
    /// for the clearing away.
    ///
    /// # Errors
    /// As there.
    pub async fn scan_and_tell(
        &self,
        laws: &Laws,
        slug: &Slug,
        stored: impl FnOnce(),
    ) -> Result<bool, StoreError> {
        let wanted = slug.clone();
        let Some(bottle) = self.store.write(move |books| books.bottle(&wanted)).await? else {
            return Ok(false);
        };
        let queue = Places::of(&self.data_dir, slug).queue;
        let owner = uid(bottle.serial, Role::Sidecar);
        let nonce = bottle.nonce.clone();
        let read = tokio::task::spawn_blocking(move || {
            dir::read(&queue, owner, nonce.as_ref()).map(|read| (queue, read))
        });
        let (queue, mut found) = match read.await {
            Ok(Ok((queue, (identity, found)))) => {
                self.recognise(slug, identity);
                (queue, found)
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Ok(Err(error)) => return Err(unreadable(slug, &error.to_string())),
            Err(broken) => return Err(unreadable(slug, &broken.to_string())),
        };
        if found.is_empty() {
            return Ok(false);
        }
        self.accept(laws, slug, &mut found).await?;
        stored();
        let removed = tokio::task::spawn_blocking(move || dir::clear(&queue, &found)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%slug, %error, "cannot clear a queue; it will be read again");
        }
        Ok(true)
    }

    /// A watch stays with the directory that it was set on, whatever takes that one's name: the new
    /// one gets its own (CASES 124).
    fn recognise(&self, slug: &Slug, identity: dir::Identity) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.insert(slug.clone(), identity);
        drop(seen);
        if before.is_some_and(|before| before != identity) {
            tracing::warn!(%slug, "a queue was replaced by another directory; reading that one");
            let new = Places::of(&self.data_dir, slug).queue.join("new");
            self.watches.remove(new.clone());
            self.watches.add(new);
        }
    }

    /// Stores what is new; what cannot be used is marked as such.
    async fn accept(
        &self,
        laws: &Laws,
        slug: &Slug,
        found: &mut [dir::Found],
    ) -> Result<(), StoreError> {
        for file in found.iter_mut() {
            if file.content.as_ref().is_ok_and(|event| event.slug != *slug) {
                file.content = Err("it is an event of another bottle");
            }
        }
        let usable = |file: &dir::Found| Some((file.content.clone().ok()?, file.digest.clone()));
        let events: Vec<_> = found.iter().map(usable).collect();
        let (laws, owner) = (laws.clone(), slug.clone());
        let work = move |books: &Books<'_>| {
            let take = |event: Option<(QueueEvent, String)>| match event {
                Some((event, digest)) => take(books, &laws, &owner, &event, &digest),
                None => Ok(true),
            };
            events.into_iter().map(take).collect::<Result<Vec<bool>, _>>()
        };
        let honest = self.store.write(work).await?;
        for (file, honest) in found.iter_mut().zip(honest) {
            if !honest {
                file.content = Err("its id is known with another content");
            }
            if let Err(why) = &file.content {
                tracing::warn!(%slug, file = %file.shown(), why, "a queue file cannot be used");
            }
        }
        Ok(())
    }
}

/// Takes an event in if it is new; says whether it is what its id stood for before (CASES 129).
fn take(
    books: &Books<'_>,
    laws: &Laws,
    slug: &Slug,
    event: &QueueEvent,
    digest: &str,
) -> Result<bool, StoreError> {
    let Some(bottle) = books.bottle(slug)? else { return Ok(true) };
    match books.arrive_once(&format!("queue:{slug}:{}", event.id), digest, clock::now())? {
        Arrival::New => hear(books, laws, &bottle, event).map(|()| true),
        Arrival::Known => Ok(true),
        Arrival::Other => Ok(false),
    }
}

fn unreadable(slug: &Slug, why: &str) -> StoreError {
    StoreError::Unusable { path: format!("queue of {slug}"), why: why.to_owned() }
}

/// Takes one event of a sidecar into account.
fn hear(
    books: &Books<'_>,
    laws: &Laws,
    bottle: &Bottle,
    event: &QueueEvent,
) -> Result<(), StoreError> {
    let (news, sentence) = translate(&event.what);
    if let Some(sentence) = sentence {
        books.log(&bottle.slug, event.at, &sentence)?;
    }
    let run = event
        .run
        .as_ref()
        .and_then(|run| run.as_str().rsplit_once('.')?.1.parse::<NonZeroU32>().ok());
    if let Some(run) = run {
        life::tell(books, laws, &bottle.slug, &Event::News { run, news }, clock::now())?;
    }
    Ok(())
}

/// A happening as news for the core and as a line for people.
fn translate(what: &Happening) -> (News, Option<String>) {
    match what {
        Happening::RunStarted {} => (News::Alive {}, Some("agent started".to_owned())),
        Happening::CheckIn { reads, unlisted } => {
            let rest = if *unlisted > 0 {
                format!(", {unlisted} operations not listed")
            } else {
                String::new()
            };
            (News::Alive {}, Some(format!("read the forge {reads} times{rest}")))
        }
        Happening::Operation { operation: Operation { sentence, .. } } => {
            (News::Alive {}, Some(sentence.clone()))
        }
        Happening::PrOpened { number } => (News::PrOpened { number: *number }, None),
        Happening::Done { status, summary } => {
            let word = serde_json::to_string(status).unwrap_or_default().replace('"', "");
            let sentence = format!("agent says {word}: {summary}");
            (News::Done { status: *status, summary: summary.clone() }, Some(sentence))
        }
        Happening::Exited { code, output_tail } => {
            let last = output_tail.trim_end().rsplit('\n').next().unwrap_or_default();
            let end =
                if *code == 0 || last.is_empty() { String::new() } else { format!(": {last}") };
            (News::Exited { code: *code }, Some(format!("agent exited with {code}{end}")))
        }
    }
}
