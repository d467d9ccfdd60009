//! JSON that means the same to every reader.
//!
//! Serde's structs alone would pass over a repeated key, a broken text or an endless nest in a part
//! that they do not read; another reader of the same stored bytes might take it otherwise (CASES 18).

use std::{collections::HashSet, fmt};

use protocol::limits::JSON_DEPTH_MAX;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Walks through the whole text and keeps nothing.
///
/// # Errors
/// When it is not JSON, is nested deeper than [`JSON_DEPTH_MAX`], repeats a key in an object, or
/// holds half a surrogate pair or a number beyond any float.
pub(super) fn check(text: &[u8]) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    Walk { depth: 0 }.deserialize(&mut reader)?;
    reader.end()
}

/// One value, `depth` levels deep.
#[derive(Clone, Copy)]
struct Walk {
    depth: usize,
}

impl Walk {
    fn below<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > JSON_DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {JSON_DEPTH_MAX} levels")));
        }
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while entries.next_element_seed(below)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let below = self.below()?;
        let mut keys = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if !keys.insert(key) {
                return Err(A::Error::custom("a key is repeated"));
            }
            entries.next_value_seed(below)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CASES 18, 34
    #[test]
    fn what_readers_could_disagree_on_is_refused() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for bad in [
            deep(65),
            deep(10_000),
            "[".repeat(10_000),
            r#"{"a":1,"a":2}"#.to_owned(),
            r#"{"x":{"status":1,"\u0073tatus":2}}"#.to_owned(),
            r#"["\ud800"]"#.to_owned(),
            "[1e999]".to_owned(),
            "\u{feff}{}".to_owned(),
            "{} {}".to_owned(),
            "{'a':1}".to_owned(),
            "[01]".to_owned(),
            "[NaN]".to_owned(),
            String::new(),
        ] {
            assert!(check(bad.as_bytes()).is_err(), "{bad:.60}");
        }
        assert!(check(b"[\"\xff\"]").is_err());
        for good in
            [deep(64), r#"{"a":{"a":[null,true,-1,1.5,"\u0000\ud83d\ude00"]},"b":{}}"#.to_owned()]
        {
            check(good.as_bytes()).unwrap();
        }
    }
}
