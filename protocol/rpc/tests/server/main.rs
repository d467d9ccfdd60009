//! The server's bounds, each over a real socket.
#![cfg(test)]

mod harness;
mod hostile;

use std::time::Duration;

use harness::{Server, call, limits, post, status};
use jsonrpsee::core::client::ClientT as _;
use protocol::error::ErrorCode;
use rpc::server::Limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn a_typed_call_is_answered() {
    let server = Server::start(limits());
    let client = rpc::client::connect(&server.path, Duration::from_secs(5)).unwrap();
    let mut params = jsonrpsee::core::params::ObjectParams::new();
    params.insert("text", "hello").unwrap();
    let answer: String = client.request("echo", params).await.unwrap();
    assert_eq!(answer, "hello");
}

// CASES 31-36
#[tokio::test]
async fn malformed_calls_are_refused_by_name() {
    let server = Server::start(limits());
    let deep = format!("{}{}", "[".repeat(10), "]".repeat(10));
    let long_id = "x".repeat(129);
    let cases: Vec<(String, i64, &str)> = vec![
        (r#"{"jsonrpc":"2.0","id":1,"method":"nope"}"#.into(), -32601, "unknown method nope"),
        (call("echo", json!({})), -32602, "missing field `text`"),
        (
            call("echo", json!({"text": "a", "texxt": "b"})),
            -32602,
            "unknown parameter texxt, known: text",
        ),
        (call("echo", json!(["a"])), -32602, "by name"),
        (call("echo", json!({"text": 7})), -32602, "invalid type"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"echo","params":{"text":"a","text":"b"}}"#.into(),
            -32602,
            "twice",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"echo","params":{"text":"a","\u0074ext":"b"}}"#
                .into(),
            -32602,
            "twice",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"echo","method":"echo"}"#.into(),
            -32600,
            "duplicate field",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"echo","extra":1}"#.into(), -32600, "unknown field"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"echo"}"#.into(), -32600, "2.0"),
        (r#" [{"jsonrpc":"2.0","id":1,"method":"echo"}]"#.into(), -32600, "batches"),
        (
            r#"{"jsonrpc":"2.0","method":"echo","params":{"text":"a"}}"#.into(),
            -32600,
            "needs an id",
        ),
        (r#"{"jsonrpc":"2.0","id":null,"method":"echo"}"#.into(), -32600, "needs an id"),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"echo"}"#.into(), -32600, "integer"),
        (
            r#"{"jsonrpc":"2.0","id":18446744073709551616,"method":"echo"}"#.into(),
            -32600,
            "integer",
        ),
        (r#"{"jsonrpc":"2.0","id":{},"method":"echo"}"#.into(), -32600, "integer"),
        (format!(r#"{{"jsonrpc":"2.0","id":"{long_id}","method":"echo"}}"#), -32600, "128"),
        (
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"echo","params":{{"text":{deep}}}}}"#),
            -32700,
            "deeper",
        ),
        ("{".into(), -32700, "not JSON"),
        ("\u{feff}{}".into(), -32700, "not JSON"),
    ];
    for (body, code, word) in cases {
        let (head, answer) = post(&server.path, &body).await;
        assert_eq!(status(&head), 200, "{body}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let error = &answer["error"];
        assert_eq!(error["code"], code, "{body} -> {answer}");
        let all = error.to_string();
        assert!(all.contains(word), "{body} -> {answer}");
    }
}

#[tokio::test]
async fn ids_are_told_back_as_they_came() {
    let server = Server::start(limits());
    for id in ["0", "18446744073709551615", "\"a\\u0000b\""] {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"echo","params":{{"text":"x"}}}}"#);
        let (_, answer) = post(&server.path, &body).await;
        assert!(answer.contains(&format!("\"id\":{id}")), "{answer}");
    }
}

// CASES 32, 33
#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let server = Server::start(Limits { body_max_bytes: 1000, ..limits() });
    let announced = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1001\r\n\r\n";
    assert_eq!(status(&server.raw(announced.as_bytes()).await), 413);
    let chunk = format!("3e8\r\n{}\r\n", " ".repeat(1000));
    let chunked = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    assert_eq!(status(&server.raw(chunked.as_bytes()).await), 413);
}

#[tokio::test]
async fn only_json_posted_to_the_root_is_a_call() {
    let server = Server::start(limits());
    let cases = [
        ("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 405),
        (
            "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            405,
        ),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}", 415),
        (
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
            415,
        ),
        (
            "POST /x HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
            404,
        ),
        (
            "POST http://evil/ HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
            404,
        ),
        ("CONNECT a:443 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 404),
    ];
    for (request, expected) in cases {
        assert_eq!(status(&server.raw(request.as_bytes()).await), expected, "{request}");
    }
}

// CASES 37
#[tokio::test]
async fn a_silent_or_dripping_peer_is_cut_off() {
    let quick = Duration::from_millis(150);
    let server = Server::start(Limits { head_timeout: quick, frame_timeout: quick, ..limits() });
    let mut silent = server.connect().await;
    let mut dripping = server.connect().await;
    dripping.write_all(b"POST / HT").await.unwrap();
    let stalled = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{";
    let answer = server.raw(stalled.as_bytes()).await;
    assert_eq!(status(&answer), 408);
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).await.unwrap();
    dripping.read_to_end(&mut rest).await.unwrap();
}

// CASES 38
#[tokio::test]
async fn a_peer_that_never_reads_is_cut_off() {
    let server = Server::start(Limits { stall_timeout: Duration::from_millis(150), ..limits() });
    let mut peer = server.connect().await;
    peer.write_all(&harness::request(&call("big", json!({})))).await.unwrap();
    // The answer is larger than the socket's buffers; writing shows when the server has given up.
    let mut given_up = false;
    for _ in 0..500 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let error = peer.try_write(b" ").err().map(|error| error.kind());
        given_up = error.is_some_and(|kind| kind != std::io::ErrorKind::WouldBlock);
        if given_up {
            break;
        }
    }
    assert!(given_up, "the server still waits");
    let mut read = Vec::new();
    let outcome = peer.read_to_end(&mut read).await;
    assert!(outcome.is_err() || read.len() < harness::BIG, "the whole answer came: {}", read.len());
}

#[tokio::test]
async fn one_connection_too_many_is_hung_up_on() {
    let server = Server::start(Limits { connections: 2, ..limits() });
    let _first = server.connect().await;
    let second = server.connect().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut third = server.connect().await;
    let mut rest = Vec::new();
    third.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    drop(second);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(status(&post(&server.path, &call("echo", json!({"text": "x"}))).await.0), 200);
}

#[tokio::test]
async fn calls_beyond_the_places_are_told_that_it_is_busy() {
    let server = Server::start(Limits { in_flight: 1, ..limits() });
    let path = server.path.clone();
    let first = async { post(&path, &call("wait", json!({}))).await };
    let second = async {
        server.waiting.notified().await;
        let (_, answer) = post(&path, &call("echo", json!({"text": "x"}))).await;
        server.release.notify_one();
        answer
    };
    let ((_, waited), busy) = tokio::join!(first, second);
    assert!(waited.contains("\"result\":true"), "{waited}");
    let busy: Value = serde_json::from_str(&busy).unwrap();
    assert_eq!(busy["error"]["code"], ErrorCode::LimitReached.code());
}

#[tokio::test]
async fn a_method_ends_although_its_caller_has_gone() {
    let server = Server::start(limits());
    let mut peer = server.connect().await;
    peer.write_all(&harness::request(&call("wait", json!({})))).await.unwrap();
    server.waiting.notified().await;
    drop(peer);
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.release.notify_one();
    server.finished.notified().await;
}

// CASES 65
#[tokio::test]
async fn a_panic_costs_one_call() {
    let server = Server::start(limits());
    let (_, answer) = post(&server.path, &call("panic", json!({}))).await;
    assert!(answer.contains("-32603") && !answer.contains("secret"), "{answer}");
    assert_eq!(status(&post(&server.path, &call("echo", json!({"text": "x"}))).await.0), 200);
}

#[tokio::test]
async fn a_slow_method_gives_an_error_in_time() {
    let server = Server::start(Limits { call_timeout: Duration::from_millis(100), ..limits() });
    let (_, answer) = post(&server.path, &call("wait", json!({}))).await;
    assert!(answer.contains("takes too long"), "{answer}");
}

#[tokio::test]
async fn an_answer_over_the_limit_becomes_an_error() {
    let server = Server::start(Limits { answer_max_bytes: 1000, ..limits() });
    let (_, answer) = post(&server.path, &call("big", json!({}))).await;
    assert!(answer.contains("\"error\"") && answer.len() < 1000, "{answer}");
}

#[tokio::test]
async fn stopping_lets_a_call_end_and_cuts_a_stuck_one() {
    let mut server = Server::start(Limits { grace: Duration::from_millis(300), ..limits() });
    let mut stuck = server.connect().await;
    stuck.write_all(&harness::request(&call("wait", json!({})))).await.unwrap();
    server.waiting.notified().await;
    let mut stalled = server.connect().await;
    stalled.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{").await.unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(3), server.stop()).await;
    assert!(stopped.is_ok(), "a stuck call held up the stop");
}

#[tokio::test]
async fn hanging_up_closes_old_connections_and_takes_new_ones() {
    let server = Server::start(limits());
    let mut old = server.connect().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.hang_up.all();
    let mut rest = Vec::new();
    old.read_to_end(&mut rest).await.unwrap();
    assert_eq!(status(&post(&server.path, &call("echo", json!({"text": "x"}))).await.0), 200);
}

#[tokio::test]
async fn a_socket_is_taken_over_only_from_the_dead() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let first = rpc::server::bind(&path, 0o600).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(rpc::server::bind(&path, 0o600).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    drop(first);
    let _second = rpc::server::bind(&path, 0o600).unwrap();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    assert!(rpc::server::bind(&dir.path().join("file"), 0o600).is_err());
    assert_eq!(std::fs::read_to_string(dir.path().join("file")).unwrap(), "x");
}

#[tokio::test]
async fn a_missing_socket_is_named_in_the_error() {
    let client =
        rpc::client::connect("/nonexistent/x.sock".as_ref(), Duration::from_secs(1)).unwrap();
    let failed = client.request::<Value, _>("echo", jsonrpsee::rpc_params![]).await.unwrap_err();
    let error = rpc::client::error(failed);
    assert_eq!(error.data.kind, ErrorCode::NotReady);
    assert!(error.message.contains("/nonexistent/x.sock"), "{}", error.message);
}

#[tokio::test]
async fn an_error_of_a_method_keeps_its_data() {
    let server = Server::start(limits());
    let client = rpc::client::connect(&server.path, Duration::from_secs(1)).unwrap();
    let failed = client
        .request::<Value, _>("refuse", jsonrpsee::core::params::ObjectParams::new())
        .await
        .unwrap_err();
    let error = rpc::client::error(failed);
    assert_eq!(
        (error.data.kind, error.data.hint.as_deref()),
        (ErrorCode::NotFound, Some("look again"))
    );
}
