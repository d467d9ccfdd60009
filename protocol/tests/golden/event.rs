//! Files of the queue directory.

use protocol::event::{Happening, QueueEvent};
use serde_json::Value;

use crate::{examples::events, wire::check_type};

#[test]
fn events_are_as_recorded() {
    insta::with_settings!({ sort_maps => true }, {
        insta::assert_json_snapshot!("events", events());
    });
}

#[test]
fn every_kind_of_event_has_an_example() {
    // A new kind breaks this match, and then wants its example.
    let kind = |event: &QueueEvent| match event.what {
        Happening::RunStarted {} => 0,
        Happening::CheckIn { .. } => 1,
        Happening::Operation { .. } => 2,
        Happening::PrOpened { .. } => 3,
        Happening::Done { .. } => 4,
        Happening::Exited { .. } => 5,
    };
    assert_eq!(events().iter().map(kind).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn events_read_back_and_refuse_unknown_fields() {
    for event in events() {
        check_type::<QueueEvent>(&serde_json::to_value(event).unwrap());
    }
}

// CASES 34
#[test]
fn a_field_given_twice_is_refused() {
    let text = serde_json::to_string(&events()[4]).unwrap();
    assert!(serde_json::from_str::<QueueEvent>(&text).is_ok());
    for (once, twice) in [
        (r#""version":1"#, r#""version":1,"version":1"#),
        (r#""status":"success""#, r#""status":"failed","status":"success""#),
        (r#""status":"success""#, r#""status":"failed","\u0073tatus":"success""#),
        (r#""kind":"done""#, r#""kind":"exited","kind":"done""#),
    ] {
        let doubled = text.replace(once, twice);
        assert_ne!(doubled, text);
        assert!(serde_json::from_str::<QueueEvent>(&doubled).is_err(), "{doubled}");
    }
}

#[test]
fn an_unknown_kind_is_refused() {
    let mut event: Value = serde_json::to_value(&events()[0]).unwrap();
    event["what"]["kind"] = "exploded".into();
    assert!(serde_json::from_value::<QueueEvent>(event).is_err());
}
