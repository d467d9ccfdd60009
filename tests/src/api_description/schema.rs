//! What a value has to look like.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::Description;

/// Fields that Gitea sends and does not describe: `username` beside `login`, for old clients.
const UNDESCRIBED: [(&str, &str); 1] = [("User", "username")];

/// A schema of the description, or the name of one.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Schema {
    #[serde(rename = "$ref")]
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    format: Option<String>,
    #[serde(rename = "enum", default)]
    words: Vec<String>,
    items: Option<Box<Self>>,
    #[serde(default)]
    properties: BTreeMap<String, Self>,
    /// Fields that must be there.
    #[serde(default)]
    required: Vec<String>,
    #[serde(rename = "additionalProperties")]
    others: Option<Value>,
}

/// Whose value it is decides how much is forgiven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Answer,
}

/// One look at one value.
struct Look<'a> {
    whole: &'a Description,
    side: Side,
    wrong: &'a mut Vec<String>,
}

impl Schema {
    /// Holds what is sent to it.
    pub(super) fn check_request(
        &self,
        value: &Value,
        whole: &Description,
        place: &str,
        wrong: &mut Vec<String>,
    ) {
        Look { whole, side: Side::Request, wrong }.check(self, value, place, "");
    }

    /// Holds what is answered to it.
    pub(super) fn check_answer(
        &self,
        value: &Value,
        whole: &Description,
        place: &str,
        wrong: &mut Vec<String>,
    ) {
        Look { whole, side: Side::Answer, wrong }.check(self, value, place, "");
    }

    /// Why a text in a path or query does not fit.
    pub(super) fn refuses_text(&self, text: &str) -> Option<String> {
        match self.kind.as_deref() {
            Some("integer") if text.parse::<u64>().is_err() => {
                Some(format!("{text:?} is no number"))
            }
            Some("boolean") if !matches!(text, "true" | "false") => {
                Some(format!("{text:?} is neither true nor false"))
            }
            _ => self.refuses_word(text),
        }
    }

    fn refuses_word(&self, text: &str) -> Option<String> {
        if !self.words.is_empty() && !self.words.iter().any(|word| word == text) {
            return Some(format!("{text:?} is none of {:?}", self.words));
        }
        let is_time = self.format.as_deref() == Some("date-time");
        (is_time && text.parse::<Timestamp>().is_err()).then(|| format!("{text:?} is no time"))
    }
}

impl Look<'_> {
    fn check(&mut self, schema: &Schema, value: &Value, place: &str, name: &str) {
        if let Some(name) = &schema.name {
            return match self.whole.definition(name) {
                Some(schema) => self.check(schema, value, place, name),
                None => self.wrong.push(format!("{place}: the description lacks {name}")),
            };
        }
        let fits = match (schema.kind.as_deref(), value) {
            (_, Value::Null) => self.side == Side::Answer,
            (Some("object"), Value::Object(_)) => {
                return self.check_object(schema, value, place, name);
            }
            (Some("array"), Value::Array(values)) => {
                if let Some(items) = &schema.items {
                    for (at, value) in values.iter().enumerate() {
                        self.check(items, value, &format!("{place}[{at}]"), "");
                    }
                }
                return;
            }
            (Some("string"), Value::String(text)) => {
                if let Some(why) = schema.refuses_word(text) {
                    self.wrong.push(format!("{place}: {why}"));
                }
                return;
            }
            (Some("integer"), Value::Number(number)) => number.is_i64() || number.is_u64(),
            (Some("boolean"), Value::Bool(_)) | (None, _) => true,
            (Some(_), _) => false,
        };
        if !fits {
            let kind = schema.kind.as_deref().unwrap_or("anything");
            self.wrong.push(format!("{place}: {value} is no {kind}"));
        }
    }

    fn check_object(&mut self, schema: &Schema, value: &Value, place: &str, name: &str) {
        let Value::Object(fields) = value else { return };
        // What answers always have is not described.
        if self.side == Side::Request {
            let missing = schema.required.iter().filter(|field| !fields.contains_key(*field));
            self.wrong.extend(missing.map(|field| format!("{place}.{field} is missing")));
        }
        for (field, value) in fields {
            let place = format!("{place}.{field}");
            match schema.properties.get(field) {
                Some(schema) => self.check(schema, value, &place, ""),
                None if schema.others.is_some() || schema.properties.is_empty() => {}
                None if UNDESCRIBED.contains(&(name, field.as_str())) => {}
                None => self.wrong.push(format!("{place}: no such field")),
            }
        }
    }
}
