//! Deliveries of Gitea and Forgejo.
//!
//! Strict about names and numbers, which are acted upon; tolerant of everything else.

use http::{HeaderMap, header};
use protocol::{
    ids::{BranchName, IssueNumber, Login, RepoName},
    limits::WEBHOOK_MAX_BYTES,
};
use serde::{Deserialize, de::DeserializeOwned, de::IgnoredAny};

use super::{CommentAction, Delivery, DeliveryError, Hint, IssueAction, strict};

/// Longest event name that is repeated in logs; Gitea's own have less than 40.
const EVENT_MAX_LEN: usize = 64;

/// Reads a delivery that [`super::verify_gitea`] has accepted.
///
/// # Errors
/// When its form is not accepted, an id or name in it is not one, or it is about no repository. See
/// [`DeliveryError`]; all but `Unconcerned` are the sender's fault.
pub fn read_gitea(headers: &HeaderMap, body: &[u8]) -> Result<Delivery, DeliveryError> {
    check_form(headers, body)?;
    let event = event(headers)?;
    let id = word(headers, ["x-gitea-delivery", "x-forgejo-delivery"])?
        .parse()
        .map_err(DeliveryError::Id)?;
    let source = |source| DeliveryError::Body { event: event.clone(), source };
    strict::check(body).map_err(source)?;
    let hint = hint(&event, body)?;
    match serde_json::from_slice(body) {
        Ok(Frame { repository, sender }) => {
            Ok(Delivery { id, repo: repository.full_name, hint, sender: sender.login })
        }
        Err(_) if matches!(hint, Hint::Other { .. }) => Err(DeliveryError::Unconcerned { event }),
        Err(error) => Err(source(error)),
    }
}

fn check_form(headers: &HeaderMap, body: &[u8]) -> Result<(), DeliveryError> {
    if body.len() > WEBHOOK_MAX_BYTES {
        return Err(DeliveryError::TooLarge { bytes: body.len() });
    }
    let content_encoding = headers.get(header::CONTENT_ENCODING);
    if content_encoding.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(DeliveryError::ContentEncoding);
    }
    let kind =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(DeliveryError::ContentType)
    }
}

/// The one value of a header of Gitea, or of Forgejo where Gitea's is missing.
fn word<'a>(headers: &'a HeaderMap, names: [&'static str; 2]) -> Result<&'a str, DeliveryError> {
    let [gitea, forgejo] = names;
    let name = if headers.contains_key(gitea) { gitea } else { forgejo };
    let mut values = headers.get_all(name).iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(DeliveryError::Header { name: gitea }),
    }
}

fn event(headers: &HeaderMap) -> Result<String, DeliveryError> {
    let event = word(headers, ["x-gitea-event", "x-forgejo-event"])?;
    let plain = event.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if event.is_empty() || event.len() > EVENT_MAX_LEN || !plain {
        return Err(DeliveryError::Header { name: "x-gitea-event" });
    }
    Ok(event.to_owned())
}

/// What stands in every delivery about a repository.
#[derive(Deserialize)]
struct Frame {
    repository: Repository,
    sender: Sender,
}

#[derive(Deserialize)]
struct Repository {
    full_name: RepoName,
}

#[derive(Deserialize)]
struct Sender {
    login: Login,
}

#[derive(Deserialize)]
struct IssueEvent {
    action: String,
    number: IssueNumber,
    issue: Issue,
}

#[derive(Deserialize)]
struct CommentEvent {
    action: String,
    issue: Issue,
    comment: Comment,
    is_pull: Option<bool>,
}

#[derive(Deserialize)]
struct Issue {
    number: IssueNumber,
    pull_request: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Comment {
    id: u64,
}

#[derive(Deserialize)]
struct PullEvent {
    action: String,
    number: IssueNumber,
    pull_request: Pull,
}

#[derive(Deserialize)]
struct Pull {
    number: IssueNumber,
    state: Option<String>,
    head: Option<Head>,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "ref")]
    reference: Option<String>,
}

#[derive(Deserialize)]
struct PushEvent {
    #[serde(rename = "ref")]
    reference: String,
}

/// The event names are those of `HookEventType.Event` in Gitea's `modules/webhook/type.go`.
fn hint(event: &str, body: &[u8]) -> Result<Hint, DeliveryError> {
    match event {
        "issues" => issue(event, read(event, body)?),
        "issue_comment" => Ok(comment(read(event, body)?)),
        "pull_request" => pull_request(event, read(event, body)?),
        "pull_request_approved" | "pull_request_rejected" | "pull_request_comment" => {
            review(event, read(event, body)?)
        }
        "push" => Ok(push(event, &read(event, body)?)),
        _ => Ok(other(event)),
    }
}

fn read<T: DeserializeOwned>(event: &str, body: &[u8]) -> Result<T, DeliveryError> {
    serde_json::from_slice(body)
        .map_err(|source| DeliveryError::Body { event: event.to_owned(), source })
}

fn other(event: &str) -> Hint {
    Hint::Other { event: event.to_owned() }
}

/// The number that a delivery says twice.
fn same(event: &str, outer: IssueNumber, inner: IssueNumber) -> Result<IssueNumber, DeliveryError> {
    if outer == inner {
        return Ok(outer);
    }
    Err(DeliveryError::Contradiction { event: event.to_owned(), outer, inner })
}

fn issue(event: &str, payload: IssueEvent) -> Result<Hint, DeliveryError> {
    let action = match payload.action.as_str() {
        "opened" => IssueAction::Opened,
        "edited" => IssueAction::Edited,
        "closed" => IssueAction::Closed,
        "reopened" => IssueAction::Reopened,
        "assigned" => IssueAction::Assigned,
        "unassigned" => IssueAction::Unassigned,
        "label_updated" | "label_cleared" => IssueAction::Labelled,
        "deleted" => IssueAction::Deleted,
        _ => IssueAction::Other,
    };
    Ok(Hint::Issue { number: same(event, payload.number, payload.issue.number)?, action })
}

fn comment(payload: CommentEvent) -> Hint {
    let action = match payload.action.as_str() {
        "created" => CommentAction::Created,
        "edited" => CommentAction::Edited,
        "deleted" => CommentAction::Deleted,
        _ => CommentAction::Other,
    };
    Hint::Comment {
        number: payload.issue.number,
        comment_id: payload.comment.id,
        on_pull_request: payload.is_pull.unwrap_or_else(|| payload.issue.pull_request.is_some()),
        action,
    }
}

fn pull_request(event: &str, payload: PullEvent) -> Result<Hint, DeliveryError> {
    let pull = payload.pull_request;
    let closed = payload.action == "closed" || pull.state.as_deref() == Some("closed");
    let head = pull.head.and_then(|head| head.reference?.parse::<BranchName>().ok());
    Ok(Hint::PullRequest { number: same(event, payload.number, pull.number)?, closed, head })
}

fn review(event: &str, payload: PullEvent) -> Result<Hint, DeliveryError> {
    Ok(Hint::Review { number: same(event, payload.number, payload.pull_request.number)? })
}

/// A push to a tag, or to a branch whose name none of ours can have, concerns nobody.
fn push(event: &str, payload: &PushEvent) -> Hint {
    let branch = payload.reference.strip_prefix("refs/heads/").and_then(|name| name.parse().ok());
    branch.map_or_else(|| other(event), |branch| Hint::Push { branch })
}

#[cfg(test)]
mod tests {
    use super::{super::DeliveryError as Error, *};

    fn headers(event: &'static str) -> HeaderMap {
        let pairs = [
            ("content-type", "application/json; charset=utf-8"),
            ("x-gitea-event", event),
            ("x-gitea-delivery", "8176f663-b0d1-49b9-9e21-48290996fdec"),
        ];
        pairs
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .into_iter()
            .collect()
    }

    const FRAME: &str = r#""repository":{"full_name":"alice/widget"},"sender":{"login":"bob"}"#;

    fn read_event(event: &'static str, fields: &str) -> Result<Hint, Error> {
        read_gitea(&headers(event), format!("{{{fields},{FRAME}}}").as_bytes())
            .map(|delivery| delivery.hint)
    }

    fn issue_numbered(number: &str) -> Result<Hint, Error> {
        read_event(
            "issues",
            &format!(r#""action":"opened","number":{number},"issue":{{"number":{number}}}"#),
        )
    }

    // CASES 20
    #[test]
    fn a_number_that_is_none_is_refused() {
        assert_eq!(issue_numbered("7").unwrap().number(), Some(7.try_into().unwrap()));
        for bad in ["0", "-1", "9223372036854775808", "\"7\"", "7.0", "null", "[7]", "7e0", "{}"] {
            assert!(matches!(issue_numbered(bad), Err(Error::Body { .. })), "{bad}");
        }
        let two = read_event("issues", r#""action":"opened","number":7,"issue":{"number":8}"#);
        assert!(matches!(two, Err(Error::Contradiction { .. })));
    }

    // CASES 44
    #[test]
    fn a_name_that_is_none_is_refused() {
        for bad in ["../b", "a", "a/b/c", "a/..", "a/b\\u0000", "https://x/y", ""] {
            let body = format!(
                r#"{{"action":"opened","number":7,"issue":{{"number":7}},"repository":{{"full_name":"{bad}"}},"sender":{{"login":"bob"}}}}"#
            );
            let result = read_gitea(&headers("issues"), body.as_bytes());
            assert!(matches!(result, Err(Error::Body { .. })), "{bad}");
        }
    }

    // CASES 16, 17
    #[test]
    fn only_plain_json_is_read() {
        let mut form = headers("issues");
        form.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        let told = read_gitea(&form, b"payload=%7B%7D").unwrap_err();
        assert!(
            matches!(told, Error::ContentType) && told.to_string().contains("choose"),
            "{told}"
        );
        form.remove("content-type");
        assert!(matches!(read_gitea(&form, b"{}"), Err(Error::ContentType)));
        let mut packed = headers("issues");
        packed.insert("content-encoding", "gzip".parse().unwrap());
        assert!(matches!(read_gitea(&packed, b"\x1f\x8b"), Err(Error::ContentEncoding)));
        let huge = vec![b' '; WEBHOOK_MAX_BYTES + 1];
        assert!(matches!(read_gitea(&headers("issues"), &huge), Err(Error::TooLarge { .. })));
    }

    // CASES 18
    #[test]
    fn json_that_readers_could_disagree_on_is_refused() {
        let deep = "[".repeat(10_000);
        for fields in [
            format!(r#""action":"opened","number":7,"issue":{{"number":7}},"x":{deep}"#),
            r#""action":"opened","number":7,"issue":{"number":7},"number":7"#.to_owned(),
            r#""action":"opened","number":7,"issue":{"number":7,"t":1,"t":2}"#.to_owned(),
            r#""action":"opened","number":7,"issue":{"number":7,"title":"\ud800"}"#.to_owned(),
            r#""action":"opened","number":7,"issue":{"number":7,"x":1e999}"#.to_owned(),
        ] {
            assert!(
                matches!(read_event("issues", &fields), Err(Error::Body { .. })),
                "{fields:.90}"
            );
        }
        let ansi =
            r#""action":"opened","number":7,"issue":{"number":7,"title":"\u0000\u001b[31m"}"#;
        assert!(read_event("issues", ansi).is_ok(), "a stranger's title must not stop a delivery");
    }

    #[test]
    fn headers_that_could_be_read_twice_are_refused() {
        for name in ["x-gitea-event", "x-gitea-delivery"] {
            let mut twice = headers("issues");
            twice.append(name, "issues".parse().unwrap());
            assert!(matches!(read_gitea(&twice, b"{}"), Err(Error::Header { .. })), "{name}");
            twice.remove(name);
            assert!(matches!(read_gitea(&twice, b"{}"), Err(Error::Header { .. })), "{name}");
        }
        let mut odd = headers("issues");
        odd.insert(
            "x-gitea-event",
            "Issues\u{1b}".parse().unwrap_or_else(|_| "Is sues".parse().unwrap()),
        );
        assert!(matches!(read_gitea(&odd, b"{}"), Err(Error::Header { .. })));
        let mut id = headers("issues");
        id.insert("x-gitea-delivery", "../../etc".parse().unwrap());
        assert!(matches!(read_gitea(&id, b"{}"), Err(Error::Id(_))));
    }

    // CASES 1
    #[test]
    fn unknown_events_are_no_errors_of_the_sender() {
        let hint = read_event("workflow_run", r#""action":"x""#).unwrap();
        assert_eq!(hint, Hint::Other { event: "workflow_run".to_owned() });
        let package = read_gitea(&headers("package"), br#"{"repository":null,"sender":null}"#);
        assert!(matches!(package, Err(Error::Unconcerned { .. })));
    }

    #[test]
    fn only_branches_that_could_be_ours_are_named() {
        for reference in
            ["refs/tags/v1", "refs/heads/a b", "refs/heads/$(id)", "refs/pull/1/head", "main"]
        {
            let hint = read_event("push", &format!(r#""ref":"{reference}""#)).unwrap();
            assert_eq!(hint, Hint::Other { event: "push".to_owned() }, "{reference}");
        }
    }

    #[test]
    fn actions_keep_their_meaning() {
        use IssueAction::{
            Assigned, Closed, Deleted, Edited, Labelled, Opened, Other, Reopened, Unassigned,
        };
        for (word, action) in [
            ("opened", Opened),
            ("edited", Edited),
            ("closed", Closed),
            ("reopened", Reopened),
            ("assigned", Assigned),
            ("unassigned", Unassigned),
            ("label_updated", Labelled),
            ("label_cleared", Labelled),
            ("deleted", Deleted),
            ("milestoned", Other),
        ] {
            let hint = read_event(
                "issues",
                &format!(r#""action":"{word}","number":7,"issue":{{"number":7}}"#),
            );
            assert_eq!(hint.unwrap(), Hint::Issue { number: 7.try_into().unwrap(), action });
        }
    }
}
