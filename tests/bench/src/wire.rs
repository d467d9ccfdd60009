//! HTTP/1.1 as plain bytes on a kept connection, so that the one who measures costs little and sends
//! the same to what is measured and to its floor.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::Fault;

/// Answers are read in pieces of this size.
const PIECE_BYTES: usize = 16 * 1024;

/// A request with a body, and further header lines.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

/// A connection with one request under way at a time.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, read: Vec::with_capacity(PIECE_BYTES) }
    }

    /// Sends a request and reads its answer; gives the status and the body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8]), Fault> {
        self.stream.write_all(request).await?;
        self.read.clear();
        loop {
            if let Some((status, body)) = whole(&self.read) {
                return Ok((status, self.read.get(body..).unwrap_or_default()));
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err("the connection was closed before the answer's end".into());
            }
        }
    }
}

/// Status and where the body begins, when all of the answer is there.
fn whole(read: &[u8]) -> Option<(u16, usize)> {
    let body = read.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(read.get(..body)?).ok()?;
    let status = head.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    (read.len() >= body + length.unwrap_or(0)).then_some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\n\r\nok\n";
        assert_eq!(whole(answer), Some((202, answer.len() - 3)));
        assert_eq!(whole(&answer[..answer.len() - 1]), None);
        assert_eq!(whole(b"HTTP/1.1 204 No Content\r\n\r\n"), Some((204, 27)));
    }
}
