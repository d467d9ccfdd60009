//! The webhook route over real connections: what is refused, what is stored, and when it answers.

mod bounds;
mod senders;

use std::{fs, path::Path, sync::Arc, time::Duration};

use forge::webhook::WebhookSecrets;
use hmac::{Hmac, KeyInit as _, Mac as _};
use orchestrator::{
    daemon::serve_http,
    intake::{
        pulse::Pulse,
        webhook::{Hooks, routes},
    },
};
use protocol::secret::Secret;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
    time::timeout,
};

use crate::support::{Disk, name};

const SECRET: &str = "a webhook secret of forty-two characters..";
const LANE: &str = "team/project#7";

struct Server {
    address: String,
    disk: Disk,
    news: Arc<Notify>,
    pulse: Arc<Pulse>,
    _task: JoinSet<()>,
}

async fn server() -> Server {
    serve(Disk::new(), &["team/project"]).await
}

async fn serve(disk: Disk, repos: &[&str]) -> Server {
    serve_with(disk, repos, &[SECRET]).await
}

async fn serve_with(disk: Disk, repos: &[&str], secrets: &[&str]) -> Server {
    let (news, pulse) = (Arc::new(Notify::new()), Arc::<Pulse>::default());
    let secrets = secrets.iter().map(|secret| Secret::parse(secret).unwrap()).collect();
    let hooks = Hooks {
        secrets: WebhookSecrets::new(secrets).unwrap(),
        pulse: Arc::clone(&pulse),
        own: [name("implementer-bot")].into(),
        repos: repos.iter().map(|repo| name(repo)).collect(),
        store: disk.store.clone(),
        news: Arc::clone(&news),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut task = JoinSet::new();
    task.spawn(serve_http(listener, routes(hooks), std::future::pending()));
    Server { address, disk, news, pulse, _task: task }
}

fn sign(key: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    hex::encode(mac.chain_update(body).finalize().into_bytes())
}

fn issue(number: &Value) -> Vec<u8> {
    let body = json!({
        "action": "label_updated", "number": number, "issue": { "number": number },
        "repository": { "full_name": "team/project" }, "sender": { "login": "ann" },
    });
    serde_json::to_vec(&body).unwrap()
}

type Headers = Vec<(String, String)>;

fn headers(event: &str, id: &str, signature: &str) -> Headers {
    [
        ("content-type", "application/json"),
        ("x-gitea-event", event),
        ("x-gitea-delivery", id),
        ("x-gitea-signature", signature),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec()
}

fn signed(event: &str, id: &str, body: &[u8]) -> Headers {
    headers(event, id, &sign(SECRET, body))
}

impl Server {
    /// Sends bytes as they are and reads the answer to its end.
    async fn raw(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        // A server that refuses early closes while we still write.
        drop(stream.write_all(request).await);
        read(&mut stream).await
    }

    async fn call(&self, method: &str, headers: &Headers, body: &[u8]) -> (u16, String) {
        let mut head =
            format!("{method} /hooks/gitea HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        for (key, value) in headers {
            head.push_str(&[key, ": ", value, "\r\n"].concat());
        }
        let mut bytes = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        self.raw(&bytes).await
    }

    async fn post(&self, headers: &Headers, body: &[u8]) -> u16 {
        self.call("POST", headers, body).await.0
    }

    async fn nothing_stored(&self) {
        assert_eq!(self.disk.lanes().await, Vec::<String>::new());
    }
}

async fn read(stream: &mut TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    // What came before a reset counts.
    drop(timeout(Duration::from_secs(20), read).await.expect("the server must end it"));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, text)
}

// CASES 10, 11
#[tokio::test]
async fn a_delivery_is_stored_once_however_often_it_comes() {
    let server = server().await;
    let body = issue(&json!(7));
    let mut answers = vec![];
    for _ in 0..4 {
        answers.push(server.post(&signed("issues", "one", &body), &body).await);
    }
    assert_eq!(answers, [202, 200, 200, 200]);
    assert_eq!(server.disk.waiting(LANE).await, 1);
    timeout(Duration::from_secs(1), server.news.notified()).await.unwrap();

    // The id is not signed: a new one is a new hint for the same lane, never another kind of thing;
    // as long as nobody has looked, one hint is enough.
    assert_eq!(server.post(&signed("issues", "two", &body), &body).await, 202);
    assert_eq!(server.disk.lanes().await, [LANE]);
    assert_eq!(server.disk.waiting(LANE).await, 1);
}

// CASES 1
#[tokio::test]
async fn events_of_no_concern_are_answered_and_forgotten() {
    let server = server().await;
    let full = issue(&json!(7));
    for (event, body) in [("wiki", full.as_slice()), ("package", b"{}"), ("push", &push())] {
        assert_eq!(server.post(&signed(event, event, body), body).await, 204, "{event}");
    }
    server.nothing_stored().await;
}

fn push() -> Vec<u8> {
    let body = json!({
        "ref": "refs/heads/main",
        "repository": { "full_name": "team/project" }, "sender": { "login": "ann" },
    });
    serde_json::to_vec(&body).unwrap()
}

// CASES 2-5, 7-9
#[tokio::test]
async fn a_delivery_without_our_signature_is_refused() {
    let server = server().await;
    let body = issue(&json!(7));
    let good = sign(SECRET, &body);
    let none: Headers = signed("issues", "d", &body).into_iter().take(3).collect();
    let with = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        none.iter().cloned().chain(pairs).collect::<Headers>()
    };
    let wrong = sign(SECRET, b"another body");
    let hub = format!("sha256={good}");
    let cases = [
        ("missing", none.clone()),
        ("twice, different", with(&[("x-gitea-signature", &good), ("X-Gitea-Signature", &wrong)])),
        ("twice, same", with(&[("x-gitea-signature", &good), ("x-gitea-signature", &good)])),
        ("too short", with(&[("x-gitea-signature", &good[..62])])),
        (
            "not hex",
            with(&[("x-gitea-signature", &good.replace(|c: char| c.is_ascii_digit(), "x"))]),
        ),
        ("capital letters", with(&[("x-gitea-signature", &good.to_uppercase())])),
        ("empty", with(&[("x-gitea-signature", "")])),
        ("of another body", with(&[("x-gitea-signature", &wrong)])),
        ("empty key", with(&[("x-gitea-signature", &sign("", &body))])),
        ("GitHub's header", with(&[("x-hub-signature-256", &hub)])),
        ("SHA-1", with(&[("x-hub-signature", "sha1=a568a8cb5aa239ff9248f6058beebbc0d60fab77")])),
        ("GitLab's token", with(&[("x-gitlab-token", SECRET)])),
    ];
    for (what, headers) in cases {
        let (status, text) = server.call("POST", &headers, &body).await;
        assert_eq!(status, 401, "{what}");
        assert!(text.contains("compare the webhook's secret"), "{what}: {text}");
    }
    let mut changed = body.clone();
    changed[10] ^= 1;
    assert_eq!(server.post(&signed("issues", "d", &body), &changed).await, 401);
    // The body is not looked at: what is no JSON gets the same answer.
    assert_eq!(server.post(&headers("issues", "d", &wrong), b"{").await, 401);
    server.nothing_stored().await;
}

// CASES 16, 17
#[tokio::test]
async fn compressed_and_form_encoded_deliveries_are_refused_with_a_hint() {
    let server = server().await;
    let body = issue(&json!(7));
    let mut zipped = signed("issues", "d", &body);
    zipped.push(("content-encoding".to_owned(), "gzip".to_owned()));
    assert_eq!(server.post(&zipped, &body).await, 415);

    // Signed over the form, or, as forges do it, over the JSON in it: the answer names the mistake.
    let form = [b"payload=".as_slice(), &body].concat();
    for signed_bytes in [&form, &body] {
        let mut headers = signed("issues", "d", signed_bytes);
        headers[0].1 = "application/x-www-form-urlencoded".to_owned();
        let (status, text) = server.call("POST", &headers, &form).await;
        assert_eq!(status, 415);
        assert!(text.contains("choose that content type in the webhook's settings"), "{text}");
    }
    server.nothing_stored().await;
}

// CASES 18, 20
#[tokio::test]
async fn signed_nonsense_is_refused_without_a_trace() {
    let server = server().await;
    let frame = |rest: &str| {
        format!(
            r#"{{"action":"opened","number":7,"issue":{{"number":7}},"repository":{{"full_name":"team/project"}},"sender":{{"login":"ann"}}{rest}}}"#
        )
    };
    let deep = format!(",\"x\":{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let mut bodies: Vec<(String, Vec<u8>)> = [
        ("deep", frame(&deep)),
        ("key twice", frame(r#","number":8"#)),
        ("key twice, far inside", frame(r#","x":[{"a":1,"\u0061":2}]"#)),
        ("half a pair", frame(r#","x":"\ud800""#)),
        ("a huge number", frame(r#","x":1e999"#)),
        ("byte order mark", format!("\u{feff}{}", frame(""))),
        ("NUL in the repository", frame("").replace("team/project", "team/pro\\u0000ject")),
        ("up the tree", frame("").replace("team/project", "../..")),
        ("two numbers", frame("").replace("\"issue\":{\"number\":7}", "\"issue\":{\"number\":8}")),
        ("two documents", format!("{0}{0}", frame(""))),
        ("empty", String::new()),
        ("a list", "[]".to_owned()),
    ]
    .map(|(what, body)| (what.to_owned(), body.into_bytes()))
    .to_vec();
    for number in [json!(0), json!(-1), json!(1u64 << 63), json!("7"), json!(7.0), json!(null)] {
        bodies.push((format!("number {number}"), issue(&number)));
    }
    for (what, body) in bodies {
        let status = server.post(&signed("issues", "d", &body), &body).await;
        assert_eq!(status, 400, "{what}");
    }
    let good = issue(&json!(7));
    for (event, id) in [
        ("Issues!", "d"),
        ("", "d"),
        ("issues", ""),
        ("issues", "../d"),
        ("issues", &"d".repeat(300)),
    ] {
        assert_eq!(server.post(&signed(event, id, &good), &good).await, 400, "{event:?} {id:?}");
    }
    // NUL in a text that nobody reads does no harm.
    let body = frame(r#","x":"\u0000""#).into_bytes();
    assert_eq!(server.post(&signed("issues", "ok", &body), &body).await, 202);
    assert_eq!(server.disk.waiting(LANE).await, 1);
}

// CASES 19
#[tokio::test]
async fn a_repository_that_is_not_served_is_refused_by_name_of_the_setting() {
    let server = serve(Disk::new(), &["team/other"]).await;
    let body = issue(&json!(7));
    let (status, text) = server.call("POST", &signed("issues", "d", &body), &body).await;
    assert_eq!(status, 403);
    assert!(text.contains("forge.repositories"), "{text}");
    server.nothing_stored().await;
}

#[tokio::test]
async fn other_methods_and_paths_say_what_is_wrong() {
    let server = server().await;
    for method in ["GET", "PUT", "DELETE"] {
        let (status, text) = server.call(method, &vec![], b"").await;
        assert_eq!(status, 405, "{method}");
        assert!(text.contains("deliver with POST"), "{text}");
        assert!(text.to_ascii_lowercase().contains("\r\nallow: post\r\n"), "{text}");
    }
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!(server.raw(get("/healthz").as_bytes()).await.0, 200);
    assert_eq!(server.raw(get("/hooks/gitlab").as_bytes()).await.0, 404);
}

/// What a real Gitea sent, signed anew with a secret that is long enough.
#[tokio::test]
async fn recorded_deliveries_are_taken() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/gitea-1.15.11/webhooks");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 30);
    let recordings: Vec<Value> = paths
        .iter()
        .map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
        .collect();
    let is_own = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).unwrap();
        body["sender"]["login"] == "implementer-bot"
    };
    let of = |recording: &Value| {
        let body: Value = serde_json::from_str(recording["body"].as_str().unwrap()).unwrap();
        body["repository"]["full_name"].as_str().unwrap().to_owned()
    };
    let server = serve(Disk::new(), &[of(&recordings[0]).as_str()]).await;
    let mut seen = std::collections::BTreeSet::new();
    for (path, recording) in paths.iter().zip(&recordings) {
        let body = recording["body"].as_str().unwrap().as_bytes();
        let pairs = recording["headers"].as_object().unwrap().iter();
        let headers: Headers = pairs
            .filter(|(key, _)| !matches!(key.as_str(), "Content-Length" | "Host"))
            .map(|(key, value)| match key.as_str() {
                "X-Gitea-Signature" => (key.clone(), sign(SECRET, body)),
                _ => (key.clone(), value.as_str().unwrap().to_owned()),
            })
            .collect();
        let id = recording["headers"]["X-Gitea-Delivery"].as_str().unwrap().to_owned();
        let status = server.post(&headers, body).await;
        let event = recording["headers"]["X-Gitea-Event"].as_str().unwrap();
        let wanted = match event {
            "push" | "create" => [204, 204],
            // Its own echoes.
            "issue_comment" if is_own(body) => [204, 204],
            // A repeat of one that was merged into another is merged again.
            _ if seen.contains(&id) => [200, 202],
            _ => [202, 202],
        };
        assert!(wanted.contains(&status), "{}: {status}", path.display());
        seen.insert(id);
    }
}
