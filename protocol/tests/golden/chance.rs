//! Texts that nobody wrote on purpose: reading them may fail, and must not panic.

use std::sync::LazyLock;

use proptest::prelude::*;
use protocol::{
    error::ErrorData,
    event::QueueEvent,
    ids::{
        AgentName, BranchName, DeliveryId, EventId, IssueNumber, Login, Nonce, RepoName, RunId,
        Slug,
    },
    secret::Secret,
};

use crate::{agent, control, examples::events, operator};

fn parse_as_anything(text: &[u8]) {
    agent::parse_as_each(text);
    control::parse_as_each(text);
    operator::parse_as_each(text);
    drop(serde_json::from_slice::<QueueEvent>(text));
    drop(serde_json::from_slice::<ErrorData>(text));
}

fn parse_as_any_name(text: &str) {
    macro_rules! each { ($($name:ident),*) => { $(drop(text.parse::<$name>());)* } }
    each!(
        AgentName,
        BranchName,
        DeliveryId,
        EventId,
        IssueNumber,
        Login,
        Nonce,
        RepoName,
        RunId,
        Slug
    );
    drop(Secret::parse(text));
}

/// Good messages of every kind, to be damaged.
static MESSAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let wires = runtime.block_on(async {
        [agent::played().await, control::played().await, operator::played().await]
    });
    let exchanges = wires.iter().flat_map(crate::wire::Wire::exchanges);
    let params = |request: &serde_json::Value| -> Vec<serde_json::Value> {
        let params = request.get("params").and_then(serde_json::Value::as_object);
        params.map(|map| map.values().cloned().collect()).unwrap_or_default()
    };
    let values = exchanges.flat_map(|exchange| {
        let mut values = params(&exchange.request);
        values.push(exchange.response["result"].clone());
        values
    });
    let events = events().into_iter().map(|event| serde_json::to_value(event).unwrap());
    values.chain(events).map(|value| value.to_string().into_bytes()).collect()
});

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        parse_as_anything(&bytes);
    }

    #[test]
    fn random_json_never_panics(text in r#"[\[\]{}:,"\\u0-9a-e.+ -]{0,80}"#) {
        parse_as_anything(text.as_bytes());
    }

    #[test]
    fn damaged_messages_never_panic(
        message in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut message = message.get(&MESSAGES).clone();
        let at = at.index(message.len());
        message[at] = byte;
        if cut {
            message.truncate(at);
        }
        parse_as_anything(&message);
    }

    #[test]
    fn random_names_never_panic(text in ".{0,80}", ascii in "[ -~]{0,80}") {
        parse_as_any_name(&text);
        parse_as_any_name(&ascii);
    }
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    parse_as_anything("[".repeat(100_000).as_bytes());
    parse_as_anything("{\"what\":".repeat(100_000).as_bytes());
}
