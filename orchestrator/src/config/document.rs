//! One TOML file: read without trusting what it is, checked by its schema, with the place of each key.

use std::{
    collections::BTreeMap,
    fmt::Display,
    io::{ErrorKind, Read as _},
    ops::Range,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Deserializer},
};

use super::{Mistake, Place, schema};

/// Largest configuration file; ours have a few KiB (CASES 219).
const FILE_MAX_BYTES: u64 = 1 << 20;

/// A file's text and where its keys stand in it.
#[derive(Debug)]
pub(super) struct Document {
    path: PathBuf,
    text: String,
    /// Where the value of each key is.
    spans: BTreeMap<String, Range<usize>>,
}

impl Document {
    /// Reads a file and gives what of it is as it should be; the rest is added to `mistakes`.
    /// `None` when there is nothing to go on with.
    pub(super) fn read<T: DeserializeOwned + JsonSchema>(
        path: &Path,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<(Self, T)> {
        let text = text(path).map_err(|mistake| mistakes.push(*mistake)).ok()?;
        // A byte order mark says nothing in UTF-8.
        let plain = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
        let mut document = Self { path: path.to_owned(), text: plain, spans: BTreeMap::new() };
        let text = document.text.clone();
        let (mut table, errors) = DeTable::parse_recoverable(&text);
        for error in &errors {
            let place = document.place(error.span(), None);
            mistakes.push(Mistake::new(place, error.message(), "see `orchestrate config schema`"));
        }
        // After a key that stands twice the rest can be read; after others it would be guessed.
        if errors.iter().any(|error| error.message() != "duplicate key") {
            return None;
        }
        note_spans(table.get_ref(), "", &mut document.spans);
        for finding in schema::check(&schema::of::<T>(), table.get_mut()) {
            let place = document.place(Some(finding.span), Some(finding.key));
            mistakes.push(Mistake::new(place, finding.what, &finding.hint));
        }
        match T::deserialize(Deserializer::from(table)) {
            Ok(file) => Some((document, file)),
            Err(error) => {
                let place = document.place(error.span(), None);
                mistakes.push(Mistake::new(
                    place,
                    error.message(),
                    "see `orchestrate config schema`",
                ));
                None
            }
        }
    }

    /// The place of a key, `table.key` or `table.key[0]`; the file alone when it is not there.
    pub(super) fn at(&self, key: &str) -> Place {
        self.place(self.spans.get(key).cloned(), Some(key.to_owned()))
    }

    fn place(&self, span: Option<Range<usize>>, key: Option<String>) -> Place {
        let (line, column) = span.map(|span| position(&self.text, span.start)).unzip();
        Place { file: Some(self.path.clone()), variable: None, line, column, key }
    }
}

/// Line and column, counted from one, of a byte in a text.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}

fn note_spans(table: &DeTable<'_>, around: &str, spans: &mut BTreeMap<String, Range<usize>>) {
    for (name, value) in table {
        let name = name.get_ref();
        let key = if around.is_empty() { name.to_string() } else { format!("{around}.{name}") };
        note_span(value, key, spans);
    }
}

fn note_span(
    value: &Spanned<DeValue<'_>>,
    key: String,
    spans: &mut BTreeMap<String, Range<usize>>,
) {
    if let Some(table) = value.get_ref().as_table() {
        note_spans(table, &key, spans);
    }
    if let Some(items) = value.get_ref().as_array() {
        for (at, item) in items.iter().enumerate() {
            note_span(item, format!("{key}[{at}]"), spans);
        }
    }
    spans.insert(key, value.span());
}

/// A plain file's text. Nothing else is opened: a FIFO would hold us up for ever (CASES 219).
pub(super) fn text(path: &Path) -> Result<String, Box<Mistake>> {
    let wrong =
        |what: &dyn Display, hint: &str| Box::new(Mistake::new(Place::file(path), what, hint));
    let data = std::fs::metadata(path).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => "`orchestrate init` writes a commented one",
            ErrorKind::PermissionDenied => "not yours: run this as root or as the daemon's user",
            _ => "",
        };
        wrong(&error, hint)
    })?;
    if !data.is_file() {
        return Err(wrong(&"it is not a plain file", "move it away"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(&error, "let the daemon's user read it"))?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(wrong(&"it is larger than 1 MiB", "is it the right file?"));
    }
    String::from_utf8(bytes).map_err(|_| wrong(&"it is not UTF-8 text", "save it as UTF-8"))
}

/// What a file that may be half written says of one key.
pub(super) fn glance(path: &Path, key: &str) -> Option<String> {
    let text = text(path).ok()?;
    let (table, _) = DeTable::parse_recoverable(text.strip_prefix('\u{feff}').unwrap_or(&text));
    Some(table.get_ref().get(key)?.get_ref().as_str()?.to_owned())
}
