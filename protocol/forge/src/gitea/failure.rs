//! What an answer that is not a success means.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::fmt::rfc2822::DateTimeParser;
use protocol::limits::{RETRY_AFTER_MAX, RETRY_AFTER_MIN};
use serde::Deserialize;

use super::{http::Answer, words::Words};
use crate::ForgeError;

/// Waited for when a forge limits the rate and does not say for how long: a minute, the window
/// of most limits.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(60);

/// A proxy answers so while its forge restarts; nothing is ended on its word.
const NOT_THE_FORGE: &str =
    "without JSON, so it is not the forge's own; check that the forge runs, and forge.url";

/// Both reasons for a redirect that we know; a person has to find out which.
const REDIRECTS: &str =
    "the forge redirects; check forge.url, and whether the repository was renamed";

/// Tells the failures apart by what can be done about them, see [`ForgeError`].
pub(super) fn failure(what: &str, answer: &Answer, words: &Words) -> ForgeError {
    let what = what.to_owned();
    let message = message(answer, words);
    let status = answer.status;
    match status {
        StatusCode::UNAUTHORIZED => ForgeError::BadToken { what },
        StatusCode::TOO_MANY_REQUESTS => limited(what, answer),
        StatusCode::FORBIDDEN if has_rate_limit(&answer.headers) || speaks_of_rate(&message) => {
            limited(what, answer)
        }
        // 423 is an archived repository or a locked conversation.
        StatusCode::FORBIDDEN | StatusCode::LOCKED => ForgeError::NoPermission { what, message },
        StatusCode::NOT_FOUND | StatusCode::GONE if answer.is_json() => ForgeError::Gone { what },
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            ForgeError::BadAnswer { what, message: format!("{message} {NOT_THE_FORGE}") }
        }
        // Never followed: it may lead to another host.
        _ if status.is_redirection() => {
            ForgeError::BadAnswer { what, message: format!("{REDIRECTS} ({message})") }
        }
        StatusCode::CONFLICT => ForgeError::Conflict { what, message },
        _ if status.is_client_error() => ForgeError::Rejected { what, message },
        _ if status.is_server_error() => ForgeError::Server { what, message },
        _ => ForgeError::BadAnswer { what, message },
    }
}

fn limited(what: String, answer: &Answer) -> ForgeError {
    let retry_after = scattered(retry_after(&answer.headers), rand::random());
    ForgeError::RateLimited { what, retry_after }
}

/// A 403 with one of these signs is a limit, not a missing permission (CASES 184).
fn has_rate_limit(headers: &HeaderMap) -> bool {
    headers.contains_key(header::RETRY_AFTER)
        || text(headers, "x-ratelimit-remaining") == Some("0")
        || text(headers, "ratelimit-remaining") == Some("0")
}

/// Words of the limits that come as a 403 without a header (GitHub's secondary one, and proxies').
fn speaks_of_rate(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["rate limit", "too many requests", "abuse detection"].iter().any(|sign| message.contains(sign))
}

/// Up to a tenth longer, by chance from 0 to 1, so that all who wait do not come back at once.
fn scattered(wait: Duration, chance: f64) -> Duration {
    wait.mul_f64(1.0 + chance / 10.0).min(RETRY_AFTER_MAX)
}

/// `Retry-After` as seconds or date (RFC 9110 §10.2.3), within our limits (CASES 185). A date is
/// measured from the answer's own `Date`, so that a wrong clock on this host does not matter.
fn retry_after(headers: &HeaderMap) -> Duration {
    let wait = text(headers, "retry-after").and_then(|value| {
        let value = value.trim();
        seconds(value).or_else(|| until(value, text(headers, "date")?))
    });
    wait.unwrap_or(RETRY_AFTER_DEFAULT).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
}

/// Any number of digits: too many for a number are still a long time.
fn seconds(value: &str) -> Option<Duration> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs))
}

fn until(value: &str, date: &str) -> Option<Duration> {
    let parser = DateTimeParser::new();
    let wait =
        parser.parse_timestamp(value).ok()?.duration_since(parser.parse_timestamp(date).ok()?);
    Some(Duration::try_from(wait).unwrap_or(RETRY_AFTER_MIN))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What a forge says of a failure; everything in it is optional.
#[derive(Deserialize)]
struct Explanation {
    message: Option<String>,
    errors: Option<Vec<String>>,
}

/// The status and the forge's own words, cleaned.
fn message(answer: &Answer, words: &Words) -> String {
    let said = if answer.is_json() {
        let explanation = serde_json::from_slice::<Explanation>(&answer.body).ok();
        explanation.map(|e| {
            [vec![e.message.unwrap_or_default()], e.errors.unwrap_or_default()].concat().join(" ")
        })
    } else {
        None
    };
    let said = words.clean(&said.unwrap_or_default());
    let status = answer.status.as_u16();
    if said.is_empty() { format!("status {status}") } else { format!("{said} (status {status})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[(&'static str, &'static str)]) -> u64 {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        retry_after(&headers.collect()).as_secs()
    }

    // CASES 185
    #[test]
    fn retry_after_is_clamped_whatever_it_says() {
        let date = ("date", "Fri, 20 Nov 2026 10:00:00 GMT");
        let table = [
            (wait(&[]), 60),
            (wait(&[("retry-after", "7")]), 7),
            (wait(&[("retry-after", "0")]), 1),
            (wait(&[("retry-after", "-5")]), 60),
            (wait(&[("retry-after", "1e12")]), 60),
            (wait(&[("retry-after", "999999")]), 3600),
            (wait(&[("retry-after", "99999999999999999999999")]), 3600),
            (wait(&[("retry-after", "Fri, 20 Nov 2026 10:02:00 GMT"), date]), 120),
            (wait(&[("retry-after", "Fri, 20 Nov 2026 09:00:00 GMT"), date]), 1),
            (wait(&[("retry-after", "Sat, 20 Nov 9999 09:00:00 GMT"), date]), 3600),
            (wait(&[("retry-after", "Fri, 20 Nov 2026 10:02:00 GMT")]), 60),
            (wait(&[("retry-after", "soon")]), 60),
        ];
        for (row, (got, wanted)) in table.into_iter().enumerate() {
            assert_eq!(got, wanted, "row {row}");
        }
    }

    // CASES 185
    #[test]
    fn those_who_wait_do_not_come_back_at_once() {
        let minute = Duration::from_secs(60);
        assert_eq!(scattered(minute, 0.0), minute);
        assert_eq!(scattered(minute, 0.5), Duration::from_secs(63));
        assert_eq!(scattered(RETRY_AFTER_MAX, 1.0), RETRY_AFTER_MAX);
    }
}
