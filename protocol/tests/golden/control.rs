//! `control.sock`.

use protocol::{
    control::{Configured, ControlRpcClient, ControlRpcServer, Drained, METHODS, Usage},
    event::QueueEvent,
    grant::{Grant, RunSpec, Secrets},
    ids::EventId,
};

use crate::examples::{self as ex, CANARY};

wire! { "control", ControlRpcServer, ControlRpcClient, METHODS;
    configure(grant: Grant = ex::grant(), secrets: Secrets = ex::secrets()) -> Configured
        = Configured { nonce: ex::id("0123456789abcdef"), version: "0.1.0".to_owned() };
    start_run(run: RunSpec = ex::run_spec()) -> () = ();
    drain() -> Drained = Drained { cut: 1 };
    usage() -> Usage = ex::usage();
    shutdown() -> () = ();
    events(after: Option<EventId> = Some(ex::id("0123456789abcdef-00000001"))) -> Vec<QueueEvent>
        = ex::events().split_off(1);
    ack(up_to: EventId = ex::id("0123456789abcdef-00000006")) -> () = ();
}

// DESIGN 3: secrets cross one boundary, in one message.
#[tokio::test]
async fn a_secret_stands_in_configure_and_nowhere_else() {
    let all = [played().await, crate::agent::played().await, crate::operator::played().await];
    let all: Vec<_> = all.iter().flat_map(crate::wire::Wire::exchanges).collect();
    let telling = |text: &serde_json::Value| text.to_string().contains(CANARY);
    let asked: Vec<_> =
        all.iter().filter(|e| telling(&e.request)).map(crate::wire::Exchange::method).collect();
    assert_eq!(asked, ["configure"]);
    assert!(!all.iter().any(|exchange| telling(&exchange.response)));
    assert!(!format!("{:?}", ex::secrets()).contains(CANARY));
}
