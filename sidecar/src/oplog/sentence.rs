//! What an operation is called. Pure; the one place where sentences of the op log are made.
//!
//! Foreign text in a sentence (refs of a refused push, words of a forge) is cut and made printable.

use protocol::{
    event::{Operation, OperationOutcome},
    ids::{BranchName, IssueNumber, RepoName},
};

/// Longest foreign text within a sentence.
const FOREIGN_MAX_CHARS: usize = 200;

/// Something that was attempted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// The RPC method, `git-push` or `git-fetch`.
    pub method: &'static str,
    /// What it was aimed at.
    pub number: Option<IssueNumber>,
    /// In words, e.g. `post comment on #17`.
    words: String,
}

impl Act {
    /// A read of an issue or pull request by an RPC method.
    pub fn read(method: &'static str, number: IssueNumber) -> Self {
        let words = format!("read {} #{number}", noun(method));
        Self { method, number: Some(number), words }
    }

    /// `post_comment`.
    pub fn post_comment(number: IssueNumber) -> Self {
        Self::on("post_comment", number, "post comment on")
    }

    /// `update_description`.
    pub fn update_description(number: IssueNumber) -> Self {
        Self::on("update_description", number, "update description of")
    }

    /// `report_progress`.
    pub fn report_progress(number: IssueNumber) -> Self {
        Self::on("report_progress", number, "report progress on")
    }

    /// `open_pr`.
    pub fn open_pr(branch: &BranchName) -> Self {
        let words = format!("open pull request from {branch}");
        Self { method: "open_pr", number: None, words }
    }

    /// A push to the bottle's branch.
    pub fn push(branch: &BranchName) -> Self {
        Self { method: "git-push", number: None, words: format!("push to {branch}") }
    }

    /// A fetch.
    pub fn fetch(repo: &RepoName) -> Self {
        Self { method: "git-fetch", number: None, words: format!("fetch {repo}") }
    }

    fn on(method: &'static str, number: IssueNumber, words: &str) -> Self {
        Self { method, number: Some(number), words: format!("{words} #{number}") }
    }

    /// It was not sent to the forge.
    pub fn refused(&self, why: &str) -> Operation {
        self.entry(OperationOutcome::Refused, format!("refused: {}, {}", self.words, foreign(why)))
    }

    /// It was sent, or tried to be, and not done as far as is known.
    pub fn failed(&self, why: &str) -> Operation {
        self.entry(OperationOutcome::Failed, format!("failed: {}: {}", self.words, foreign(why)))
    }

    /// A write to a number that is not writable.
    pub fn out_of_scope(&self, number: IssueNumber, writable: &[IssueNumber]) -> Operation {
        let sentence = format!("refused: write to #{number}, writable {}", numbers(writable));
        self.entry(OperationOutcome::Refused, sentence)
    }

    fn done(&self, sentence: String) -> Operation {
        self.entry(OperationOutcome::Done, sentence)
    }

    fn entry(&self, outcome: OperationOutcome, sentence: String) -> Operation {
        Operation { method: self.method.to_owned(), number: self.number, outcome, sentence }
    }
}

/// What a method of reading reads.
fn noun(method: &str) -> &'static str {
    match method {
        "read_pr" => "pull request",
        "read_comments" => "comments of",
        "read_reviews" => "reviews of",
        "read_ci" => "checks of",
        _ => "issue",
    }
}

/// Done: the forge was read.
pub fn read(act: &Act) -> Operation {
    act.done(act.words.clone())
}

/// Done: a comment.
pub fn posted_comment(number: IssueNumber) -> Operation {
    Act::post_comment(number).done(format!("posted comment on #{number}"))
}

/// Done: a description.
pub fn updated_description(number: IssueNumber) -> Operation {
    Act::update_description(number).done(format!("updated description of #{number}"))
}

/// Done: the progress comment.
pub fn reported_progress(number: IssueNumber) -> Operation {
    Act::report_progress(number).done(format!("reported progress on #{number}"))
}

/// Done: a new pull request, or the one that was there.
pub fn opened_pr(number: IssueNumber, branch: &BranchName, existed: bool) -> Operation {
    let verb = if existed { "found open" } else { "opened" };
    let mut entry =
        Act::open_pr(branch).done(format!("{verb} pull request #{number} from {branch}"));
    entry.number = Some(number);
    entry
}

/// Done: a push. Object ids are shortened to seven digits, as git shows them.
pub fn pushed(branch: &BranchName, old: &str, new: &str) -> Operation {
    let short = |id: &str| id.chars().take(7).collect::<String>();
    let is_new = old.bytes().all(|digit| digit == b'0');
    let span = if is_new {
        format!("{} (new)", short(new))
    } else {
        format!("{}..{}", short(old), short(new))
    };
    Act::push(branch).done(format!("pushed {branch} {span}"))
}

/// Done: a fetch.
pub fn fetched(repo: &RepoName) -> Operation {
    Act::fetch(repo).done(format!("fetched {repo}"))
}

/// A push of something else than the branch that is allowed.
pub fn push_refused(to: &str, allowed: &BranchName) -> Operation {
    let to = foreign(to.strip_prefix("refs/heads/").unwrap_or(to));
    let sentence = format!("refused: push to {to}, allowed is {allowed}");
    Act::push(allowed).entry(OperationOutcome::Refused, sentence)
}

/// Numbers as people read them: `17, 42`, or `nothing`.
pub fn numbers(numbers: &[IssueNumber]) -> String {
    if numbers.is_empty() {
        return "nothing".to_owned();
    }
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Bounded, one line, printable: no control, bidirectional or other invisible character.
pub fn foreign(text: &str) -> String {
    let mut shown: String = text.chars().take(FOREIGN_MAX_CHARS).map(printable).collect();
    if text.chars().nth(FOREIGN_MAX_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

fn printable(c: char) -> char {
    let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if c.is_control() || hidden { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_read_well() {
        let n = |number: u64| IssueNumber::try_from(number).unwrap();
        let branch: BranchName = "bot-bottle/17/implementer-k3v9q".parse().unwrap();
        let (old, new) = ("1a2b3c4".repeat(6), "5d6e7f8".repeat(6));
        let zero = "0".repeat(40);
        let table = [
            (posted_comment(n(17)), "posted comment on #17"),
            (updated_description(n(17)), "updated description of #17"),
            (reported_progress(n(17)), "reported progress on #17"),
            (
                opened_pr(n(18), &branch, false),
                "opened pull request #18 from bot-bottle/17/implementer-k3v9q",
            ),
            (
                opened_pr(n(18), &branch, true),
                "found open pull request #18 from bot-bottle/17/implementer-k3v9q",
            ),
            (
                Act::post_comment(n(500)).out_of_scope(n(500), &[n(17), n(42)]),
                "refused: write to #500, writable 17, 42",
            ),
            (
                Act::post_comment(n(5)).out_of_scope(n(5), &[]),
                "refused: write to #5, writable nothing",
            ),
            (
                push_refused("refs/heads/main", &branch),
                "refused: push to main, allowed is bot-bottle/17/implementer-k3v9q",
            ),
            (
                push_refused("refs/tags/v1\u{202e}\n", &branch),
                "refused: push to refs/tags/v1\u{fffd}\u{fffd}, allowed is bot-bottle/17/implementer-k3v9q",
            ),
            (
                pushed(&branch, &old, &new),
                "pushed bot-bottle/17/implementer-k3v9q 1a2b3c4..5d6e7f8",
            ),
            (pushed(&branch, &zero, &new), "pushed bot-bottle/17/implementer-k3v9q 5d6e7f8 (new)"),
            (fetched(&"alice/widget".parse().unwrap()), "fetched alice/widget"),
            (read(&Act::read("read_issue", n(17))), "read issue #17"),
            (read(&Act::read("read_pr", n(18))), "read pull request #18"),
            (read(&Act::read("read_comments", n(17))), "read comments of #17"),
            (read(&Act::read("read_reviews", n(18))), "read reviews of #18"),
            (read(&Act::read("read_ci", n(18))), "read checks of #18"),
            (
                Act::post_comment(n(17)).refused("30 writes per minute are used up"),
                "refused: post comment on #17, 30 writes per minute are used up",
            ),
            (
                Act::post_comment(n(17)).failed("the forge failed"),
                "failed: post comment on #17: the forge failed",
            ),
            (
                Act::open_pr(&branch).failed("x"),
                "failed: open pull request from bot-bottle/17/implementer-k3v9q: x",
            ),
        ];
        for (operation, sentence) in table {
            assert_eq!(operation.sentence, sentence);
        }
    }

    #[test]
    fn foreign_text_is_bounded() {
        assert_eq!(foreign(&"x".repeat(201)).chars().count(), 201);
        assert_eq!(foreign("a\x1b[31m\u{200b}"), "a\u{fffd}[31m\u{fffd}");
    }
}
