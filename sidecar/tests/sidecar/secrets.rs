//! The token is nowhere but on its way to the forge. The canary itself must be findable: the last
//! test shows that the search would find it.

use std::{fs, path::Path};

use protocol::{
    agent::{AgentRpcClient as _, DoneStatus},
    control::ControlRpcClient as _,
};

use crate::{
    fake_forge::{Fault, number},
    harness::{Bottle, TOKEN, grant, refused, secrets},
};

/// The canary in the forms that it could take (plain, base64 of `bot:<token>` and of itself, hex).
fn forms() -> Vec<String> {
    let hex: String = TOKEN.bytes().map(|byte| format!("{byte:02x}")).collect();
    let reversed = TOKEN.chars().rev().collect();
    vec![TOKEN.to_owned(), base64(TOKEN), base64(&format!("bot:{TOKEN}")), hex, reversed]
}

/// Without the last group, which depends on what follows.
fn base64(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = text.as_bytes().chunks_exact(3).map(|three| {
        let bits = three.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0]
            .map(|shift| char::from(DIGITS[bits >> shift & 63]))
            .iter()
            .collect::<String>()
    });
    groups.collect()
}

fn found_below(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(found_below(&entry.path()));
        } else if kind.is_file() {
            let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
            found.extend(forms().into_iter().filter(|form| text.contains(form)));
        }
    }
    found
}

// CASES 63, TH1
#[tokio::test]
async fn the_token_is_in_no_answer_no_file_and_no_debug_output() {
    let bottle = Bottle::at_work().await;
    assert_eq!(bottle.forge.tokens(), [TOKEN], "the forge did not get it");
    bottle.forge.fail_next([
        Fault::BadToken,
        Fault::ServerBefore,
        Fault::ServerBefore,
        Fault::ServerBefore,
    ]);
    let mut answers = vec![
        format!("{:?}", refused(bottle.agent.post_comment(number(17), "x".to_owned()).await)),
        format!("{:?}", refused(bottle.agent.post_comment(number(17), "x".to_owned()).await)),
        format!("{:?}", refused(bottle.agent.post_comment(number(500), "x".to_owned()).await)),
        format!("{:?}", bottle.agent.context().await.unwrap()),
        format!(
            "{:?}",
            bottle.agent.signal_done(DoneStatus::Success, "x".to_owned()).await.unwrap()
        ),
        format!("{:?}", bottle.control.usage().await.unwrap()),
        format!("{:?}", bottle.control.events(None).await.unwrap()),
        format!(
            "{:?}",
            bottle.control.configure(grant("http://127.0.0.1:1/"), secrets()).await.unwrap()
        ),
        format!("{:?} {:?}", bottle.running, bottle.running.sidecar.enter().unwrap()),
        format!("{:?} {:#?}", secrets(), bottle.running.sidecar),
    ];
    let session = bottle.running.sidecar.enter().unwrap();
    answers.push(format!("{:?}", session.session().upstream));
    for answer in answers {
        assert!(!forms().iter().any(|form| answer.contains(form)), "{answer}");
    }
    drop(session);
    assert_eq!(found_below(bottle.dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_grant_that_cannot_be_used_is_refused_without_the_token() {
    let bottle = Bottle::fresh(crate::harness::settings());
    let mut bad = grant("http://127.0.0.1:1/");
    bad.forge.ca_pem =
        Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned());
    let error = refused(bottle.control.configure(bad, secrets()).await);
    assert!(
        error.message.contains("certificate authority") && !error.message.contains(TOKEN),
        "{error:?}"
    );
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(base64("Man"), "TWFu");
    for form in forms() {
        fs::write(dir.path().join("file"), format!("{{\"x\":\"{form}\"}}")).unwrap();
        assert_eq!(found_below(dir.path()).len(), 1, "{form}");
    }
}
