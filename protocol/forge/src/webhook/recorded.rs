//! What was recorded of a real Gitea 1.15.11: each delivery verifies, and says what it should.

use std::{fs, path::Path};

use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Delivery, SignatureError, read_gitea, signature::tests::recorded_secrets, verify_gitea,
};

#[derive(Deserialize)]
struct Recording {
    headers: Map<String, Value>,
    body: String,
}

/// All recordings in their order, with their names.
fn recordings() -> Vec<(String, HeaderMap, Vec<u8>)> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/gitea-1.15.11/webhooks");
    let mut paths: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert_eq!(paths.len(), 35, "all recordings are there");
    paths
        .iter()
        .map(|path| {
            let recording: Recording = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            let pairs = recording.headers.iter();
            let headers = pairs.map(|(name, value)| {
                (name.parse::<HeaderName>().unwrap(), value.as_str().unwrap().parse().unwrap())
            });
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, headers.collect(), recording.body.into_bytes())
        })
        .collect()
}

#[test]
fn recorded_deliveries_verify_and_changed_ones_do_not() {
    let secrets = recorded_secrets();
    for (name, mut headers, body) in recordings() {
        assert_eq!(verify_gitea(&secrets, &headers, &body), Ok(()), "{name}");
        for at in [0, body.len() / 2, body.len() - 1] {
            let mut other = body.clone();
            other[at] ^= 1;
            assert_eq!(
                verify_gitea(&secrets, &headers, &other),
                Err(SignatureError::Wrong),
                "{name}"
            );
        }
        // What Gitea sends for other forges' readers is no signature to us.
        headers.remove("x-gitea-signature");
        assert_eq!(verify_gitea(&secrets, &headers, &body), Err(SignatureError::Missing), "{name}");
    }
}

#[test]
fn recorded_deliveries_give_the_expected_hints() {
    let read: Vec<String> = recordings()
        .into_iter()
        .map(|(name, headers, body)| {
            let Delivery { repo, hint, sender, .. } = read_gitea(&headers, &body).unwrap();
            format!("{name} {repo} {sender} {hint:?}")
        })
        .collect();
    let wanted: Vec<&str> = include_str!("recorded.txt").lines().collect();
    assert_eq!(read, wanted, "\n{}", read.join("\n"));
}

// CASES 10: repeats are recognised by their id.
#[test]
fn repeats_carry_the_same_id() {
    let id = |wanted: &str| {
        let (_, headers, body) =
            recordings().into_iter().find(|(name, ..)| name.starts_with(wanted)).unwrap();
        read_gitea(&headers, &body).unwrap().id
    };
    assert_eq!(id("012"), id("013"));
    assert_eq!(id("012"), id("017"));
    assert_ne!(id("012"), id("033"));
}
