//! Foreign text made harmless, and text fitted into its place.

/// Text of a forge or an agent may carry terminal commands: control characters and direction marks
/// are shown as escapes (CASES 229).
pub(super) fn harmless(text: &str, keep_lines: bool) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let direction = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if keep_lines && matches!(c, '\n' | '\t') {
            shown.push(c);
        } else if c.is_control() || direction || matches!(c, '\u{e0000}'..='\u{e007f}') {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The beginning of a text, harmless and on one line, in at most so many characters.
pub(super) fn beginning(text: &str, max_chars: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    let shown = harmless(line, false);
    if line.len() == text.trim_end().len() && shown.chars().count() <= max_chars {
        return shown;
    }
    shown.chars().take(max_chars.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // CASES 229
    #[test]
    fn terminal_commands_of_others_are_shown_not_obeyed() {
        let hostile = "a\x1b]52;c;x\x07\u{202e}b\u{9b}1m\r\n";
        let shown = harmless(hostile, false);
        assert!(shown.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{shown}");
        assert_eq!(harmless("a\tb\n", true), "a\tb\n");
        let all: String = (0..=0x9f_u32).filter_map(char::from_u32).collect();
        let controls = harmless(&all, true).chars().filter(|c| c.is_control()).collect::<String>();
        assert_eq!(controls, "\t\n");
    }

    #[test]
    fn a_long_detail_is_cut_to_its_beginning() {
        assert_eq!(beginning("", 60), "");
        assert_eq!(beginning("short\n", 60), "short");
        assert_eq!(beginning("first\nsecond", 60), "first…");
        assert_eq!(beginning(&"é".repeat(60), 60), "é".repeat(60));
        assert_eq!(beginning(&"é".repeat(61), 60), format!("{}…", "é".repeat(59)));
        let hostile = beginning(&"\x1b".repeat(59), 60);
        assert!(hostile.chars().count() == 60 && !hostile.contains('\x1b'), "{hostile}");
        assert_eq!(beginning("long", 1), "…");
    }
}
