//! Which issues a pull request says that it closes.

use protocol::ids::IssueNumber;

/// Gitea's closing keywords (`CLOSE_KEYWORDS` in its configuration's defaults).
const KEYWORDS: [&str; 9] =
    ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];

/// Whether a text closes this issue of its own repository: a keyword, a colon if wanted, a blank,
/// and `#` with the whole number. `owner/repo#7` is of another repository and does not count.
pub(super) fn closes(text: &str, issue: IssueNumber) -> bool {
    let number = issue.to_string();
    text.match_indices('#').any(|(at, _)| {
        let (before, after) = text.split_at(at);
        let rest = after.strip_prefix('#').and_then(|after| after.strip_prefix(number.as_str()));
        rest.is_some_and(|rest| !rest.starts_with(is_word)) && ends_with_keyword(before)
    })
}

fn ends_with_keyword(before: &str) -> bool {
    let text = before.trim_end();
    if text.len() == before.len() {
        return false;
    }
    let text = text.strip_suffix(':').unwrap_or(text);
    let word = text.rsplit(|c| !is_word(c)).next().unwrap_or_default();
    KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_keyword_with_the_whole_number_closes() {
        let seven = 7.try_into().unwrap();
        for good in [
            "Closes #7",
            "closes: #7.",
            "text\n\nFIXED #7\nmore",
            "(resolves #7)",
            "Closes #70, fixes #7",
            "— fix\t#7",
            "ünd close #7",
        ] {
            assert!(closes(good, seven), "{good:?}");
        }
        for bad in [
            "",
            "#7",
            "For #7",
            "Closes #70",
            "Closes #17",
            "Closes#7",
            "encloses #7",
            "un-fix #7",
            "Closes a/b#7",
            "Closes #7a",
            "Closes 7",
            "closing #7",
            "Closes #07",
            "Closes: see #7",
        ] {
            assert!(!closes(bad, seven), "{bad:?}");
        }
    }
}
