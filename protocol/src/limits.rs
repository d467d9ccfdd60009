//! Every bound in one place, each with its reason. Sizes in bytes, times as [`Duration`].

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// One RPC request: a comment at its limit, escaped, with room to spare. Bounded before parsing
/// because a JSON array of small numbers grows 17-fold in memory.
pub const RPC_BODY_MAX_BYTES: usize = 256 * KIB;
/// One request on a trusted socket: a prompt holds an issue with its comments.
pub const CONTROL_BODY_MAX_BYTES: usize = 2 * MIB;
/// One RPC answer: what a forge may answer at most, see [`FORGE_ANSWER_MAX_BYTES`].
pub const RPC_ANSWER_MAX_BYTES: usize = 8 * MIB;
/// Nesting of JSON: our deepest message has five levels.
pub const JSON_DEPTH_MAX: usize = 64;
/// RPCs served at a time per socket; an agent with a dozen helpers stays below it.
pub const RPC_IN_FLIGHT_MAX: u32 = 8;
/// Connections of all kinds per socket, tunnels and git included.
pub const CONNECTIONS_MAX: usize = 128;
/// From the connection's start, or the last answer, to the next request's complete head.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);
/// From the head of an RPC to the end of its body.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that takes nothing of its answer for so long is cut off; a pausing one (frozen by mistake)
/// must not hold a connection.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What connections get to end by themselves when a server stops or hangs up.
pub const HANG_UP_GRACE: Duration = Duration::from_secs(2);
/// Length of a JSON-RPC id that is a string; ours are numbers.
pub const RPC_ID_MAX_BYTES: usize = 128;
/// An RPC in all: two forge calls at their limit.
pub const RPC_TIMEOUT: Duration = Duration::from_secs(60);
/// How long `next_run` waits before it answers "nothing yet"; below [`RPC_TIMEOUT`].
pub const NEXT_RUN_WAIT: Duration = Duration::from_secs(20);

/// Writes of one bottle to the forge per minute: forges answer 429 above 80 (GitHub's secondary
/// limit on content creation).
pub const WRITES_PER_MINUTE: u32 = 30;
/// Writes of one bottle to the forge per day: a reviewer will not read more.
pub const WRITES_PER_DAY: u32 = 500;
/// One comment or description; forges refuse at 64 KiB, and the agent's line must still fit.
pub const COMMENT_MAX_BYTES: usize = 60 * KIB;
/// A pull request's title, as Gitea stores it (255 characters).
pub const TITLE_MAX_CHARS: usize = 255;
/// The summary given to `signal_done`: a page of text.
pub const SUMMARY_MAX_BYTES: usize = 8 * KIB;
/// Items of one progress report: what fits a screen.
pub const PROGRESS_ITEMS_MAX: usize = 50;
/// One line of a progress report.
pub const PROGRESS_TEXT_MAX_BYTES: usize = 500;

/// Files that may wait in one bottle's queue.
pub const QUEUE_FILES_MAX: usize = 64;
/// Of these, kept free for what must not be lost: done, exit and pull request events.
pub const QUEUE_FILES_RESERVED: usize = 8;
/// Bytes that may wait in one bottle's queue.
pub const QUEUE_MAX_BYTES: usize = MIB;
/// One queue file: the largest summary and output tail, escaped.
pub const QUEUE_FILE_MAX_BYTES: usize = 64 * KIB;
/// Queue files read of one bottle per scan, so that a flood does not hold up the others.
pub const QUEUE_FILES_PER_SCAN: usize = 100;
/// The queue is read again at least this often, whatever inotify says.
pub const QUEUE_RESCAN: Duration = Duration::from_secs(5);
/// Forgotten files in `tmp/` are removed after this time.
pub const QUEUE_TMP_AGE: Duration = Duration::from_secs(24 * 3600);
/// The last bytes of an agent's output that travel with its exit.
pub const OUTPUT_TAIL_MAX_BYTES: usize = 4 * KIB;

/// One webhook delivery; Gitea's largest push payloads stay below it.
pub const WEBHOOK_MAX_BYTES: usize = 5 * MIB;
/// A webhook's whole body must have come by then (a forge waits 5 s for the answer).
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// Shortest webhook secret that is accepted: the output size of the hash (RFC 2104 §3).
pub const WEBHOOK_SECRET_MIN_BYTES: usize = 32;
/// One secret read from a file; tokens have 40 to a few hundred bytes.
pub const SECRET_MAX_BYTES: usize = 8 * KIB;

/// One call to a forge, from connect to the last byte.
pub const FORGE_CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Reaching a forge.
pub const FORGE_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// One answer of a forge.
pub const FORGE_ANSWER_MAX_BYTES: usize = 8 * MIB;
/// Pages read of one list (50 each): more is not read by a person either.
pub const FORGE_PAGES_MAX: u32 = 20;
/// `Retry-After` is taken as at least this.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// `Retry-After` is taken as at most this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// One pack pushed by an agent.
pub const GIT_PACK_MAX_BYTES: usize = 50 * MIB;
/// The command list in front of a pack; one command has less than 400 bytes.
pub const GIT_COMMANDS_MAX_BYTES: usize = 64 * KIB;
/// A ref advertisement that is edited on its way: some 100 000 refs.
pub const GIT_ADVERTISEMENT_MAX_BYTES: usize = 8 * MIB;
/// One fetch request's body: the haves and wants of a large repository.
pub const GIT_FETCH_REQUEST_MAX_BYTES: usize = 8 * MIB;
/// One git exchange from start to end.
pub const GIT_TIMEOUT: Duration = Duration::from_secs(600);

/// One description or remark in a prompt: a long page; the rest can be read with `bottle`.
pub const PROMPT_PART_MAX_BYTES: usize = 32 * KIB;
/// What a run is told in all: escaped six-fold it still fits [`CONTROL_BODY_MAX_BYTES`].
pub const PROMPT_MAX_BYTES: usize = 256 * KIB;
/// Pull requests that are believed of one bottle; an honest one has one at a time.
pub const PULL_REQUESTS_MAX: usize = 32;

/// How long a drained sidecar lets writes in flight end.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_fit_each_other() {
        // A comment whose every byte is escaped as \u00XX must not exceed a request by much; a
        // plain one with quotes escaped must fit.
        const { assert!(COMMENT_MAX_BYTES * 2 < RPC_BODY_MAX_BYTES) };
        const { assert!(SUMMARY_MAX_BYTES * 6 + OUTPUT_TAIL_MAX_BYTES < QUEUE_FILE_MAX_BYTES) };
        const { assert!(QUEUE_FILES_RESERVED < QUEUE_FILES_MAX) };
        assert!(NEXT_RUN_WAIT < RPC_TIMEOUT);
    }
}
