//! Hidden marks in what a bottle writes: HTML comments, which forges do not show. They let a second
//! try find the first (CASES 62). Pure.

use protocol::ids::{Nonce, RunId, Slug};

const START: &str = "<!-- bot-bottle";
const END: &str = "-->";

/// The mark of one comment. The nonce keeps marks of a restarted sidecar apart.
pub fn of_comment(slug: &Slug, run: Option<&RunId>, nonce: &Nonce, number: u64) -> String {
    let whose = run.map_or_else(|| slug.to_string(), ToString::to_string);
    format!("{START}:{whose}:{nonce}-{number} {END}")
}

/// The mark of the one comment that shows a bottle's progress.
pub fn of_progress(slug: &Slug) -> String {
    format!("{START}-progress:{slug} {END}")
}

/// A text with a mark at its end.
pub fn append(text: &str, mark: &str) -> String {
    format!("{}\n\n{mark}", strip(text))
}

/// A text without any mark: what agents read, and what they may not forge.
pub fn strip(text: &str) -> String {
    let mut rest = text.to_owned();
    let mut changed = false;
    while let Some((before, after)) = rest.split_once(START) {
        let after = after.split_once(END).map_or("", |(_, after)| after);
        rest = format!("{before}{after}");
        changed = true;
    }
    if changed { rest.trim_end().to_owned() } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark() -> String {
        let nonce = Nonce::from_bytes([7; 8]);
        let run: RunId = "implementer-k3v9q.2".parse().unwrap();
        of_comment(&"implementer-k3v9q".parse().unwrap(), Some(&run), &nonce, 5)
    }

    #[test]
    fn a_mark_is_hidden_and_comes_off() {
        assert_eq!(mark(), "<!-- bot-bottle:implementer-k3v9q.2:0707070707070707-5 -->");
        assert_eq!(strip(&append("hello", &mark())), "hello");
        assert_eq!(strip("plain \n"), "plain \n");
    }

    #[test]
    fn marks_of_an_agent_are_taken_off() {
        let forged = append(&format!("a {} b", mark()), &of_progress(&"a-bbbbb".parse().unwrap()));
        assert_eq!(forged, "a  b\n\n<!-- bot-bottle-progress:a-bbbbb -->");
        assert_eq!(strip("<!-- bot<!-- bot-bottle -->-bottle x --> y"), " y");
        assert_eq!(strip("open <!-- bot-bottle:x"), "open");
    }

    proptest! {
        #[test]
        fn no_mark_survives(parts in proptest::collection::vec("(<!-- bot-bottle|<!-- |bot-bottle| -->|x|\n)", 0..12)) {
            prop_assert!(!strip(&parts.concat()).contains(START));
        }
    }
}
