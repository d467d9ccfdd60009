//! Who sends: with which secret, through which route, in whose name, with whose texts.

use serde_json::json;

use super::{LANE, SECRET, headers, issue, serve_with, server, sign, signed};
use crate::support::Disk;

// CASES 30
#[tokio::test]
async fn while_a_secret_is_changed_both_are_taken_and_afterwards_only_the_new_one() {
    const NEW: &str = "another secret that is long enough for it";
    let body = issue(&json!(7));
    let with = |key: &str, id: &str| headers("issues", id, &sign(key, &body));
    let server = serve_with(Disk::new(), &["team/project"], &[SECRET, NEW]).await;
    assert_eq!(server.post(&with(SECRET, "a"), &body).await, 202);
    assert_eq!(server.post(&with(NEW, "b"), &body).await, 202);
    assert_eq!(server.pulse.health().refused, 0);
    let server = serve_with(Disk::new(), &["team/project"], &[NEW]).await;
    assert_eq!(server.post(&with(SECRET, "a"), &body).await, 401);
    assert_eq!(server.post(&with(NEW, "b"), &body).await, 202);
    assert_eq!(server.pulse.health().refused, 1);
}

// CASES 8: the route says whose signature counts, not the headers that came.
#[tokio::test]
async fn another_forges_route_takes_no_delivery_of_ours() {
    let server = server().await;
    let body = issue(&json!(7));
    let mut head = "POST /hooks/gitlab HTTP/1.1\r\nhost: x\r\nconnection: close\r\n".to_owned();
    for (key, value) in signed("issues", "d", &body) {
        head.push_str(&[&key, ": ", &value, "\r\n"].concat());
    }
    let request = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
    assert_eq!(server.raw(&[request, body].concat()).await.0, 404);
    server.nothing_stored().await;
}

// CASES 27: counted, and nothing to look at; what else our own accounts do is looked at.
#[tokio::test]
async fn what_our_own_accounts_say_is_no_news() {
    let server = server().await;
    let sent = async |event: &str, sender: &str| {
        let body = json!({
            "action": "created", "number": 7, "issue": { "number": 7 }, "comment": { "id": 1 },
            "repository": { "full_name": "team/project" }, "sender": { "login": sender },
        });
        let body = serde_json::to_vec(&body).unwrap();
        server.post(&signed(event, &format!("{event}-{sender}"), &body), &body).await
    };
    assert_eq!(sent("issue_comment", "Implementer-Bot").await, 204);
    server.nothing_stored().await;
    assert_eq!(server.pulse.health().echoes, 1);
    assert_eq!(sent("issues", "implementer-bot").await, 202);
    assert_eq!(sent("issue_comment", "ann").await, 202);
    assert_eq!(server.disk.lanes().await, [LANE]);
}

// CASES 21
#[tokio::test]
async fn texts_of_strangers_leave_no_trace_of_themselves() {
    let server = server().await;
    let long = "x".repeat(1 << 20);
    for text in ["\u{0}", "\u{1b}]0;title\u{7}", "\u{202e}gnp", "../../etc/passwd", &long] {
        let body = json!({
            "action": "label_updated", "number": 7,
            "issue": { "number": 7, "title": text, "labels": [{ "name": text }] },
            "repository": { "full_name": "team/project" }, "sender": { "login": "ann" },
        });
        let body = serde_json::to_vec(&body).unwrap();
        let id = format!("d{}", text.len());
        assert_eq!(server.post(&signed("issues", &id, &body), &body).await, 202);
    }
    assert_eq!(server.disk.lanes().await, [LANE], "a lane is made of the checked names alone");
    // Only the hint is kept, not the text.
    let rows = server.disk.waiting(LANE).await;
    assert_eq!(rows, 1);
}
