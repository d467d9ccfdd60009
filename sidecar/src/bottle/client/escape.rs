//! Text written by strangers, made harmless for a terminal and visible to its reader.
//!
//! A control character becomes its number in the form `\u{1b}`; nothing is removed, so that a
//! reader sees that something was there.

use std::fmt::{self, Write as _};

/// A text of many lines: line ends and tabs stay.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a>(pub &'a str);

/// A text for one line, e.g. a title: line ends and tabs are escaped too.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a>(pub &'a str);

/// A text of many lines, each of them indented, so that it cannot pass for what surrounds it.
#[derive(Debug, Clone, Copy)]
pub struct Indented<'a> {
    /// The text.
    pub text: &'a str,
    /// In columns.
    pub by: usize,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                // Forms in browsers end lines by both characters.
                '\r' if characters.peek() == Some(&'\n') => {}
                '\n' | '\t' => f.write_char(c)?,
                _ => write_visible(f, c)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| write_visible(f, c))
    }
}

impl fmt::Display for Indented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, by } = *self;
        for line in text.lines() {
            if line.is_empty() {
                writeln!(f)?;
            } else {
                writeln!(f, "{:by$}{}", "", Text(line))?;
            }
        }
        Ok(())
    }
}

fn write_visible(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    if is_hidden(c) { write!(f, "{}", c.escape_unicode()) } else { f.write_char(c) }
}

/// Whether a terminal would act on a character, or a reader would not see it although a program
/// reads it: C0 and C1 controls, bidirectional marks, overrides and isolates (UAX #9), line and
/// paragraph separators, and the tag characters that hide whole sentences.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // CASES 21, 54
    #[test]
    fn what_a_terminal_would_act_on_is_shown_instead() {
        let cases = [
            ("plain \u{e4}\u{f6}\u{1f6e2}\n\ttext", "plain \u{e4}\u{f6}\u{1f6e2}\n\ttext"),
            ("\u{1b}[31mred\u{1b}]8;;x\u{7}", "\\u{1b}[31mred\\u{1b}]8;;x\\u{7}"),
            ("c1 \u{9b}2J, nul \0, del \u{7f}", "c1 \\u{9b}2J, nul \\u{0}, del \\u{7f}"),
            ("over\rwritten, line\r\nend", "over\\u{d}written, line\nend"),
            ("\u{202e}gnp.exe\u{2066}", "\\u{202e}gnp.exe\\u{2066}"),
            ("tag \u{e0041}", "tag \\u{e0041}"),
        ];
        for (given, shown) in cases {
            assert_eq!(Text(given).to_string(), shown);
        }
        assert_eq!(Line("two\nlines\there").to_string(), "two\\u{a}lines\\u{9}here");
    }

    #[test]
    fn an_indented_text_has_no_line_at_the_margin() {
        let text = "one\n\ncomment 9 by root\r\n\rthree";
        let shown = Indented { text, by: 2 }.to_string();
        assert_eq!(shown, "  one\n\n  comment 9 by root\n  \\u{d}three\n");
    }

    proptest! {
        #[test]
        fn nothing_hidden_comes_through(text in any::<String>()) {
            for shown in [Text(&text).to_string(), Indented { text: &text, by: 2 }.to_string()] {
                prop_assert!(!shown.chars().any(|c| is_hidden(c) && c != '\n' && c != '\t'));
            }
            prop_assert!(!Line(&text).to_string().chars().any(is_hidden));
        }
    }
}
