//! Printing: aligned tables, times as ages, foreign text made harmless.

use jiff::Timestamp;
use protocol::operator::{LogLine, Status};

/// Text of a forge or an agent may carry terminal commands: control characters and direction marks
/// are shown as escapes (CASES 229).
pub(super) fn harmless(text: &str, keep_lines: bool) -> String {
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

/// Characters of a detail in a table; all of it is in `--json` and in the log.
const DETAIL_MAX_CHARS: usize = 60;

/// The beginning of a text, on one line.
fn beginning(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let shown = harmless(line, false);
    if line.len() == text.trim_end().len() && shown.chars().count() <= DETAIL_MAX_CHARS {
        return shown;
    }
    shown.chars().take(DETAIL_MAX_CHARS - 1).chain(['…']).collect()
}

/// `status` as a table.
pub(super) fn status(status: &Status, now: Timestamp) -> String {
    let mut text = String::new();
    if status.kill_switch {
        text.push_str("The kill switch is on: nothing new is started.\n");
    }
    if status.bottles.is_empty() {
        text.push_str(
            "No bottles. Label an issue bot-bottle:<agent> and assign it to an agent's account.\n",
        );
        return text;
    }
    let head = ["SLUG", "STATUS", "ISSUE", "PR", "RUNS", "CHECK-IN", "DETAIL"].map(str::to_owned);
    let mut rows = vec![head];
    for bottle in &status.bottles {
        let number = |number: Option<protocol::ids::IssueNumber>| {
            number.map_or_else(|| "-".to_owned(), |n| format!("#{n}"))
        };
        let issue = bottle
            .issue_number
            .map_or_else(|| bottle.repo.to_string(), |n| format!("{}#{n}", bottle.repo));
        rows.push([
            bottle.slug.to_string(),
            bottle.status.clone(),
            issue,
            number(bottle.pr_number),
            bottle.runs.to_string(),
            bottle.last_checkin_at.map_or_else(|| "-".to_owned(), |at| age(at, now)),
            beginning(&bottle.detail),
        ]);
    }
    text.push_str(&table(&rows));
    text.push_str(&slots(status));
    text
}

fn slots(status: &Status) -> String {
    format!("{} of {} slots used\n", status.slots_used, status.slots)
}

/// The op log, one line each.
pub(super) fn lines(lines: &[LogLine]) -> String {
    let line = |line: &LogLine| format!("{:.0}  {}\n", line.at, harmless(&line.sentence, false));
    lines.iter().map(line).collect()
}

fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// How long ago, in its largest unit.
fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..86400 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86400),
    }
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
    }

    #[test]
    fn a_long_detail_is_cut_to_its_beginning() {
        assert_eq!(beginning(""), "");
        assert_eq!(beginning("short\n"), "short");
        assert_eq!(beginning("first\nsecond"), "first…");
        assert_eq!(beginning(&"é".repeat(60)), "é".repeat(60));
        assert_eq!(beginning(&"é".repeat(61)), format!("{}…", "é".repeat(59)));
        let hostile = beginning(&"\x1b".repeat(59));
        assert!(hostile.chars().count() == 60 && !hostile.contains('\x1b'), "{hostile}");
    }

    #[test]
    fn columns_line_up() {
        let rows = [["A", "B"], ["long", "x"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "A     B\nlong  x\n");
    }

    #[test]
    fn ages_use_their_largest_unit() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let ago = |seconds: i64| age(Timestamp::from_second(1_000_000 - seconds).unwrap(), now);
        assert_eq!(
            [ago(5), ago(120), ago(7300), ago(200_000)],
            ["5s ago", "2m ago", "2h ago", "2d ago"]
        );
        assert_eq!(ago(-5), "0s ago");
    }
}
