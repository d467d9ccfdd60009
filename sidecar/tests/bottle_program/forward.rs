//! Bytes between TCP and the sidecar's socket.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixListener, UnixStream},
    time::timeout,
};

use crate::{
    fake::{Fake, PATIENCE},
    process::Bottle,
};

/// A bottle, and a listener in its sidecar's place.
async fn bottle_and_listener() -> (Fake, Bottle, UnixListener, std::net::SocketAddr) {
    let fake = Fake::absent();
    let mut bottle = Bottle::start(&fake);
    let address = bottle.forwarder().await;
    let listener = UnixListener::bind(fake.socket()).unwrap();
    (fake, bottle, listener, address)
}

/// The next connection that was forwarded: PID 1 itself asks on the same socket.
async fn accept(listener: &UnixListener, first: u8) -> UnixStream {
    let found = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if stream.read_u8().await.is_ok_and(|byte| byte == first) {
                return stream;
            }
        }
    };
    timeout(PATIENCE, found).await.unwrap()
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_way_ends_by_itself() {
    let (_fake, _bottle, listener, address) = bottle_and_listener().await;
    let question: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
    let answer: Vec<u8> = question.iter().rev().copied().collect();
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let asked = async {
        tcp.write_all(&question).await.unwrap();
        // The whole question is there, which the other side can see; the answer is yet to come.
        tcp.shutdown().await.unwrap();
        let mut heard = Vec::new();
        tcp.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let answered = async {
        let mut unix = accept(&listener, question[0]).await;
        let mut heard = vec![question[0]];
        unix.read_to_end(&mut heard).await.unwrap();
        unix.write_all(&answer).await.unwrap();
        heard
    };
    let (got_answer, got_question) =
        timeout(PATIENCE, async { tokio::join!(asked, answered) }).await.unwrap();
    assert!(got_question == question && got_answer == answer);
}

#[tokio::test]
async fn an_answer_may_end_before_the_question() {
    let (_fake, _bottle, listener, address) = bottle_and_listener().await;
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(b"q").await.unwrap();
    let mut unix = accept(&listener, b'q').await;
    unix.write_all(b"answer").await.unwrap();
    unix.shutdown().await.unwrap();
    let mut heard = String::new();
    timeout(PATIENCE, tcp.read_to_string(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, "answer");
    tcp.write_all(b"more").await.unwrap();
    tcp.shutdown().await.unwrap();
    let mut heard = String::new();
    timeout(PATIENCE, unix.read_to_string(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, "more");
}

#[tokio::test]
async fn without_a_sidecar_a_connection_ends_at_once() {
    let fake = Fake::absent();
    let mut bottle = Bottle::start(&fake);
    let mut tcp = TcpStream::connect(bottle.forwarder().await).await.unwrap();
    let mut heard = Vec::new();
    let ended = timeout(PATIENCE, tcp.read_to_end(&mut heard)).await.unwrap();
    assert!(ended.is_err() || heard.is_empty());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let fake = Fake::absent();
    let mut first = Bottle::start(&fake);
    let address = first.forwarder().await.to_string();
    let second = crate::process::bottle(&fake, &["init", "--listen", &address], "").await;
    assert_eq!(second.status.code(), Some(1));
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(error.starts_with(&format!("error: cannot listen on {address}: ")), "{error}");
}

#[tokio::test]
async fn one_connection_too_many_waits_until_another_ends() {
    let (_fake, _bottle, listener, address) = bottle_and_listener().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(b"q").await.unwrap();
        open.push((tcp, accept(&listener, b'q').await));
    }
    let mut late = TcpStream::connect(address).await.unwrap();
    late.write_all(b"l").await.unwrap();
    let early = timeout(Duration::from_millis(200), accept(&listener, b'l')).await;
    assert!(early.is_err(), "65 connections at a time");
    drop(open.pop());
    accept(&listener, b'l').await;
}
