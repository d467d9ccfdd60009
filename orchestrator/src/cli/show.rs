//! Printing: tables that fit the terminal, times as ages, foreign text made harmless.

use std::{borrow::Cow, path::Path};

use jiff::Timestamp;
use protocol::{
    ids::IssueNumber,
    operator::{BottleStatus, Condition, Explanation, LogLine, Outcome, Status},
};

use super::{
    screen::{Mood, Screen},
    text::{beginning, harmless},
};

/// Characters of a detail where nothing else bounds it; all of it is in `--json` and in the log.
const DETAIL_MAX_CHARS: usize = 60;
/// Below this a detail says nothing.
const DETAIL_MIN_CHARS: usize = 12;
/// Between two columns.
const GAP: usize = 2;

/// A column of `status`, in their order, and how it is made of a bottle.
struct Column {
    head: &'static str,
    /// On a terminal too narrow for all, those with the highest number go first.
    spare: u8,
    cell: fn(&BottleStatus, Timestamp) -> String,
}

const COLUMNS: [Column; 7] = [
    Column { head: "SLUG", spare: 0, cell: |bottle, _| bottle.slug.to_string() },
    Column { head: "STATUS", spare: 1, cell: |bottle, _| bottle.status.clone() },
    Column { head: "ISSUE", spare: 2, cell: |bottle, _| issue(bottle) },
    Column { head: "PR", spare: 4, cell: |bottle, _| number(bottle.pr_number) },
    Column { head: "RUNS", spare: 6, cell: |bottle, _| bottle.runs.to_string() },
    Column { head: "CHECK-IN", spare: 5, cell: |bottle, now| check_in(bottle, now) },
    Column { head: "DETAIL", spare: 3, cell: |bottle, _| bottle.detail.clone() },
];

/// Which of them is the detail, which takes what room is left.
const DETAIL: &str = "DETAIL";

/// `status` as a table; `switch` is where the kill switch lies.
pub(super) fn status(screen: Screen, status: &Status, switch: &Path, now: Timestamp) -> String {
    let mut text = String::new();
    if status.kill_switch {
        let what = format!(
            "The kill switch is on: running agents are put to sleep, nothing is started; rm {}",
            harmless(&switch.display().to_string(), false)
        );
        text.push_str(&screen.paint(Mood::Bad, &what));
        text.push('\n');
    }
    for note in &status.notes {
        text.push_str(&screen.paint(Mood::Doubtful, &harmless(note, false)));
        text.push('\n');
    }
    if status.bottles.is_empty() {
        text.push_str(
            "No bottles. Label an issue bot-bottle:<agent> and assign it to an agent's account.\n",
        );
        return text;
    }
    text.push_str(&table(screen, &status.bottles, now));
    let slots = format!("{} of {} slots used\n", status.slots_used, status.slots);
    text + &slots
}

fn table(screen: Screen, bottles: &[BottleStatus], now: Timestamp) -> String {
    let mut columns: Vec<(&Column, Vec<String>, usize)> = COLUMNS
        .iter()
        .map(|column| {
            let cell = |bottle| {
                let max = if column.head == DETAIL { DETAIL_MAX_CHARS } else { usize::MAX };
                beginning(&(column.cell)(bottle, now), max)
            };
            let cells: Vec<String> = bottles.iter().map(cell).collect();
            let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
            (column, cells, width.max(column.head.len()))
        })
        .collect();
    fit(&mut columns, screen.columns);
    let line = |cells: &mut dyn Iterator<Item = (&Column, &str, usize)>, head: bool| {
        let mut line = String::new();
        for (column, cell, width) in cells {
            // Each was made harmless above; most fit.
            let fits = cell.chars().count() <= width;
            let cell = if fits { Cow::Borrowed(cell) } else { beginning(cell, width).into() };
            let padding = width - cell.chars().count() + GAP;
            let mood = match column.head {
                _ if head => Mood::Head,
                "STATUS" => mood(&cell),
                _ => Mood::Plain,
            };
            line.push_str(&screen.paint(mood, &cell));
            line.push_str(&" ".repeat(padding));
        }
        format!("{}\n", line.trim_end())
    };
    let mut text = line(&mut columns.iter().map(|(c, _, width)| (*c, c.head, *width)), true);
    for row in 0..bottles.len() {
        let mut cells = columns.iter().map(|(column, cells, width)| {
            (*column, cells.get(row).map(String::as_str).unwrap_or_default(), *width)
        });
        text.push_str(&line(&mut cells, false));
    }
    text
}

/// Leaves out what can be spared until a line fits; the last column is cut to what is left.
fn fit(columns: &mut Vec<(&Column, Vec<String>, usize)>, room: Option<usize>) {
    let Some(room) = room else { return };
    let used = |columns: &[(&Column, Vec<String>, usize)]| -> usize {
        columns.iter().map(|(_, _, width)| width + GAP).sum::<usize>().saturating_sub(GAP)
    };
    while used(columns) > room {
        let over = used(columns) - room;
        let detail = columns.iter_mut().find(|(column, ..)| column.head == DETAIL);
        if let Some((_, _, width)) = detail
            && *width >= over + DETAIL_MIN_CHARS
        {
            *width -= over;
            return;
        }
        let most = columns.iter().map(|(column, ..)| column.spare).max().unwrap_or(0);
        if most == 0 {
            break;
        }
        columns.retain(|(column, ..)| column.spare != most);
    }
    if let [(_, _, width)] = columns.as_mut_slice() {
        *width = (*width).min(room.max(1));
    }
}

fn mood(status: &str) -> Mood {
    match status {
        "running" | "starting" | "rehydrating" => Mood::Good,
        "queued" | "freezing" => Mood::Doubtful,
        "failed" => Mood::Bad,
        "frozen" | "destroyed" => Mood::Quiet,
        _ => Mood::Plain,
    }
}

fn issue(bottle: &BottleStatus) -> String {
    bottle.issue_number.map_or_else(|| bottle.repo.to_string(), |n| format!("{}#{n}", bottle.repo))
}

fn number(number: Option<IssueNumber>) -> String {
    number.map_or_else(|| "-".to_owned(), |n| format!("#{n}"))
}

fn check_in(bottle: &BottleStatus, now: Timestamp) -> String {
    bottle.last_checkin_at.map_or_else(|| "-".to_owned(), |at| age(at, now))
}

/// `explain`: every condition, and what follows.
pub(super) fn explanation(screen: Screen, explanation: &Explanation) -> String {
    let line = |check: &Condition| {
        let (mark, mood) = match check.outcome {
            Outcome::Pass => ("ok", Mood::Good),
            Outcome::Fail => ("no", Mood::Bad),
            Outcome::Unknown => ("-", Mood::Quiet),
        };
        let mark = screen.paint(mood, &format!("{mark:<2}"));
        let code = check.code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default();
        let sentence = harmless(&check.sentence, false);
        format!("{mark}  {}: {sentence}{code}\n", check.rule)
    };
    let mut text: String = explanation.checks.iter().map(line).collect();
    let at = format!("{}#{}", explanation.repo, explanation.number);
    let bottle = explanation.bottle.as_ref().map(|bottle| {
        let detail = match screen.terminal {
            true => beginning(&bottle.detail, DETAIL_MAX_CHARS),
            false => harmless(&bottle.detail, false),
        };
        let detail = if detail.is_empty() { detail } else { format!(" ({detail})") };
        format!("{at}: {} is {}{detail}\n", bottle.slug, bottle.status)
    });
    text.push_str(&bottle.unwrap_or_else(|| format!("{at}: it has no bottle\n")));
    let status = explanation.bottle.as_ref().map_or("destroyed", |bottle| bottle.status.as_str());
    let failed = explanation.checks.iter().filter(|check| check.outcome == Outcome::Fail);
    let codes: Vec<&str> = failed.filter_map(|check| check.code.as_deref()).collect();
    let end = match (codes.join(", "), status) {
        (codes, _) if codes.is_empty() => stands(status, &at),
        (codes, "destroyed") => format!("nothing is done: {codes}"),
        (codes, _) => format!("nothing more is done: {codes}"),
    };
    text + &format!("{at}: {end}\n")
}

/// What a bottle that nothing keeps back waits for.
fn stands(status: &str, at: &str) -> String {
    match status {
        "failed" => {
            format!("it failed; put it right, then: orchestrate resume {at} --prompt ...")
        }
        "frozen" => "it waits for comments, or for `orchestrate resume`".to_owned(),
        "starting" | "running" | "rehydrating" => "it is worked on".to_owned(),
        "freezing" => "it is being put to sleep".to_owned(),
        _ => "nothing stands in its way".to_owned(),
    }
}

/// The op log, one line each.
pub(super) fn lines(lines: &[LogLine]) -> String {
    let line = |line: &LogLine| format!("{:.0}  {}\n", line.at, harmless(&line.sentence, false));
    lines.iter().map(line).collect()
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

    fn bottle(slug: &str, status: &str, detail: &str) -> BottleStatus {
        BottleStatus {
            slug: slug.parse().unwrap(),
            agent_name: "implementer".parse().unwrap(),
            bottle_names: vec![],
            backend_name: "docker".to_owned(),
            agent_git_user: "implementer-bot".parse().unwrap(),
            repo: "team/project".parse().unwrap(),
            issue_number: Some(7.try_into().unwrap()),
            pr_number: None,
            status: status.to_owned(),
            detail: detail.to_owned(),
            label: None,
            runs: 2,
            last_checkin_at: None,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn shown(columns: Option<usize>, colour: bool) -> String {
        let status = Status {
            version: "1".to_owned(),
            slots: 4,
            slots_used: 1,
            kill_switch: false,
            last_delivery_at: None,
            notes: vec!["webhooks\x1b[31m stopped".to_owned()],
            bottles: vec![
                bottle("implementer-bcdfg", "running", "run 2"),
                bottle(
                    "reviewer-hjkmn",
                    "frozen",
                    "hot, success: \x1b]0;owned\x07 all is done and more",
                ),
            ],
            next: None,
        };
        let switch = Path::new("/data/kill-switch");
        super::status(Screen::for_test(columns, colour), &status, switch, Timestamp::UNIX_EPOCH)
    }

    // CASES 228, 229
    #[test]
    fn a_table_fits_the_terminal_whatever_its_width() {
        for width in 1..200 {
            let text = shown(Some(width), false);
            for line in text.lines().filter(|line| line.contains('-') || line.contains("SLUG")) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            assert!(!text.contains('\x1b'), "{text}");
        }
        let table =
            |width| shown(Some(width), false).lines().skip(1).collect::<Vec<_>>().join("\n");
        assert_eq!(table(20), "SLUG\nimplementer-bcdfg\nreviewer-hjkmn\n1 of 4 slots used");
        assert_eq!(
            table(80),
            "SLUG               STATUS   ISSUE           PR  RUNS  CHECK-IN  DETAIL\n\
             implementer-bcdfg  running  team/project#7  -   2     -         run 2\n\
             reviewer-hjkmn     frozen   team/project#7  -   2     -         hot, success: \\…\n\
             1 of 4 slots used"
        );
    }

    #[test]
    fn only_our_own_colours_are_on_a_terminal() {
        let text = shown(Some(120), true);
        let plain = text.replace("\x1b[0m", "");
        let plain = ["\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[33m"]
            .iter()
            .fold(plain, |text, code| text.replace(code, ""));
        assert_eq!(plain, shown(Some(120), false));
        assert_ne!(text, plain);
    }

    #[test]
    fn an_explanation_ends_with_what_comes_next() {
        let end = |status: &str, codes: &[&str]| {
            let check = |code: &&str| Condition {
                rule: "x".to_owned(),
                outcome: Outcome::Fail,
                code: Some((*code).to_owned()),
                sentence: "x".to_owned(),
            };
            let told = Explanation {
                repo: "team/project".parse().unwrap(),
                number: 7.try_into().unwrap(),
                runs: codes.is_empty(),
                code: codes.first().map(|code| (*code).to_owned()),
                bottle: Some(bottle("implementer-bcdfg", status, &"long ".repeat(40))),
                checks: codes.iter().map(check).collect(),
            };
            let text = explanation(Screen::for_test(None, false), &told);
            assert!(text.contains(&"long ".repeat(40)), "nothing is cut in a file: {text}");
            text.lines().last().unwrap().trim_start_matches("team/project#7: ").to_owned()
        };
        assert_eq!(
            end("failed", &[]),
            "it failed; put it right, then: orchestrate resume team/project#7 --prompt ..."
        );
        assert_eq!(end("running", &[]), "it is worked on");
        assert!(end("frozen", &[]).starts_with("it waits for comments"));
        assert_eq!(end("destroyed", &["a", "b"]), "nothing is done: a, b");
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
