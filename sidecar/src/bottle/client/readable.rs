//! Answers for people: aligned fields, then the text as it was written.
//!
//! Texts of others are escaped; where a text is followed by something of ours it is indented, so
//! that a comment cannot imitate the next comment's head.

use std::fmt;

use protocol::{
    agent::{Context, DoneReceipt, DoneStatus, OpenedPr},
    ids::IssueNumber,
    item::{
        CheckState, CiReport, Comment, Issue, IssueState, PullRequest, PullState, Review, Verdict,
    },
};

use crate::bottle::client::{
    call::Answer,
    escape::{Indented, Line, Text},
};

/// Shows an answer; ends in a line break.
#[derive(Debug, Clone, Copy)]
pub struct Readable<'a>(pub &'a Answer);

impl fmt::Display for Readable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Answer::Issue(it) => issue(f, it),
            Answer::PullRequest(it) => pull_request(f, it),
            Answer::Comments(list) => each(f, list, "no comments", comment),
            Answer::Reviews(list) => each(f, list, "no reviews", review),
            Answer::Ci(report) => ci(f, report),
            Answer::Posted(it) => writeln!(f, "posted comment {}: {}", it.id, Line(&it.url)),
            Answer::Written(it) => writeln!(f, "updated the description of #{}", it.number),
            Answer::Opened(it) => opened(f, it),
            Answer::Progress(it) => {
                writeln!(f, "progress is shown in comment {}: {}", it.id, Line(&it.url))
            }
            Answer::Done(receipt) => done(f, receipt),
            Answer::Context(context) => self::context(f, context),
        }
    }
}

/// A name and a value, both for one line.
type Field = (&'static str, String);

fn fields(f: &mut fmt::Formatter<'_>, fields: &[Field]) -> fmt::Result {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, value) in fields {
        let value = if value.is_empty() { "-" } else { value };
        writeln!(f, "{name:width$}  {}", Line(value))?;
    }
    Ok(())
}

/// A text at the end of an answer.
fn body(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    match text.trim_end() {
        "" => Ok(()),
        text => writeln!(f, "\n{}", Text(text)),
    }
}

fn each<T>(
    f: &mut fmt::Formatter<'_>,
    list: &[T],
    none: &str,
    show: fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    if list.is_empty() {
        return writeln!(f, "{none}");
    }
    for (at, item) in list.iter().enumerate() {
        if at > 0 {
            writeln!(f)?;
        }
        show(f, item)?;
    }
    Ok(())
}

fn joined(names: impl IntoIterator<Item = impl ToString>) -> String {
    names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}

fn numbers(list: &[IssueNumber]) -> String {
    joined(list.iter().map(|number| format!("#{number}")))
}

fn issue(f: &mut fmt::Formatter<'_>, issue: &Issue) -> fmt::Result {
    writeln!(f, "issue #{}: {}", issue.number, Line(&issue.title))?;
    let state = match issue.state {
        IssueState::Open => "open",
        IssueState::Closed => "closed",
    };
    fields(
        f,
        &[
            ("state", state.to_owned()),
            ("author", issue.author.to_string()),
            ("labels", joined(&issue.labels)),
            ("assignees", joined(&issue.assignees)),
            ("comments", issue.comments.to_string()),
            ("created", issue.created_at.to_string()),
            ("updated", issue.updated_at.to_string()),
            ("url", issue.url.clone()),
        ],
    )?;
    body(f, &issue.body)
}

fn pull_request(f: &mut fmt::Formatter<'_>, pr: &PullRequest) -> fmt::Result {
    writeln!(f, "pull request #{}: {}", pr.number, Line(&pr.title))?;
    let state = match pr.state {
        PullState::Open => "open",
        PullState::Closed => "closed",
        PullState::Merged => "merged",
    };
    let mergeable = match pr.mergeable {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known yet",
    };
    let head = match &pr.head_repo {
        Some(repo) => format!("{} of {repo} at {}", pr.head_branch, pr.head_sha),
        None => format!("{} at {}", pr.head_branch, pr.head_sha),
    };
    fields(
        f,
        &[
            ("state", state.to_owned()),
            ("author", pr.author.to_string()),
            ("head", head),
            ("base", pr.base_branch.clone()),
            ("mergeable", mergeable.to_owned()),
            ("created", pr.created_at.to_string()),
            ("updated", pr.updated_at.to_string()),
            ("url", pr.url.clone()),
        ],
    )?;
    body(f, &pr.body)
}

fn comment(f: &mut fmt::Formatter<'_>, comment: &Comment) -> fmt::Result {
    let Comment { id, author, created_at, updated_at, url, body } = comment;
    write!(f, "comment {id} by {author}, {created_at}")?;
    if updated_at > created_at {
        write!(f, ", edited {updated_at}")?;
    }
    writeln!(f, ", {}", Line(url))?;
    write!(f, "{}", Indented { text: body, by: 2 })
}

fn review(f: &mut fmt::Formatter<'_>, review: &Review) -> fmt::Result {
    let verdict = match review.verdict {
        Verdict::Approved => "approved",
        Verdict::ChangesRequested => "changes requested",
        Verdict::Commented => "commented",
        Verdict::Pending => "pending",
    };
    let Review { id, author, submitted_at, commit, .. } = review;
    writeln!(f, "review {id} by {author}, {verdict}, {submitted_at}, on {}", Line(commit))?;
    write!(f, "{}", Indented { text: &review.body, by: 2 })?;
    for remark in &review.comments {
        let line = remark.line.map_or_else(|| "old line".to_owned(), |line| line.to_string());
        writeln!(f, "  {}:{line} by {}", Line(&remark.path), remark.author)?;
        write!(f, "{}", Indented { text: &remark.body, by: 4 })?;
    }
    Ok(())
}

fn check_state(state: CheckState) -> &'static str {
    match state {
        CheckState::Pending => "pending",
        CheckState::Success => "success",
        CheckState::Warning => "warning",
        CheckState::Failure => "failure",
        CheckState::Error => "error",
    }
}

fn ci(f: &mut fmt::Formatter<'_>, report: &CiReport) -> fmt::Result {
    let state = report.state.map_or("no checks", check_state);
    writeln!(f, "{state} at {}", Line(&report.sha))?;
    let names: Vec<String> = report.checks.iter().map(|c| Line(&c.name).to_string()).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    for (check, name) in report.checks.iter().zip(names) {
        let state = check_state(check.state);
        write!(f, "{state:7}  {name:width$}  {}", Line(&check.description))?;
        if !check.url.is_empty() {
            write!(f, "  {}", Line(&check.url))?;
        }
        writeln!(f)?;
    }
    Ok(())
}

fn opened(f: &mut fmt::Formatter<'_>, opened: &OpenedPr) -> fmt::Result {
    let PullRequest { number, url, .. } = &opened.pull_request;
    if opened.existed {
        writeln!(f, "pull request #{number} was there already: {}", Line(url))
    } else {
        writeln!(f, "opened pull request #{number}: {}", Line(url))
    }
}

fn done(f: &mut fmt::Formatter<'_>, receipt: &DoneReceipt) -> fmt::Result {
    let status = match receipt.status {
        DoneStatus::Success => "success",
        DoneStatus::Failed => "failed",
        DoneStatus::Blocked => "blocked",
    };
    let DoneReceipt { run, summary, counted, .. } = receipt;
    if *counted {
        writeln!(f, "signalled {status} for {run}")
    } else {
        writeln!(f, "{status} was signalled for {run} before: {}", Line(summary))
    }
}

fn context(f: &mut fmt::Formatter<'_>, context: &Context) -> fmt::Result {
    let left = context.writes_left;
    fields(
        f,
        &[
            ("bottle", context.slug.to_string()),
            ("agent", context.agent.to_string()),
            ("run", joined(&context.run)),
            ("repository", context.repo.to_string()),
            ("clone url", context.clone_url.clone()),
            ("issue", joined(context.issue.map(|number| format!("#{number}")))),
            ("pull requests", numbers(&context.pull_requests)),
            ("base", context.base.to_string()),
            ("branch", context.branch.to_string()),
            ("commits as", format!("{} <{}>", context.git_name, context.git_email)),
            ("writes left", format!("{} this minute, {} today", left.this_minute, left.today)),
        ],
    )
}
