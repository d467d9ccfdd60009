//! How much a sender may take: bytes, time, connections, and what a failing store answers.

use std::{sync::Arc, time::Duration};

use orchestrator::store::{Store, open};
use protocol::limits;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet, time::timeout};

use super::{LANE, issue, read, serve, server, signed};
use crate::support::Disk;

// CASES 14
#[tokio::test]
async fn a_delivery_over_the_limit_is_refused_and_the_connection_closed() {
    let server = server().await;
    let body = vec![b' '; limits::WEBHOOK_MAX_BYTES + 1];
    let (status, text) = server.call("POST", &signed("issues", "d", &body), &body).await;
    assert_eq!(status, 413, "{text}");
    // What it would have told is looked for instead.
    timeout(Duration::from_secs(5), server.pulse.missed.notified()).await.unwrap();
    let body = vec![b' '; limits::WEBHOOK_MAX_BYTES];
    assert_eq!(server.post(&signed("issues", "d", &body), &body).await, 400, "at the limit");

    // No length is told, and it never ends: it is cut off after the limit.
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let head = "POST /hooks/gitea HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        transfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 1 << 16], b"\r\n"].concat();
    let mut sent = 0;
    while stream.write_all(&chunk).await.is_ok() && sent < 1000 {
        sent += 1;
    }
    assert!(sent < 1000, "it took 62 MiB");
    server.nothing_stored().await;
}

// CASES 15
#[tokio::test]
async fn slow_and_silent_clients_are_cut_off_while_others_are_served() {
    let server = server().await;
    let heads = [
        ("nothing", String::new()),
        ("half a head", "POST /hooks/gitea HTTP/1.1\r\nhos".to_owned()),
        (
            "length lies",
            "POST /hooks/gitea HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{".to_owned(),
        ),
        (
            "a chunk that stays away",
            "POST /hooks/gitea HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"
                .to_owned(),
        ),
        ("idle after an answer", "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n".to_owned()),
    ];
    let mut clients = JoinSet::new();
    for (what, head) in heads {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        clients.spawn(async move {
            stream.write_all(head.as_bytes()).await.unwrap();
            (what, read(&mut stream).await.0)
        });
    }
    let mut trickle = TcpStream::connect(&server.address).await.unwrap();
    clients.spawn(async move {
        let head = "POST /hooks/gitea HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n";
        trickle.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            drop(trickle.write_all(b" ").await);
        }
        ("a byte at a time", read(&mut trickle).await.0)
    });
    let body = issue(&json!(7));
    assert_eq!(server.post(&signed("issues", "d", &body), &body).await, 202);
    let mut order = vec![];
    while let Some(ended) = clients.join_next().await {
        let (what, status) = ended.unwrap();
        order.push(what);
        let wanted: &[u16] = match what {
            "nothing" | "half a head" => &[0, 408],
            "idle after an answer" => &[200],
            _ => &[408],
        };
        assert!(wanted.contains(&status), "{what}: {status}");
    }
    // Silence is ended long before what comes slowly but steadily.
    assert_eq!(order.last(), Some(&"a byte at a time"), "{order:?}");
}

// Strangers can fill the places of those whose signature is not known yet, but no more memory.
// CASES 15
#[tokio::test]
async fn only_some_bodies_are_collected_at_a_time_and_the_others_are_looked_for() {
    let server = server().await;
    let body = issue(&json!(7));
    let mut busy = None;
    // Again, should this machine be so slow that the first ones ended before the last ones came.
    for _ in 0..5 {
        let mut open = vec![];
        for _ in 0..16 {
            let mut stream = TcpStream::connect(&server.address).await.unwrap();
            let head = "POST /hooks/gitea HTTP/1.1\r\nhost: x\r\n\
                content-type: application/json\r\ncontent-length: 99\r\n\r\n{";
            stream.write_all(head.as_bytes()).await.unwrap();
            open.push(stream);
        }
        for n in 0..50 {
            let headers = signed("issues", &format!("d{n}"), &body);
            let (status, text) = server.call("POST", &headers, &body).await;
            if status == 503 {
                busy = Some(text);
                break;
            }
        }
        if busy.is_some() {
            break;
        }
    }
    let text = busy.expect("all bodies were collected");
    assert!(text.to_ascii_lowercase().contains("retry-after: "), "{text}");
    timeout(Duration::from_secs(5), server.pulse.missed.notified()).await.unwrap();
    // The places are given back.
    let again = async {
        while server.post(&signed("issues", "later", &body), &body).await == 503 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), again).await.unwrap();
}

// CASES 22: rows and answers stay bounded, one lane is looked at once.
#[tokio::test]
async fn thousands_of_deliveries_for_one_issue_are_one_hint() {
    let server = Arc::new(server().await);
    let mut senders = JoinSet::new();
    for sender in 0..8 {
        let server = Arc::clone(&server);
        senders.spawn(async move {
            let body = issue(&json!(7));
            for n in 0..250 {
                let headers = signed("issues", &format!("{sender}-{n}"), &body);
                assert_eq!(server.post(&headers, &body).await, 202);
            }
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.unwrap();
    }
    assert_eq!(server.disk.lanes().await, [LANE]);
    assert_eq!(server.disk.waiting(LANE).await, 1);
    assert!(server.pulse.health().last_delivery.is_some());
}

// CASES 23: what was answered stands in the file, seen from another connection.
#[tokio::test]
async fn a_delivery_is_on_disk_before_it_is_answered() {
    let server = server().await;
    let reader = open(&server.disk.dir.path().join("bot-bottle.db")).unwrap();
    for n in 1..=20 {
        let body = issue(&json!(n));
        assert_eq!(server.post(&signed("issues", &format!("d{n}"), &body), &body).await, 202);
        let rows: i64 =
            reader.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, n);
    }
}

// CASES 24
#[tokio::test]
async fn a_store_that_is_full_or_locked_asks_for_a_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bot-bottle.db");
    let connection = open(&path).unwrap();
    connection.busy_timeout(Duration::from_millis(50)).unwrap();
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    let store = Store::start(connection).unwrap();
    let server = serve(Disk { dir, store }, &["team/project"]).await;
    let send = async |id: String, number: u64| {
        let body = issue(&json!(number));
        server.call("POST", &signed("issues", &id, &body), &body).await
    };

    let other = open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (status, text) = send("locked".to_owned(), 7).await;
    assert_eq!(status, 503, "{text}");
    timeout(Duration::from_secs(5), server.pulse.missed.notified()).await.unwrap();
    assert!(text.to_ascii_lowercase().contains("retry-after: "), "{text}");
    other.execute_batch("COMMIT").unwrap();

    let mut stored = 0_u64;
    loop {
        // Long ids fill the pages soon.
        let (status, text) = send(format!("{}{stored}", "d".repeat(60)), stored + 1).await;
        if status == 503 {
            assert!(text.to_ascii_lowercase().contains("retry-after: "), "{text}");
            break;
        }
        assert_eq!(status, 202, "{text}");
        stored += 1;
        assert!(stored < 5000, "it never gets full");
    }
    let rows: i64 = other.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0)).unwrap();
    assert_eq!(rows.cast_unsigned(), stored, "what was refused is not there, what was answered is");
}
