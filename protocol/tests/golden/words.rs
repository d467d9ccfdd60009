//! The words of every enumeration on a wire: the examples show only some of them.

use protocol::{
    agent::DoneStatus,
    error::ErrorCode,
    event::OperationOutcome,
    grant::{ForgeKind, PromptVia},
    item::{CheckState, IssueState, Permission, PullState, Verdict},
};
use serde_json::{Map, Value};

/// All variants of each enumeration; one that is missing here breaks the build.
macro_rules! words {
    ($($name:ident { $($variant:ident),* $(,)? })*) => {
        fn words() -> Value {
            $({
                let complete = |value: $name| match value { $($name::$variant)|* => () };
                let _: fn($name) = complete;
            })*
            Value::Object(Map::from_iter([
                $((stringify!($name).to_owned(), serde_json::json!([$($name::$variant),*])),)*
            ]))
        }
    };
}

words! {
    CheckState { Pending, Success, Warning, Failure, Error }
    DoneStatus { Success, Failed, Blocked }
    ErrorCode {
        OutOfScope, Invalid, NotFound, Conflict, LimitReached, ForgeRefused, ForgeUnavailable,
        NotReady, QueueFull, Internal,
    }
    ForgeKind { Gitea }
    IssueState { Open, Closed }
    OperationOutcome { Done, Refused, Failed }
    Permission { None, Read, Write, Admin }
    PromptVia { Stdin, Argument, File }
    PullState { Open, Closed, Merged }
    Verdict { Approved, ChangesRequested, Commented, Pending }
}

#[test]
fn words_are_as_recorded() {
    insta::with_settings!({ sort_maps => true }, {
        insta::assert_json_snapshot!("words", words());
    });
}
