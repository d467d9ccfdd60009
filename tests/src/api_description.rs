//! Gitea's own description of its API (1.25.3), as far as we speak it: does a request fit it, does
//! an answer?
//!
//! `tests/fixtures/gitea-1.25.3/api.json` is the published Swagger 2 document with what nobody here
//! calls, and all prose, left out; its shape is kept, so that it can be compared with a newer one.
//! Requests are held to it strictly. Answers too, but `null` is allowed everywhere: Gitea writes
//! it for empty lists and missing objects, and the description does not say where.

// Named by path, so that another crate's tests can include this file by its path.
#[path = "api_description/schema.rs"]
mod schema;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use self::schema::Schema;

/// What may be answered to any call and is not described everywhere: a missing or wrong token, a
/// missing permission, content that is refused, a rate limit.
const EVERYWHERE: [u16; 4] = [401, 403, 422, 429];

/// The description.
#[derive(Debug, Deserialize)]
pub struct Description {
    #[serde(rename = "basePath")]
    base: String,
    paths: BTreeMap<String, BTreeMap<String, Operation>>,
    definitions: BTreeMap<String, Schema>,
}

/// One method of one path.
#[derive(Debug, Deserialize)]
struct Operation {
    parameters: Vec<Parameter>,
    /// By status; `None` for an answer whose body is not described.
    responses: BTreeMap<u16, Option<Schema>>,
}

/// Path parameters of any text are left out.
#[derive(Debug, Deserialize)]
struct Parameter {
    name: String,
    #[serde(rename = "in")]
    place: Place,
    #[serde(default)]
    required: bool,
    /// Of a body.
    schema: Option<Schema>,
    /// Of anything else.
    #[serde(flatten)]
    plain: Schema,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Path,
    Query,
    Body,
}

/// A described path that a real one fits.
struct Route<'a> {
    template: &'a str,
    methods: &'a BTreeMap<String, Operation>,
    segments: Vec<(&'a str, String)>,
}

impl Description {
    /// The description that is compiled in.
    ///
    /// # Panics
    /// Never, as long as the file beside the tests is JSON of that shape; a test reads it.
    pub fn load() -> Self {
        let text = include_str!("../fixtures/gitea-1.25.3/api.json");
        serde_json::from_str(text).expect("the fixture is a description")
    }

    /// Whether a request is one that the forge knows: path with `/api/v1`, as it was sent; query
    /// without `?`; body, empty for none. Each thing that does not fit is one sentence.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn check_request(
        &self,
        method: &str,
        path: &str,
        query: Option<&str>,
        body: &[u8],
    ) -> Result<(), Vec<String>> {
        let (route, operation) = self.find(method, path).map_err(|why| vec![why])?;
        let mut wrong = Vec::new();
        let place = format!("{method} {}", route.template);
        operation.check_path(&route, &place, &mut wrong);
        operation.check_query(query.unwrap_or_default(), &place, &mut wrong);
        operation.check_body(body, self, &place, &mut wrong);
        settled(wrong)
    }

    /// Whether an answer to such a request is one that the forge gives. A refusal is an object with
    /// a `message`, when it is JSON.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn check_answer(
        &self,
        method: &str,
        path: &str,
        status: u16,
        body: &[u8],
    ) -> Result<(), Vec<String>> {
        let (route, operation) = self.find(method, path).map_err(|why| vec![why])?;
        let place = format!("answer {status} to {method} {}", route.template);
        let mut wrong = Vec::new();
        match operation.responses.get(&status) {
            Some(Some(schema)) => match serde_json::from_slice(body) {
                Ok(value) => schema.check_answer(&value, self, &place, &mut wrong),
                Err(error) => wrong.push(format!("{place}: no JSON: {error}")),
            },
            Some(None) if (200..300).contains(&status) => {}
            None if status < 500 && !EVERYWHERE.contains(&status) => {
                wrong.push(format!("{place}: no such status"));
            }
            Some(None) | None => check_refusal(body, &place, &mut wrong),
        }
        settled(wrong)
    }

    /// The path that fits with the most words of its own, and its method.
    fn find<'a>(
        &'a self,
        method: &str,
        path: &'a str,
    ) -> Result<(Route<'a>, &'a Operation), String> {
        let below = path
            .strip_prefix(&self.base)
            .ok_or_else(|| format!("{path} is not below {}", self.base))?;
        let fitting = self.paths.iter().filter_map(|(template, methods)| {
            Some(Route { template, methods, segments: fit(template, below)? })
        });
        let route = fitting
            .min_by_key(|route| (is_stretched(route, below), route.segments.len()))
            .ok_or_else(|| format!("no such path: {path}"))?;
        let operation = route.methods.get(&method.to_ascii_lowercase());
        let operation =
            operation.ok_or_else(|| format!("no {method} of the path {}", route.template))?;
        Ok((route, operation))
    }

    fn definition(&self, name: &str) -> Option<&Schema> {
        self.definitions.get(name)
    }
}

/// Whether the last parameter took several segments; such a route comes last.
fn is_stretched(route: &Route<'_>, path: &str) -> bool {
    route.template.matches('/').count() != path.matches('/').count()
}

/// The values of a template's parameters in a path. The last one of a template may be a branch's
/// name with slashes in it.
fn fit<'a>(template: &'a str, path: &str) -> Option<Vec<(&'a str, String)>> {
    let path = path.trim_end_matches('/');
    let (words, mut left) = (template.split('/'), Some(path));
    let last = template.split('/').count();
    let mut values = Vec::new();
    for (at, word) in words.enumerate() {
        let rest = left?;
        let name = word.strip_prefix('{').and_then(|word| word.strip_suffix('}'));
        let is_branch = at + 1 == last && matches!(name, Some("branch" | "head" | "filepath"));
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) if !is_branch => (segment, Some(after)),
            Some(_) | None => (rest, None),
        };
        left = after;
        match name {
            Some(name) if !segment.is_empty() => values.push((name, segment.to_owned())),
            None if segment == word => {}
            Some(_) | None => return None,
        }
    }
    left.is_none().then_some(values)
}

fn check_refusal(body: &[u8], place: &str, wrong: &mut Vec<String>) {
    if let Ok(value) = serde_json::from_slice::<Value>(body)
        && !value.get("message").is_some_and(Value::is_string)
    {
        wrong.push(format!("{place}: a refusal without a message"));
    }
}

fn settled(wrong: Vec<String>) -> Result<(), Vec<String>> {
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

impl Operation {
    fn at(&self, place: Place) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(move |parameter| parameter.place == place)
    }

    fn check_path(&self, route: &Route<'_>, place: &str, wrong: &mut Vec<String>) {
        for (name, value) in &route.segments {
            let parameter = self.at(Place::Path).find(|parameter| parameter.name == *name);
            if let Some(why) = parameter.and_then(|parameter| parameter.plain.refuses_text(value)) {
                wrong.push(format!("{place}: {{{name}}}: {why}"));
            }
        }
    }

    fn check_query(&self, query: &str, place: &str, wrong: &mut Vec<String>) {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        for (name, value) in &pairs {
            let known = self.at(Place::Query).find(|parameter| parameter.name == *name);
            match known.map(|parameter| parameter.plain.refuses_text(value)) {
                None => wrong.push(format!("{place}: ?{name}: no such parameter")),
                Some(Some(why)) => wrong.push(format!("{place}: ?{name}: {why}")),
                Some(None) => {}
            }
        }
        for parameter in self.at(Place::Query).filter(|parameter| parameter.required) {
            if !pairs.iter().any(|(name, _)| *name == parameter.name) {
                wrong.push(format!("{place}: ?{} is missing", parameter.name));
            }
        }
    }

    fn check_body(&self, body: &[u8], whole: &Description, place: &str, wrong: &mut Vec<String>) {
        let schema = self.at(Place::Body).find_map(|parameter| parameter.schema.as_ref());
        match schema {
            None if body.is_empty() => {}
            None => wrong.push(format!("{place}: takes no body")),
            // An empty body is an empty object to Gitea.
            Some(schema) if body.is_empty() => {
                schema.check_request(&Value::Object(serde_json::Map::new()), whole, place, wrong);
            }
            Some(schema) => match serde_json::from_slice(body) {
                Ok(value) => schema.check_request(&value, whole, place, wrong),
                Err(error) => wrong.push(format!("{place}: no JSON: {error}")),
            },
        }
    }
}
