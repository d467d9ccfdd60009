//! Opening the pull request of the bottle's branch.

use std::sync::Arc;

use forge::{ScopedForge, scoped::Opened};
use protocol::{
    agent::OpenedPr,
    error::{ErrorCode, RpcError},
    event::Happening,
    ids::IssueNumber,
    limits::TITLE_MAX_CHARS,
};

use super::write::{check_text, write};
use crate::{
    marker,
    oplog::{self, Act},
    phase::Sidecar,
    session::Work,
};

/// Opens it or finds it. From then on it may be written to, and the orchestrator knows of it before
/// the agent does.
pub(super) async fn open(sidecar: &Sidecar, title: &str, body: &str) -> Result<OpenedPr, RpcError> {
    let work = sidecar.enter()?;
    let title = checked_title(title)?;
    check_text(body, "a pull request's body")?;
    let grant = &work.session().grant;
    let body = with_closing(&marker::strip(body), grant.issue);
    let branch = grant.branch.clone();
    let one_at_a_time = sidecar.lanes.pull.lock().await;
    let send = |forge: Arc<ScopedForge>| async move { forge.open_pr(&title, &body).await };
    let done =
        |opened: &Opened| oplog::opened_pr(opened.pull_request.number, &branch, opened.existed);
    let opened = write(sidecar, &work, Act::open_pr(&branch), send, done).await?;
    work.session().grow(opened.pull_request.number);
    announce(sidecar, &work, opened.pull_request.number).await?;
    drop(one_at_a_time);
    let mut pull_request = opened.pull_request;
    pull_request.body = marker::strip(&pull_request.body);
    Ok(OpenedPr { pull_request, existed: opened.existed })
}

/// Tells the orchestrator, once. When that fails the agent is told to try again, which finds the
/// pull request and comes here again.
async fn announce(sidecar: &Sidecar, work: &Work, number: IssueNumber) -> Result<(), RpcError> {
    let known = sidecar.with_memory(|memory| {
        memory.opened.insert(number);
        memory.announced.contains(&number)
    });
    if known {
        return Ok(());
    }
    sidecar.queue.push(sidecar.stamp(work.session()), Happening::PrOpened { number }, None).await?;
    sidecar.with_memory(|memory| memory.announced.insert(number));
    Ok(())
}

fn checked_title(title: &str) -> Result<String, RpcError> {
    let title = title.trim();
    let length = title.chars().count();
    if length == 0 || length > TITLE_MAX_CHARS {
        let message =
            format!("a title has 1 to {TITLE_MAX_CHARS} characters, this one has {length}");
        return Err(RpcError::new(ErrorCode::Invalid, message));
    }
    if title.chars().any(char::is_control) {
        return Err(RpcError::new(ErrorCode::Invalid, "a title is one line of plain text"));
    }
    Ok(title.to_owned())
}

/// The body with the line that ties it to its issue, if it is not there.
fn with_closing(body: &str, issue: Option<IssueNumber>) -> String {
    match issue {
        Some(issue) if !closes(body, issue) => {
            let gap = if body.is_empty() { "" } else { "\n\n" };
            format!("{body}{gap}Closes #{issue}")
        }
        Some(_) | None => body.to_owned(),
    }
}

/// Whether forges would close the issue when this is merged: a keyword, then the number.
fn closes(body: &str, issue: IssueNumber) -> bool {
    const KEYWORDS: [&str; 9] =
        ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];
    let wanted = format!("#{issue}");
    let words: Vec<&str> = body.split_whitespace().collect();
    words.windows(2).any(|pair| {
        let [keyword, number] = pair else { return false };
        let keyword =
            keyword.trim_start_matches(|c: char| !c.is_alphanumeric()).trim_end_matches(':');
        let number = number.trim_end_matches(|c: char| !c.is_alphanumeric());
        KEYWORDS.iter().any(|known| known.eq_ignore_ascii_case(keyword)) && number == wanted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_the_issue_that_it_closes_once() {
        let issue: IssueNumber = "17".parse().unwrap();
        let closing = |body| with_closing(body, Some(issue));
        assert_eq!(closing(""), "Closes #17");
        assert_eq!(closing("done"), "done\n\nCloses #17");
        assert_eq!(closing("This fixes: #17."), "This fixes: #17.");
        assert_eq!(closing("(Closes #17)"), "(Closes #17)");
        assert_eq!(closing("closes #170"), "closes #170\n\nCloses #17");
        assert_eq!(closing("see #17"), "see #17\n\nCloses #17");
        assert_eq!(with_closing("x", None), "x");
    }

    // CASES 49
    #[test]
    fn titles_are_one_line_of_bounded_length() {
        assert_eq!(checked_title(" Fix it ").unwrap(), "Fix it");
        for bad in ["", "  ", "a\nb", "a\0", &"x".repeat(256)] {
            assert!(checked_title(bad).is_err(), "{bad:?}");
        }
        assert!(checked_title(&"ö".repeat(255)).is_ok());
    }
}
