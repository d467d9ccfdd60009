//! Words of the other side, made fit for a log and for an agent to read (CASES 63).

use protocol::secret::Secret;

/// More of a message helps nobody.
const MESSAGE_MAX_CHARS: usize = 300;

/// Knows what must not be repeated.
#[derive(Debug, Clone)]
pub(super) struct Words {
    token: Secret,
}

impl Words {
    /// Will leave this token out.
    pub(super) fn new(token: Secret) -> Self {
        Self { token }
    }

    /// One line of at most 300 characters, without control or invisible characters, addresses
    /// (a forge's may be internal ones) and the token.
    pub(super) fn clean(&self, text: &str) -> String {
        let visible: String = text.chars().map(blank).filter(|c| !is_invisible(*c)).collect();
        let safe = visible.replace(self.token.expose(), "[redacted]");
        let words =
            safe.split_whitespace().map(|word| if word.contains("://") { "[url]" } else { word });
        let line = words.collect::<Vec<_>>().join(" ");
        line.chars().take(MESSAGE_MAX_CHARS).collect()
    }
}

/// Line breaks and tabs become spaces, so that words stay apart.
fn blank(c: char) -> char {
    if c.is_whitespace() { ' ' } else { c }
}

/// Control characters, and those that hide or turn text around: soft hyphen, zero width, bidi
/// marks and overrides, byte order mark, tags (Unicode 15, general category Cf).
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        Words::new(Secret::parse("0123456789abcdef0123456789abcdef01234567").unwrap())
    }

    // CASES 63
    #[test]
    fn the_token_and_addresses_are_left_out() {
        let text = "bad token 0123456789abcdef\u{200b}0123456789abcdef01234567 at http://10.0.0.7:3000/api";
        assert_eq!(words().clean(text), "bad token [redacted] at [url]");
    }

    #[test]
    fn terminal_and_bidi_codes_are_left_out() {
        assert_eq!(words().clean("a\u{1b}[31m\r\nb\u{202e}c\0"), "a[31m bc");
    }

    #[test]
    fn messages_are_cut() {
        assert_eq!(words().clean(&"ü".repeat(5000)).chars().count(), 300);
    }
}
