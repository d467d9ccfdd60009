//! What an agent program says: passed on line by line, its end kept for the report.

use std::time::Duration;

use protocol::limits;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe,
    sync::oneshot,
    time::timeout,
};

/// A longer line is broken: log drivers cut at 16 KiB to 1 MiB, each in its own way.
const LINE_MAX_BYTES: usize = 64 * 1024;
/// How much is read at a time.
const CHUNK_BYTES: usize = 8 * 1024;
/// For the last bytes in the pipe, once nobody is left who could write to it.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// Passes on what comes until the pipe's end, or until a second after `quiet`; the last
/// [`limits::OUTPUT_TAIL_MAX_BYTES`] of it as text.
pub async fn relay(mut from: pipe::Receiver, mut quiet: oneshot::Receiver<()>) -> String {
    let mut said = Said { lines: Lines::default(), tail: Tail::default() };
    tokio::select! {
        () = said.pass_on(&mut from) => return said.finish().await,
        _ = &mut quiet => {}
    }
    if timeout(LAST_BYTES, said.pass_on(&mut from)).await.is_err() {
        tracing::warn!("the agent's output was not closed");
    }
    said.finish().await
}

struct Said {
    lines: Lines,
    tail: Tail,
}

impl Said {
    /// When it is dropped in the middle of writing, at most the line that is being written is
    /// broken.
    async fn pass_on(&mut self, from: &mut pipe::Receiver) {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let Ok(length @ 1..) = from.read(&mut chunk).await else { return };
            let Some(new) = chunk.get(..length) else { return };
            self.tail.push(new);
            write(&self.lines.push(new)).await;
        }
    }

    async fn finish(self) -> String {
        write(&self.lines.finish()).await;
        self.tail.text()
    }
}

/// Writes to the container's log. A log that is gone must not stop the agent.
async fn write(bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let mut stdout = tokio::io::stdout();
    drop(stdout.write_all(bytes).await);
    drop(stdout.flush().await);
}

/// Cuts a stream into whole lines.
#[derive(Debug, Default)]
struct Lines {
    unfinished: Vec<u8>,
}

impl Lines {
    /// Takes bytes; gives the lines that are complete now.
    fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut complete = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(LINE_MAX_BYTES) {
                self.add(part, &mut complete);
            }
        }
        complete
    }

    fn add(&mut self, part: &[u8], complete: &mut Vec<u8>) {
        if self.unfinished.len() + part.len() > LINE_MAX_BYTES {
            complete.append(&mut self.unfinished);
            complete.push(b'\n');
        }
        self.unfinished.extend_from_slice(part);
        if part.ends_with(b"\n") {
            complete.append(&mut self.unfinished);
        }
    }

    /// The last line, with the end that it lacks.
    fn finish(mut self) -> Vec<u8> {
        if !self.unfinished.is_empty() {
            self.unfinished.push(b'\n');
        }
        self.unfinished
    }
}

/// The last bytes of a stream.
#[derive(Debug, Default)]
struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let surplus = self.bytes.len().saturating_sub(limits::OUTPUT_TAIL_MAX_BYTES);
        self.bytes.drain(..surplus);
    }

    /// As text of at most as many bytes. A character that the start cuts in half is left out; what
    /// is no UTF-8 is replaced, which makes it longer, and so the start is cut again.
    fn text(&self) -> String {
        let whole = self.bytes.iter().position(|byte| !is_continuation(*byte)).unwrap_or_default();
        let text = String::from_utf8_lossy(self.bytes.get(whole..).unwrap_or_default());
        let surplus = text.len().saturating_sub(limits::OUTPUT_TAIL_MAX_BYTES);
        let start = (surplus..=text.len()).find(|at| text.is_char_boundary(*at));
        start.and_then(|at| text.get(at..)).unwrap_or_default().to_owned()
    }
}

/// Whether a byte goes on with a character that began before it (RFC 3629 §3).
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_come_out_whole_and_a_missing_end_is_added() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"one\ntw"), b"one\n");
        assert_eq!(lines.push(b"o"), b"");
        assert_eq!(lines.push(b"\n\nthree"), b"two\n\n");
        assert_eq!(lines.finish(), b"three\n");
        assert_eq!(Lines::default().finish(), b"");
    }

    #[test]
    fn a_line_without_end_is_broken_at_the_bound() {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for _ in 0..40 {
            out.extend(lines.push(&[b'x'; CHUNK_BYTES]));
        }
        out.extend(lines.finish());
        assert!(out.split(|byte| *byte == b'\n').all(|line| line.len() <= LINE_MAX_BYTES));
        assert_eq!(out.iter().filter(|byte| **byte == b'x').count(), 40 * CHUNK_BYTES);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 5);
    }

    #[test]
    fn a_tail_of_binary_rubbish_stays_within_its_bound() {
        let mut tail = Tail::default();
        tail.push(&[0xff; 3 * limits::OUTPUT_TAIL_MAX_BYTES]);
        let text = tail.text();
        assert!(text.len() <= limits::OUTPUT_TAIL_MAX_BYTES && text.len() > 4000);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_changed(chunks in proptest::collection::vec(any::<Vec<u8>>(), 0..20)) {
            let mut lines = Lines::default();
            let mut out: Vec<u8> = chunks.iter().flat_map(|chunk| lines.push(chunk)).collect();
            out.extend(lines.finish());
            let mut all = chunks.concat();
            if !all.is_empty() && !all.ends_with(b"\n") {
                all.push(b'\n');
            }
            prop_assert_eq!(out, all);
        }

        #[test]
        fn a_tail_is_the_end_of_what_was_said(words in proptest::collection::vec("\\PC{0,400}", 0..30)) {
            let mut tail = Tail::default();
            for word in &words {
                tail.push(word.as_bytes());
            }
            let (all, text) = (words.concat(), tail.text());
            prop_assert!(all.ends_with(&text));
            prop_assert!(tail.bytes.len() <= limits::OUTPUT_TAIL_MAX_BYTES);
            prop_assert!(text.len() <= limits::OUTPUT_TAIL_MAX_BYTES);
            prop_assert!(text.len() + 3 >= all.len().min(limits::OUTPUT_TAIL_MAX_BYTES));
        }
    }
}
