//! The JSON-RPC envelope, checked before any of it is given to a method. Pure.

use std::{borrow::Cow, fmt};

use jsonrpsee::types::Id;
use protocol::limits::RPC_ID_MAX_BYTES;
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

use crate::server::Known;

/// A call that may be made.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: Id<'static>,
    pub(super) method: &'static str,
    /// The parameters as an object in JSON.
    pub(super) params: Option<String>,
}

/// A call that may not.
#[derive(Debug)]
pub(super) struct Refused {
    /// Null when the call has none that can be told back.
    pub(super) id: Id<'static>,
    /// JSON-RPC's own codes, <https://www.jsonrpc.org/specification#error_object>.
    pub(super) code: i32,
    pub(super) message: String,
}

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;

impl Refused {
    fn new(id: Id<'static>, code: i32, message: impl Into<String>) -> Self {
        Self { id, code, message: message.into() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// Reads one call. Size is bounded by the caller; depth and shape are bounded here, before parsing.
pub(super) fn read(body: &[u8], known: Known, depth_max: usize) -> Result<Call, Refused> {
    let without_id = |code, message: String| Refused::new(Id::Null, code, message);
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(without_id(
            INVALID_REQUEST,
            "batches are not served, send one call at a time".to_owned(),
        ));
    }
    if deeper_than(body, depth_max) {
        return Err(without_id(PARSE_ERROR, format!("nested deeper than {depth_max} levels")));
    }
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|error| match error.classify() {
            Category::Data => without_id(
                INVALID_REQUEST,
                format!("not a JSON-RPC call: {}", printable(&error.to_string())),
            ),
            Category::Io | Category::Syntax | Category::Eof => {
                without_id(PARSE_ERROR, format!("not JSON: {error}"))
            }
        })?;
    if envelope.jsonrpc != "2.0" {
        return Err(without_id(INVALID_REQUEST, "\"jsonrpc\" must be \"2.0\"".to_owned()));
    }
    let id = read_id(envelope.id)?;
    let Some((method, allowed)) = known.iter().find(|(name, _)| *name == envelope.method) else {
        return Err(Refused::new(
            id,
            METHOD_NOT_FOUND,
            format!("unknown method {}", printable(&envelope.method)),
        ));
    };
    let params = envelope.params.map(RawValue::get);
    if let Some(params) = params {
        check_params(params, allowed)
            .map_err(|message| Refused::new(id.clone(), INVALID_PARAMS, message))?;
    }
    Ok(Call { id, method, params: params.map(str::to_owned) })
}

/// CASES 36: a call without an id would have no answer, and what it did no receipt.
fn read_id(raw: Option<&RawValue>) -> Result<Id<'static>, Refused> {
    let refuse = |message: &str| Err(Refused::new(Id::Null, INVALID_REQUEST, message));
    let Some(raw) = raw else { return refuse("a call needs an id, notifications are not served") };
    match serde_json::from_str::<Id<'_>>(raw.get()) {
        Ok(Id::Number(number)) => Ok(Id::Number(number)),
        Ok(Id::Str(text)) if text.len() <= RPC_ID_MAX_BYTES => Ok(Id::Str(text).into_owned()),
        Ok(Id::Str(_)) => refuse("the id is longer than 128 bytes"),
        Ok(Id::Null) | Err(_) => refuse("the id must be a string or an integer from 0 to 2^64-1"),
    }
}

/// Only an object whose every key is in `allowed`, once. What is missing shows when it is read.
fn check_params(raw: &str, allowed: &[&str]) -> Result<(), String> {
    if !raw.starts_with('{') {
        return Err("parameters go by name, in an object".to_owned());
    }
    let mut reader = serde_json::Deserializer::from_str(raw);
    Keys(allowed).deserialize(&mut reader).map_err(|error| {
        // serde_json's position is of no use to a program that made the JSON by a library.
        let message = error.to_string();
        message.split(" at line ").next().unwrap_or(&message).to_owned()
    })
}

struct Keys<'k>(&'k [&'k str]);

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut left: Vec<&str> = self.0.to_vec();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            let shown = printable(&key);
            if !self.0.contains(&&*key) {
                let listed = if self.0.is_empty() { "none".to_owned() } else { self.0.join(", ") };
                return Err(A::Error::custom(format!(
                    "unknown parameter {shown}, known: {listed}"
                )));
            }
            let Some(place) = left.iter().position(|name| *name == key) else {
                return Err(A::Error::custom(format!("parameter {shown} is given twice")));
            };
            left.swap_remove(place);
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// A foreign text, bounded and without control characters.
fn printable(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

/// Whether brackets outside strings are nested deeper than `max`. Works on any bytes.
fn deeper_than(json: &[u8], max: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > max {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: Known = &[("read_issue", &["number"])];

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert!(!deeper_than(br#"{"a":["[[[[\"[[",{}]}"#, 3));
        assert!(deeper_than(br#"{"a":[[{}]]}"#, 3));
        assert!(!deeper_than(b"][][][", 1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(call) = read(&bytes, KNOWN, 64) {
                prop_assert_eq!(call.method, "read_issue");
            }
        }

        #[test]
        fn a_call_is_kept_to_the_letter(id in any::<u64>(), number in any::<u64>()) {
            let params = format!("{{\"number\":{number}}}");
            let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"read_issue\",\"params\":{params}}}");
            let call = read(body.as_bytes(), KNOWN, 64).unwrap();
            prop_assert_eq!((call.id, call.params), (Id::Number(id), Some(params)));
        }

        #[test]
        fn only_listed_parameters_pass(name in "[a-z]{1,10}") {
            let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"read_issue\",\"params\":{{\"{name}\":1}}}}");
            prop_assert_eq!(read(body.as_bytes(), KNOWN, 64).is_ok(), name == "number");
        }
    }
}
