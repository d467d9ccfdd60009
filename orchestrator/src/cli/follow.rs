//! Commands that go on until something ends or somebody interrupts them.

use std::time::Duration;

use jiff::Timestamp;
use protocol::{
    ids::Slug,
    operator::{OperatorRpcClient as _, OutputPiece, Status},
};
use serde::Serialize;

use super::{ask::Asker, failure::Failure, show, text::harmless};
use crate::clock;

/// Between two looks at the bottles.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at one bottle; short enough to read along.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);
/// To the upper left corner, then everything off the screen.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// What of a bottle is followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Follow {
    pub op_log: bool,
    pub output: bool,
    pub raw: bool,
}

/// Shows the bottles whenever they change.
pub(super) async fn status(asker: &Asker) -> Result<(), Failure> {
    let screen = asker.screen;
    let mut shown: Option<(Status, String)> = None;
    loop {
        let status = asker.status().await?;
        let text = show::status(screen, &status, &asker.kill_switch(), clock::now());
        // Ages grow each second: only somebody who looks wants to see that.
        let seen = |(old, old_text): &(Status, String)| {
            *old == status && (!screen.terminal || *old_text == text)
        };
        if !shown.as_ref().is_some_and(seen) {
            screen.print_next(&status, || match (screen.terminal, screen.rows) {
                (true, Some(rows)) => format!("{CLEAR}{}", first_lines(&text, rows)),
                (true, None) => format!("{CLEAR}{text}"),
                (false, _) => format!("{text}\n"),
            })?;
        }
        shown = Some((status, text));
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

/// As many lines as fit above the cursor's own.
fn first_lines(text: &str, rows: usize) -> String {
    text.lines().take(rows.saturating_sub(1)).map(|line| format!("{line}\n")).collect()
}

/// One line of `logs -f --json`.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Log { at: Timestamp, sentence: &'a str },
    Output { at: Timestamp, text: &'a str },
}

/// Shows what a bottle does until it is gone.
pub(super) async fn bottle(asker: &Asker, slug: &Slug, what: Follow) -> Result<(), Failure> {
    let screen = asker.screen;
    let (mut position, mut after) = (0, None);
    loop {
        let output = asker.client.output(slug.clone(), after).await;
        let output = output.map_err(|error| asker.failed(error))?;
        // What it says of its end comes before its end is seen.
        let logs = asker.client.logs(slug.clone(), position, false).await;
        let logs = logs.map_err(|error| asker.failed(error))?.lines;
        let full = !logs.is_empty();
        for line in logs {
            position = line.position;
            if what.op_log {
                let json = Line::Log { at: line.at, sentence: &line.sentence };
                screen.print_next(&json, || show::lines(std::slice::from_ref(&line)))?;
            }
        }
        for piece in &output.pieces {
            after = Some(piece.at);
            if what.output {
                let json = Line::Output { at: piece.at, text: &piece.text };
                screen.print_next(&json, || told(piece, what))?;
            }
        }
        if output.ended && !full {
            return Ok(());
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
    }
}

/// An agent's words; beside the op log they stand behind a bar.
fn told(piece: &OutputPiece, what: Follow) -> String {
    if what.raw {
        return piece.text.clone();
    }
    let text = harmless(&piece.text, true);
    if !what.op_log {
        return text;
    }
    text.lines().map(|line| format!("| {line}\n")).collect()
}
