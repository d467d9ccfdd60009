//! The JSON Schema of each file, and checking a file by it: every unknown key and every wrong type
//! is found, where a deserializer stops at the first.

use std::ops::Range;

use schemars::JsonSchema;
use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::file::{AgentFile, ConfigFile, ProfileFile};

/// Words that stand where `orchestrate init` cannot know a value.
pub(super) const PLACEHOLDER: &str = "CHANGE-ME";

/// Above this likeness (0 to 1) a key is taken for a slip of another.
const LIKENESS: f64 = 0.7;

/// Every published schema: its file's name in `deploy/schema`, and itself.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("config.json", of::<ConfigFile>()),
        ("agent.json", of::<AgentFile>()),
        ("bottle.json", of::<ProfileFile>()),
    ]
}

/// The schema of one kind of file. TOML has no null, so that an optional key is a missing one.
pub(super) fn of<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    without_null(&mut schema);
    schema
}

fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(kinds) = map.get_mut("type")
                && let Some([kind, Value::String(null)]) = kinds.as_array().map(Vec::as_slice)
                && null == "null"
            {
                *kinds = kind.clone();
            }
            map.remove("default");
            map.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Something that is not as the schema says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Where in the text.
    pub span: Range<usize>,
    /// The key, with those of the tables around it.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// Checks a table and takes out what is wrong, so that the rest can be read.
pub(super) fn check(schema: &Value, table: &mut DeTable<'_>) -> Vec<Finding> {
    let mut walk = Walk { root: schema, findings: vec![] };
    walk.table(schema, table, "");
    walk.findings
}

struct Walk<'a> {
    root: &'a Value,
    findings: Vec<Finding>,
}

impl<'a> Walk<'a> {
    fn table(&mut self, schema: &'a Value, table: &mut DeTable<'_>, around: &str) {
        let known = schema.get("properties").and_then(Value::as_object);
        // A schema, or `false` where no other key may stand.
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let names: Vec<(String, Range<usize>)> =
            table.keys().map(|key| (key.get_ref().to_string(), key.span())).collect();
        for (name, span) in names {
            let key = if around.is_empty() { name.clone() } else { format!("{around}.{name}") };
            let keep = match known.and_then(|known| known.get(&name)).or(others) {
                Some(schema) => table
                    .get_mut(name.as_str())
                    .is_some_and(|value| self.value(schema, value, &key)),
                None => {
                    let names = known.into_iter().flat_map(|known| known.keys());
                    let (what, hint) = ("there is no such key".to_owned(), advice(&name, names));
                    self.findings.push(Finding { span, key, what, hint });
                    false
                }
            };
            if !keep {
                table.remove(name.as_str());
            }
        }
    }

    /// Whether the value is as it should be.
    fn value(&mut self, schema: &'a Value, value: &mut Spanned<DeValue<'_>>, key: &str) -> bool {
        let schema = self.resolve(schema);
        let span = value.span();
        let wrong = |walk: &mut Self, what: String, hint: String| {
            walk.findings.push(Finding { span: span.clone(), key: key.to_owned(), what, hint });
            false
        };
        let wanted = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        if !is_a(value.get_ref(), wanted) {
            let what = format!("it is {}, not {}", kind_of(value.get_ref()), with_article(wanted));
            return wrong(self, what, example(wanted).to_owned());
        }
        match value.get_mut() {
            DeValue::Table(table) => self.table(schema, table, key),
            DeValue::Array(items) => {
                let Some(schema) = schema.get("items") else { return true };
                let mut bad = false;
                for (at, item) in items.iter_mut().enumerate() {
                    bad |= !self.value(schema, item, &format!("{key}[{at}]"));
                }
                return !bad;
            }
            DeValue::String(text) => {
                if text.contains(PLACEHOLDER) {
                    let hint = "replace it; the comment beside it says by what".to_owned();
                    return wrong(self, format!("{PLACEHOLDER} is still a placeholder"), hint);
                }
                let words = schema.get("enum").and_then(Value::as_array);
                let words: Vec<&str> =
                    words.into_iter().flatten().filter_map(Value::as_str).collect();
                if !words.is_empty() && !words.contains(&text.as_ref()) {
                    let hint = format!("there is {}", quoted(&words));
                    return wrong(self, format!("{text:?} is unknown"), hint);
                }
            }
            DeValue::Integer(_) | DeValue::Float(_) => {
                let bound = |name| schema.get(name).and_then(Value::as_f64);
                let (least, most) = (bound("minimum"), bound("maximum"));
                let number = number(value.get_ref()).unwrap_or(f64::NAN);
                if !(least.unwrap_or(f64::MIN)..=most.unwrap_or(f64::MAX)).contains(&number) {
                    let (least, most) = (least.unwrap_or(0.0), most.unwrap_or(f64::MAX));
                    let what = format!("it must be from {least} to {most}");
                    let hint = schema.get("description").and_then(Value::as_str);
                    return wrong(self, what, hint.unwrap_or_default().to_owned());
                }
            }
            DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
        true
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let name = schema.get("$ref").and_then(Value::as_str);
        let found = name.and_then(|name| self.root.pointer(name.trim_start_matches('#')));
        found.unwrap_or(schema)
    }
}

fn is_a(value: &DeValue<'_>, wanted: &str) -> bool {
    match value {
        DeValue::String(_) => wanted == "string",
        DeValue::Integer(_) => matches!(wanted, "integer" | "number"),
        DeValue::Float(_) => wanted == "number",
        DeValue::Boolean(_) => wanted == "boolean",
        DeValue::Array(_) => wanted == "array",
        DeValue::Table(_) => wanted == "object",
        DeValue::Datetime(_) => false,
    }
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
        DeValue::Datetime(_) => "a date",
    }
}

fn with_article(wanted: &str) -> &'static str {
    match wanted {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        _ => "a table",
    }
}

fn example(wanted: &str) -> &'static str {
    match wanted {
        "string" => "write it in quotes",
        "integer" | "number" => "write it without quotes",
        "boolean" => "write true or false, without quotes",
        "array" => "write [\"one\", \"two\"]",
        _ => "write it as [table]",
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(number) => {
            let whole = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            whole.to_string().parse().ok()
        }
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Array(_)
        | DeValue::Table(_)
        | DeValue::Datetime(_) => None,
    }
}

/// What to do about a key that is not known.
fn advice<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> String {
    let known: Vec<&str> = known.map(String::as_str).collect();
    // Secrets stand in files of their own (CASES 220).
    if let Some(file) = known.iter().find(|key| key.strip_suffix("_file") == Some(name)) {
        return format!(
            "a secret does not stand here: write it into a file (0600) and name that as {file}"
        );
    }
    let likest = known
        .iter()
        .map(|key| (strsim::jaro_winkler(name, key), *key))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match likest {
        Some((likeness, key)) if likeness > LIKENESS => format!("did you mean {key}?"),
        Some(_) | None => format!("there is {}", known.join(", ")),
    }
}

fn quoted(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    quoted.join(", ")
}
