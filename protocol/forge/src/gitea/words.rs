//! Words of the other side, made fit for a log and for an agent to read (CASES 63).

use std::net::IpAddr;

use protocol::secret::Secret;

/// More of a message helps nobody.
const MESSAGE_MAX_CHARS: usize = 300;

/// Marks around a word that are not of an address.
const AROUND: [char; 12] = ['"', '\'', '(', ')', ',', ';', '.', '<', '>', '`', '!', '?'];

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
        let words = safe.split_whitespace().map(|word| match word {
            _ if word.contains("://") => "[url]",
            _ if is_address(word) => "[address]",
            _ => word,
        });
        let line = words.collect::<Vec<_>>().join(" ");
        line.chars().take(MESSAGE_MAX_CHARS).collect()
    }
}

/// Whether a word names a host of some network: a number of one, or a name with a port, as in
/// `dial tcp 10.0.0.7:5432: connection refused`.
fn is_address(word: &str) -> bool {
    let word = word.trim_matches(AROUND).trim_end_matches(':');
    let is_number = word.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let has_port = word.rsplit_once(':').is_some_and(|(host, port)| {
        let is_host =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        !host.is_empty() && host.chars().all(is_host) && port.parse::<u16>().is_ok()
    });
    is_number || has_port
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

    // CASES 63
    #[test]
    fn hosts_of_a_network_inside_are_left_out() {
        let text = "Post \"http://gitea:3000/x\": dial tcp 10.0.0.7:5432: lookup db.internal:53 on [fd00::1]:53, (10.1.2.3). At 12 h, a: b:c 1.2";
        assert_eq!(
            words().clean(text),
            "Post [url] dial tcp [address] lookup [address] on [address] [address] At 12 h, a: b:c 1.2"
        );
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
