//! The recordings of Gitea 1.15.11, and comparing an answer with one.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde_json::Value;

/// The address of the recorded server.
pub(crate) const RECORDED_URL: &str = "http://127.0.0.1:3300";
/// The receiver of the recorded webhooks.
pub(crate) const RECORDED_HOOK: &str = "http://127.0.0.1:3401/hook";

/// A recording's file name without `.json`, and its content.
pub(crate) type Recording = (String, Value);

/// The recordings of one kind (`api` or `webhooks`), in the order they were made: file names
/// begin with a number, some with a zero before it.
pub(crate) fn recordings(kind: &str) -> Vec<Recording> {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/gitea-1.15.11").join(kind);
    let mut all: Vec<Recording> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        })
        .collect();
    all.sort_by_key(|(name, _)| name.split('-').next().unwrap().parse::<u32>().unwrap());
    assert_eq!(all.len(), if kind == "api" { 65 } else { 35 }, "recordings are missing");
    all
}

/// A value that is not compared, and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exception {
    /// How the recording's name begins; empty for all.
    pub(crate) recording: &'static str,
    /// How the path of the value ends.
    pub(crate) path: &'static str,
    pub(crate) reason: &'static str,
}

/// Compares documents: hashes must correspond one to one, times must be times, all else
/// must be equal.
#[derive(Debug)]
pub(crate) struct Comparison {
    exceptions: &'static [Exception],
    used: BTreeSet<&'static str>,
    hashes: BTreeMap<String, String>,
    pub(crate) differences: Vec<String>,
}

impl Comparison {
    pub(crate) fn new(exceptions: &'static [Exception]) -> Self {
        let (used, hashes, differences) = Default::default();
        Self { exceptions, used, hashes, differences }
    }

    /// Our hash for a recorded one.
    pub(crate) fn our_hashes(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (recorded, ours) in &self.hashes {
            text = text.replace(recorded, ours);
        }
        text
    }

    /// Fails with all differences, and with exceptions that nothing needed.
    pub(crate) fn finish(self) {
        assert!(self.differences.is_empty(), "differs:\n{}", self.differences.join("\n"));
        for exception in self.exceptions {
            assert!(self.used.contains(exception.reason), "not needed: {exception:?}");
        }
    }

    pub(crate) fn compare(&mut self, name: &str, path: &str, recorded: &Value, ours: &Value) {
        let is_it = |exception: &&Exception| {
            name.starts_with(exception.recording) && path.ends_with(exception.path)
        };
        if recorded == ours {
            return;
        }
        let exception = self.exceptions.iter().find(is_it);
        match (recorded, ours) {
            (Value::Object(recorded), Value::Object(ours)) => {
                let names: BTreeSet<&String> = recorded.keys().chain(ours.keys()).collect();
                for key in names {
                    let path = format!("{path}.{key}");
                    match (recorded.get(key), ours.get(key)) {
                        (Some(recorded), Some(ours)) => self.compare(name, &path, recorded, ours),
                        (Some(_), None) => self.differ(name, &path, "is missing"),
                        _ => self.differ(name, &path, "is not in the recording"),
                    }
                }
            }
            (Value::Array(recorded), Value::Array(ours)) if recorded.len() == ours.len() => {
                for (place, (recorded, ours)) in recorded.iter().zip(ours).enumerate() {
                    self.compare(name, &format!("{path}[{place}]"), recorded, ours);
                }
            }
            (recorded, ours) => match exception {
                Some(exception) if kind(recorded) == kind(ours) => {
                    self.used.insert(exception.reason);
                }
                _ if self.are_alike(recorded, ours) => {}
                _ => self.differ(name, path, &format!("recorded {recorded}, ours {ours}")),
            },
        }
    }

    fn differ(&mut self, name: &str, path: &str, how: &str) {
        self.differences.push(format!("{name} {path}: {how}"));
    }

    fn are_alike(&mut self, recorded: &Value, ours: &Value) -> bool {
        let (Some(recorded), Some(ours)) = (recorded.as_str(), ours.as_str()) else {
            return false;
        };
        if is_time(recorded) && is_time(ours) {
            return true;
        }
        let (theirs, our) = (hashes_in(recorded), hashes_in(ours));
        if theirs.len() != our.len() || theirs.is_empty() {
            return false;
        }
        for (theirs, our) in theirs.iter().zip(&our) {
            let known = self.hashes.entry(theirs.clone()).or_insert_with(|| our.clone());
            if known != our {
                return false;
            }
        }
        self.our_hashes(recorded) == ours
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `2026-01-31T12:00:00Z`, but not Go's zero time or the epoch, which mean "never".
fn is_time(text: &str) -> bool {
    text.len() == 20
        && text.ends_with('Z')
        && !text.starts_with("0001")
        && !text.starts_with("1970")
        && text.parse::<jiff::Timestamp>().is_ok()
}

fn hashes_in(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_ascii_hexdigit())
        .filter(|word| word.len() == 40 && word.chars().any(|c| c != '0'))
        .map(str::to_owned)
        .collect()
}

/// Every path of a document with the kind of its value; places in lists are left out.
pub(crate) fn shape(value: &Value) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    collect_shape("", value, &mut paths);
    paths
}

fn collect_shape(path: &str, value: &Value, paths: &mut BTreeSet<String>) {
    paths.insert(format!("{path}: {}", kind(value)));
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                collect_shape(&format!("{path}.{name}"), value, paths);
            }
        }
        Value::Array(items) => {
            for value in items {
                collect_shape(&format!("{path}[]"), value, paths);
            }
        }
        _ => {}
    }
}
