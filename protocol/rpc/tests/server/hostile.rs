//! Peers that do on purpose what no client does.

use std::{
    io::{IoSlice, Write as _},
    os::{
        fd::{AsRawFd as _, RawFd},
        unix::net::UnixStream as StdStream,
    },
    process::Stdio,
    time::Duration,
};

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use rpc::server::Limits;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    process::Command,
    time::timeout,
};

use crate::harness::{Server, call, limits, post, request, status};

/// For anything that must come; far more than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

async fn still_answers(server: &Server) {
    let echo = call("echo", json!({"text": "x"}));
    let answer = timeout(PATIENCE, post(&server.path, &echo)).await.unwrap();
    assert_eq!(status(&answer.0), 200, "{answer:?}");
}

// CASES 33, 35
#[tokio::test]
async fn what_would_grow_when_it_is_parsed_is_refused_before() {
    let server = Server::start(limits());
    let batch = format!("[{}]", vec![r#"{"jsonrpc":"2.0"}"#; 10_000].join(","));
    let (_, answer) = post(&server.path, &batch).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["error"]["code"], -32600, "{answer}");

    let numbers = format!(r#"{{"params":[{}0]}}"#, "0,".repeat(8 << 20));
    assert_eq!(status(&server.raw(&request(&numbers)).await), 413);
    let id = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"echo"}}"#, "x".repeat(1 << 20));
    assert_eq!(status(&server.raw(&request(&id)).await), 413);
    still_answers(&server).await;
}

// CASES 32: there is no end of line to wait for, only a head of bounded size.
#[tokio::test]
async fn a_head_without_end_is_refused_at_its_limit() {
    let server = Server::start(limits());
    let endless = format!("POST / HTTP/1.1\r\nhost: {}", "x".repeat(1 << 20));
    let answer = server.raw(endless.as_bytes()).await;
    assert!(answer.is_empty() || status(&answer) == 431, "{answer}");
    still_answers(&server).await;
}

// CASES 37: every byte comes in time, the whole does not.
#[tokio::test]
async fn a_steady_drip_is_cut_off_at_the_limit_of_the_whole() {
    let quick = Duration::from_millis(200);
    let server = Server::start(Limits { head_timeout: quick, frame_timeout: quick, ..limits() });
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n";
    for at_once in ["", head] {
        let mut peer = server.connect().await;
        peer.write_all(at_once.as_bytes()).await.unwrap();
        let drip = async {
            for byte in "POST / HTTP/1.1\r\nx-slow: ".bytes().chain(std::iter::repeat(b'x')) {
                if peer.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, drip).await.expect("the server goes on reading");
    }
}

// CASES 39
#[tokio::test]
async fn a_half_closed_peer_has_its_answer_and_a_flood_behind_it_has_none() {
    let server = Server::start(limits());
    let echo = request(&call("echo", json!({"text": "x"})));
    let mut peer = server.connect().await;
    peer.write_all(&echo).await.unwrap();
    peer.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, peer.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert_eq!(status(&answer), 200, "{answer}");

    // Thousands of calls on one connection whose answers nobody takes: bounded by the buffers.
    let mut flood = server.connect().await;
    let kept = String::from_utf8(echo).unwrap().replace("connection: close\r\n", "");
    let flooding = async {
        for _ in 0..100_000 {
            if flood.write_all(kept.as_bytes()).await.is_err() {
                break;
            }
        }
    };
    drop(timeout(Duration::from_millis(300), flooding).await);
    still_answers(&server).await;
}

// CASES 39
#[tokio::test]
async fn peers_that_go_away_in_the_middle_leave_nothing_behind() {
    let server = Server::start(Limits { connections: 4, ..limits() });
    let whole = request(&call("echo", json!({"text": "x"})));
    for cut in [1, 20, whole.len() - 1, whole.len()] {
        for _ in 0..3 {
            let mut peer = server.connect().await;
            peer.write_all(&whole[..cut]).await.unwrap();
        }
    }
    // Their places are free again, sooner or later.
    let served = async {
        loop {
            let mut peer = server.connect().await;
            let mut answer = String::new();
            drop(peer.write_all(&whole).await);
            drop(peer.read_to_string(&mut answer).await);
            if status(&answer) == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, served).await.expect("a place is free");
}

/// Sends a whole call together with a control message.
fn send_with(server: &Server, control: &[ControlMessage<'_>]) -> UnixStream {
    let peer = StdStream::connect(&server.path).unwrap();
    let bytes = request(&call("echo", json!({"text": "x"})));
    let parts = [IoSlice::new(&bytes)];
    let sent =
        sendmsg::<UnixAddr>(peer.as_raw_fd(), &parts, control, MsgFlags::empty(), None).unwrap();
    assert_eq!(sent, bytes.len());
    peer.set_nonblocking(true).unwrap();
    UnixStream::from_std(peer).unwrap()
}

async fn answer(mut peer: UnixStream) -> String {
    let mut answer = String::new();
    timeout(PATIENCE, peer.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

// CASES 40
#[tokio::test]
async fn descriptors_that_come_with_a_call_are_not_taken() {
    let server = Server::start(limits());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("passed");
    let file = std::fs::File::create(&path).unwrap();
    let many: Vec<RawFd> = vec![file.as_raw_fd(); 253];
    let peer = send_with(&server, &[ControlMessage::ScmRights(&many)]);
    assert_eq!(status(&answer(peer).await), 200);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let ours = open.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == path));
    assert_eq!(ours.count(), 1, "the server, in this process too, holds none of them");
}

// CASES 42, 43: who calls is told by the socket alone. What the kernel says of the peer, or the
// peer of itself, changes nothing: another process of the bottle is served as the agent is.
#[tokio::test]
async fn credentials_of_the_peer_are_not_looked_at() {
    let server = Server::start(limits());
    let plain = answer(send_with(&server, &[])).await;
    let own = nix::sys::socket::UnixCredentials::new();
    let told = answer(send_with(&server, &[ControlMessage::ScmCredentials(&own)])).await;
    let body = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&plain), body(&told));
    if nix::unistd::geteuid().is_root() {
        // Root may claim to be anybody, as could root in a container.
        let forged = nix::libc::ucred { pid: 1, uid: 12345, gid: 12345 };
        let forged = nix::sys::socket::UnixCredentials::from(forged);
        let told = answer(send_with(&server, &[ControlMessage::ScmCredentials(&forged)])).await;
        assert_eq!(body(&plain), body(&told));
    }
}

const CHILD: &str = "BOT_BOTTLE_TEST_RPC_SERVER";

/// Not a test by itself: a server with few descriptors for
/// [`a_server_without_descriptors_goes_on_when_it_has_some_again`]. Ends by itself if nobody ends it.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let server = Server::start(limits());
    writeln!(std::io::stdout().lock(), "\nserving {}", server.path.display()).unwrap();
    tokio::time::sleep(PATIENCE * 2).await;
}

// CASES 41
#[tokio::test]
async fn a_server_without_descriptors_goes_on_when_it_has_some_again() {
    // The child is killed and removes nothing.
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 40; exec \"$1\" hostile::child --exact --nocapture", "sh"])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "")
        .env("TMPDIR", dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let serving = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the child serves");
            if let Some((_, path)) = line.split_once("serving ") {
                return path.to_owned();
            }
        }
    };
    let path = timeout(PATIENCE, serving).await.expect("the child serves");
    let mut many = Vec::new();
    for _ in 0..60 {
        many.push(UnixStream::connect(&path).await.unwrap());
    }
    let descriptors = format!("/proc/{}/fd", child.id().unwrap());
    let exhausted = async {
        while std::fs::read_dir(&descriptors).unwrap().count() < 40 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, exhausted).await.expect("the child runs out of descriptors");
    drop(many);
    let echo = call("echo", json!({"text": "x"}));
    let answer = timeout(PATIENCE, post(path.as_ref(), &echo)).await.expect("it accepts again");
    assert_eq!(status(&answer.0), 200, "{answer:?}");
    child.kill().await.unwrap();
}
