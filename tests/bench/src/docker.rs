//! The engine's own interface, as bare as it can be asked: what floors are taken with.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use crate::Fault;

/// Where the engine listens.
const SOCKET: &str = "/var/run/docker.sock";
/// Directories of a bottle that are mounted lie no deeper.
const DEPTH: u32 = 2;
/// Labels of ours begin so; what carries them belongs to a daemon.
const OUR_LABELS: &str = "bot-bottle.";

/// Asks the engine; anything but success is an error with its words.
pub(crate) async fn ask(method: Method, path: &str, body: Option<&Value>) -> Result<Value, Fault> {
    let stream = UnixStream::connect(SOCKET).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let bytes = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method.clone())
        .uri(path)
        .header(header::HOST, "docker")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(bytes)))?;
    let answered = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let text = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            let words = String::from_utf8_lossy(&text).into_owned();
            return Err(format!("{method} {path}: {status}: {words}").into());
        }
        Ok(serde_json::from_slice(&text).unwrap_or(Value::Null))
    };
    tokio::select! {
        answer = answered => answer,
        ended = connection => Err(format!("{method} {path}: the engine hung up: {ended:?}").into()),
    }
}

/// What the engine knows of a container.
pub(crate) async fn inspect(name: &str) -> Result<Value, Fault> {
    ask(Method::GET, &format!("/containers/{name}/json"), None).await
}

/// The process of a container's first program.
pub(crate) async fn pid(name: &str) -> Result<u32, Fault> {
    let found = inspect(name).await?;
    let pid = found.pointer("/State/Pid").and_then(Value::as_u64);
    let pid = pid.and_then(|pid| u32::try_from(pid).ok());
    pid.filter(|pid| *pid != 0).ok_or_else(|| format!("{name} does not run").into())
}

/// Does something to a container: `start`, `pause`, ...
pub(crate) async fn tell(name: &str, what: &str) -> Result<(), Fault> {
    ask(Method::POST, &format!("/containers/{name}/{what}"), None).await.map(|_| ())
}

/// The two containers of a bottle as they were made, to make the same again without us.
#[derive(Debug)]
pub(crate) struct Template {
    root: PathBuf,
    slug: String,
    /// Of sidecar and bottle.
    bodies: [String; 2],
    /// Below the bottle's own, parents first.
    dirs: Vec<Dir>,
}

/// A directory that a container sees.
#[derive(Debug)]
struct Dir {
    path: PathBuf,
    like: fs::Metadata,
}

/// Two containers like a bottle's that no daemon knows. Dropped, they are removed.
#[derive(Debug)]
pub(crate) struct Pair {
    names: [String; 2],
    bodies: [Value; 2],
    root: PathBuf,
}

impl Template {
    /// Of a bottle whose containers are there; `root` is its directory.
    pub(crate) async fn of(slug: &str, root: &Path) -> Result<Self, Fault> {
        let (sidecar, bottle) = (inspect(&format!("{slug}-sidecar")).await?, inspect(slug).await?);
        let bodies = [body(&sidecar)?, body(&bottle)?];
        let mut dirs = Vec::new();
        collect(root, Path::new(""), DEPTH, &mut dirs)?;
        Ok(Self { root: root.to_owned(), slug: slug.to_owned(), bodies, dirs })
    }

    /// The same with names and directories of their own, not yet made.
    pub(crate) fn pair(&self, number: usize, dir: &Path) -> Result<Pair, Fault> {
        let name = format!("bench-{:08x}-{number}", rand::random::<u32>());
        let root = dir.join(&name);
        let (from, to) = (self.root.to_string_lossy(), root.to_string_lossy());
        let filled = |body: &String| {
            serde_json::from_str(&body.replace(&*from, &to).replace(&self.slug, &name))
        };
        let [sidecar, bottle] = &self.bodies;
        let bodies = [filled(sidecar)?, filled(bottle)?];
        for Dir { path, like } in &self.dirs {
            let path = root.join(path);
            fs::create_dir(&path)?;
            chown(&path, Some(like.uid()), Some(like.gid()))?;
            fs::set_permissions(&path, like.permissions())?;
        }
        Ok(Pair { names: [format!("{name}-sidecar"), name], bodies, root })
    }
}

impl Pair {
    /// The container of the agent.
    pub(crate) fn bottle(&self) -> &str {
        let [_, bottle] = &self.names;
        bottle
    }

    /// Makes and starts both side by side.
    pub(crate) async fn create_and_start(&self) -> Result<(), Fault> {
        let [sidecar, bottle] = &self.names;
        let [sidecar_body, bottle_body] = &self.bodies;
        let both = tokio::join!(made(sidecar, sidecar_body), made(bottle, bottle_body));
        both.0.and(both.1)
    }

    /// Does the same to both side by side.
    pub(crate) async fn tell(&self, what: &str) -> Result<(), Fault> {
        let [sidecar, bottle] = &self.names;
        let both = tokio::join!(tell(sidecar, what), tell(bottle, what));
        both.0.and(both.1)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("timeout");
        command.args(["--kill-after=1", "55", "docker"]);
        // One that was not made cannot be removed; what is left has no reader here.
        drop(command.args(["rm", "--force", "--volumes"]).args(&self.names).output());
        drop(fs::remove_dir_all(&self.root));
    }
}

async fn made(name: &str, body: &Value) -> Result<(), Fault> {
    ask(Method::POST, &format!("/containers/create?name={name}"), Some(body)).await?;
    tell(name, "start").await
}

/// What a container was made with, as a request to make it.
fn body(found: &Value) -> Result<String, Fault> {
    let mut body = found["Config"].clone();
    let fields = body.as_object_mut().ok_or("a container without a configuration")?;
    fields.insert("HostConfig".to_owned(), found["HostConfig"].clone());
    let labels = fields.entry("Labels").or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut() {
        labels.retain(|name, _| !name.starts_with(OUR_LABELS));
    }
    Ok(body.to_string())
}

/// Notes the directories at and below one, down to a depth.
fn collect(root: &Path, path: &Path, depth: u32, dirs: &mut Vec<Dir>) -> Result<(), Fault> {
    let here = root.join(path);
    dirs.push(Dir { path: path.to_owned(), like: fs::metadata(&here)? });
    for entry in fs::read_dir(here)?.take_while(|_| depth > 0) {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(root, &path.join(entry.file_name()), depth - 1, dirs)?;
        }
    }
    Ok(())
}
