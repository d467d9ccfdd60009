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

/// Whether a text ends with a mark, whatever its forge did to it: escaped it, made other dashes and
/// widths of its characters, put invisible ones between them (CASES 200). What stands before the
/// mark is another word.
pub fn is_at_end(text: &str, mark: &str) -> bool {
    let (text, mark) = (bare(text), bare(mark));
    let before = text.strip_suffix(mark.as_str());
    !mark.is_empty() && before.is_some_and(|before| !before.ends_with(char::is_alphanumeric))
}

/// What stays of a text in any spelling: small letters, digits and signs, from the first letter or
/// digit to the last.
fn bare(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&#45;", "-");
    let plain = |c: char| match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => Some('-'),
        // Full-width forms of ASCII, in the same order.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0),
        '\\' => None,
        c => (c.is_ascii_graphic() || c.is_alphanumeric()).then_some(c),
    };
    let plain: String = text.chars().filter_map(plain).flat_map(char::to_lowercase).collect();
    plain.trim_matches(|c: char| !c.is_alphanumeric()).to_owned()
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

    // CASES 200
    #[test]
    fn a_mark_is_known_whatever_the_forge_made_of_it() {
        let mark = mark();
        let text = append("héllo", &mark);
        let spellings = [
            text.clone(),
            format!("{text}\n \r\n"),
            text.replace('\n', "\r\n"),
            text.replace('<', "&lt;").replace('>', "&gt;"),
            text.replace("--", "–"),
            text.replace("--", "\\-\\-").replace("<!", "\\<!"),
            text.replace("é", "e\u{301}").replace("bot-bottle", "bot\u{2011}bottle"),
            text.replace("bot-bottle", "bot-\u{200b}bottle").to_uppercase(),
            text.replace(" -->", "-->").replace("<!-- ", "<!--"),
        ];
        for text in spellings {
            assert!(is_at_end(&text, &mark), "{text}");
        }
        let others = [
            "héllo".to_owned(),
            String::new(),
            format!("{text} and more"),
            text.replace("-5 -->", "-15 -->"),
            text.replace("-5 -->", "-51 -->"),
            text.replace("k3v9q.2", "k3v9q.12"),
            format!("x{mark}").replace("<!-- ", ""),
        ];
        for text in others {
            assert!(!is_at_end(&text, &mark), "{text}");
        }
        assert!(!is_at_end("anything", ""));
    }

    proptest! {
        #[test]
        fn no_mark_survives(parts in proptest::collection::vec("(<!-- bot-bottle|<!-- |bot-bottle| -->|x|\n)", 0..12)) {
            prop_assert!(!strip(&parts.concat()).contains(START));
        }
    }
}
