//! Errors, the same on every socket.

use jsonrpsee::types::ErrorObjectOwned;
use protocol::error::{ErrorCode, ErrorData, RpcError};
use serde_json::Value;

use crate::{examples::number, wire::check_type};

/// One error of each code; the first has every field of `data`.
fn errors() -> Vec<RpcError> {
    let full = RpcError {
        message: "write to #500, writable 17, 42".to_owned(),
        data: ErrorData {
            kind: ErrorCode::OutOfScope,
            hint: Some("write to the assigned issue".to_owned()),
            writable: Some(vec![number(17), number(42)]),
            retry_after_s: Some(60),
        },
    };
    let plain = |code| RpcError::new(code, format!("an example of {code:?}"));
    std::iter::once(full).chain(ErrorCode::ALL.into_iter().skip(1).map(plain)).collect()
}

fn on_the_wire(error: RpcError) -> Value {
    serde_json::to_value(ErrorObjectOwned::from(error)).unwrap()
}

#[test]
fn errors_are_as_recorded() {
    let errors: Vec<Value> = errors().into_iter().map(on_the_wire).collect();
    insta::with_settings!({ sort_maps => true }, {
        insta::assert_json_snapshot!("errors", errors);
    });
}

#[test]
fn errors_read_back_and_their_data_refuses_unknown_fields() {
    for error in errors() {
        let literal = on_the_wire(error.clone());
        let object: ErrorObjectOwned = serde_json::from_value(literal.clone()).unwrap();
        assert_eq!(RpcError::from(&object), error);
        check_type::<ErrorData>(&literal["data"]);
    }
}
