//! A container's output piece by piece. The engine's time of each piece says where to read on.

use std::collections::VecDeque;

use bollard::{Docker, query_parameters::LogsOptionsBuilder};
use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::{EngineError, failed};

/// Lines to begin with.
const FIRST_LINES: &str = "2000";

/// What was written after a moment, at most the last `max_bytes`.
pub(super) async fn after(
    docker: &Docker,
    id: &str,
    after: Option<Timestamp>,
    max_bytes: usize,
) -> Result<Vec<(Timestamp, String)>, EngineError> {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true);
    let options = match after {
        // Whole seconds: what is known already is left out below.
        Some(after) => options.since(i32::try_from(after.as_second()).unwrap_or(i32::MAX)),
        None => options.tail(FIRST_LINES),
    };
    let mut log = docker.logs(id, Some(options.build()));
    let mut pieces = VecDeque::new();
    let mut bytes = 0;
    while let Some(frame) = log.next().await {
        let frame = frame.map_err(failed(&format!("read the output of {id}")))?;
        let frame = frame.into_bytes();
        let Some(piece) = stamped(&String::from_utf8_lossy(&frame)) else { continue };
        if after.is_some_and(|after| piece.0 <= after) {
            continue;
        }
        bytes += piece.1.len();
        pieces.push_back(piece);
        while bytes > max_bytes
            && let Some((_, dropped)) = pieces.pop_front()
        {
            bytes -= dropped.len();
        }
    }
    Ok(pieces.into())
}

/// A piece with the time that the engine puts before it.
fn stamped(frame: &str) -> Option<(Timestamp, String)> {
    let (at, text) = frame.split_once(' ')?;
    Some((at.parse().ok()?, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_has_its_time_and_its_text() {
        let (at, text) = stamped("2026-03-01T10:00:40.123456789Z a b\n").unwrap();
        assert_eq!((at.subsec_nanosecond(), text.as_str()), (123_456_789, "a b\n"));
        assert_eq!(stamped("2026-03-01T10:00:40Z \n").unwrap().1, "\n");
        assert_eq!(stamped("no time here"), None);
        assert_eq!(stamped(""), None);
    }
}
