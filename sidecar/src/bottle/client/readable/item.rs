//! What a forge holds, for people.

use std::fmt;

use protocol::item::{
    CheckState, CiReport, Comment, Issue, IssueState, PullRequest, PullState, Review, Verdict,
};

use crate::bottle::client::{
    escape::{Indented, Line},
    readable::{body, fields, joined},
};

pub(super) fn issue(f: &mut fmt::Formatter<'_>, issue: &Issue) -> fmt::Result {
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

pub(super) fn pull_request(f: &mut fmt::Formatter<'_>, pr: &PullRequest) -> fmt::Result {
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

pub(super) fn comment(f: &mut fmt::Formatter<'_>, comment: &Comment) -> fmt::Result {
    let Comment { id, author, created_at, updated_at, url, body } = comment;
    write!(f, "comment {id} by {author}, {created_at}")?;
    if updated_at > created_at {
        write!(f, ", edited {updated_at}")?;
    }
    writeln!(f, ", {}", Line(url))?;
    write!(f, "{}", Indented { text: body, by: 2 })
}

pub(super) fn review(f: &mut fmt::Formatter<'_>, review: &Review) -> fmt::Result {
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

pub(super) fn ci(f: &mut fmt::Formatter<'_>, report: &CiReport) -> fmt::Result {
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
