//! The front of a push: its command list, read line by line so that the pack behind it stays a
//! stream.

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Stream, stream};
use http_body::Body;
use http_body_util::BodyExt as _;

use super::pkt::{self, Pkt};

/// Why the front cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrontError {
    /// The client went away, or stopped in the middle of a line.
    #[error("the push broke off")]
    BrokenOff,
    /// Not pkt-lines.
    #[error("the push does not begin with pkt-lines")]
    NoPktLines,
    /// More than a list of commands may have.
    #[error("the list of updates is too long")]
    TooLong,
}

/// A body whose front has been read.
#[derive(Debug)]
pub struct Front<B> {
    body: B,
    /// Read, but not part of the front.
    ahead: BytesMut,
}

impl<B> Front<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
{
    /// A body of which nothing was read.
    pub fn new(body: B) -> Self {
        Self { body, ahead: BytesMut::new() }
    }

    /// The lines up to the flush, at most `max_bytes` of them.
    ///
    /// # Errors
    /// When there is no flush within that.
    pub async fn lines(&mut self, max_bytes: usize) -> Result<Vec<Vec<u8>>, FrontError> {
        let (mut lines, mut taken) = (Vec::new(), 0);
        loop {
            let found = pkt::split(&self.ahead).map_err(|_| FrontError::NoPktLines)?;
            let line = found.map(|(pkt, rest)| (owned(pkt), self.ahead.len() - rest.len()));
            match line {
                Some((Line::Flush, length)) => {
                    self.ahead.advance(length);
                    return Ok(lines);
                }
                Some((Line::Data(line), length)) => {
                    self.ahead.advance(length);
                    taken += length;
                    lines.push(line);
                }
                Some((Line::Other, _)) => return Err(FrontError::NoPktLines),
                None => self.read_more().await?,
            }
            if taken > max_bytes {
                return Err(FrontError::TooLong);
            }
        }
    }

    async fn read_more(&mut self) -> Result<(), FrontError> {
        match next(&mut self.body).await {
            Some(Ok(more)) => {
                self.ahead.extend_from_slice(&more);
                Ok(())
            }
            Some(Err(BrokenOff)) | None => Err(FrontError::BrokenOff),
        }
    }

    /// What follows the front.
    pub fn rest(self) -> Rest<B> {
        let Self { body, ahead } = self;
        Rest { body, ahead: Some(ahead.freeze()).filter(|bytes| !bytes.is_empty()) }
    }
}

enum Line {
    Data(Vec<u8>),
    Flush,
    Other,
}

fn owned(pkt: Pkt<'_>) -> Line {
    match pkt {
        Pkt::Data(data) => Line::Data(data.to_vec()),
        Pkt::Flush => Line::Flush,
        Pkt::Other => Line::Other,
    }
}

/// The client went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the push broke off")]
pub struct BrokenOff;

/// The part of a body behind its front: the pack.
#[derive(Debug)]
pub struct Rest<B> {
    body: B,
    ahead: Option<Bytes>,
}

impl<B> Rest<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
{
    /// The next bytes, in order.
    pub async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        match self.ahead.take() {
            Some(bytes) => Some(Ok(bytes)),
            None => next(&mut self.body).await,
        }
    }

    /// Reads on and throws away, so that the client gets to read the answer; at most `max_bytes`.
    pub async fn discard(&mut self, max_bytes: usize) {
        let mut left = max_bytes;
        while let Some(Ok(bytes)) = self.next().await {
            match left.checked_sub(bytes.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    }

    /// The pack behind `head`, at most `max_bytes` of it. `ended` is called with how it ended, and
    /// before the stream's error: a larger pack is read to its end first, within twice the bound.
    pub fn after(
        self,
        head: Bytes,
        max_bytes: usize,
        ended: Ended,
    ) -> impl Stream<Item = Result<Bytes, BrokenOff>> + Send {
        let start = Sending {
            rest: self,
            head: Some(head),
            left: max_bytes,
            max_bytes,
            ended,
            over: false,
        };
        stream::unfold(start, |mut sending| async move {
            let item = sending.next().await?;
            Some((item, sending))
        })
    }
}

/// Told how a pack ended.
pub type Ended = Box<dyn Fn(PackEnd) + Send + Sync>;

/// How a pack ended when it did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackEnd {
    /// The client went away.
    BrokenOff,
    /// Over the bound.
    TooLarge,
}

struct Sending<B> {
    rest: Rest<B>,
    head: Option<Bytes>,
    left: usize,
    max_bytes: usize,
    ended: Ended,
    over: bool,
}

impl<B> Sending<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
{
    async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        if self.over {
            return None;
        }
        if let Some(head) = self.head.take() {
            return Some(Ok(head));
        }
        let end = match self.rest.next().await? {
            Ok(bytes) => match self.left.checked_sub(bytes.len()) {
                Some(left) => {
                    self.left = left;
                    return Some(Ok(bytes));
                }
                None => {
                    self.rest.discard(2 * self.max_bytes).await;
                    PackEnd::TooLarge
                }
            },
            Err(BrokenOff) => PackEnd::BrokenOff,
        };
        self.over = true;
        (self.ended)(end);
        Some(Err(BrokenOff))
    }
}

/// The next data of a body; trailers are left out.
async fn next<B>(body: &mut B) -> Option<Result<Bytes, BrokenOff>>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        match body.frame().await? {
            Ok(frame) => match frame.into_data() {
                Ok(data) => return Some(Ok(data)),
                Err(_trailers) => {}
            },
            Err(_) => return Some(Err(BrokenOff)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, convert::Infallible};

    use futures_util::StreamExt as _;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use proptest::prelude::*;

    use super::*;

    fn body(parts: &[&[u8]]) -> impl Body<Data = Bytes> + Unpin + Send + use<> {
        let parts: VecDeque<_> = parts.iter().map(|part| Bytes::copy_from_slice(part)).collect();
        StreamBody::new(stream::iter(
            parts.into_iter().map(|part| Ok::<_, Infallible>(Frame::data(part))),
        ))
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn the_front_ends_at_its_flush() {
        block_on(async {
            let mut front = Front::new(body(&[b"000", b"6a", b"\n000", b"0PA", b"CK"]));
            assert_eq!(front.lines(100).await, Ok(vec![b"a\n".to_vec()]));
            let mut rest = front.rest();
            assert_eq!(rest.next().await, Some(Ok(Bytes::from_static(b"PA"))));
            assert_eq!(rest.next().await, Some(Ok(Bytes::from_static(b"CK"))));
            assert_eq!(rest.next().await, None);
        });
    }

    #[test]
    fn a_front_without_end_is_refused() {
        block_on(async {
            assert_eq!(Front::new(body(&[b"0006a"])).lines(100).await, Err(FrontError::BrokenOff));
            assert_eq!(
                Front::new(body(&[b"PACK...."])).lines(100).await,
                Err(FrontError::NoPktLines)
            );
            assert_eq!(Front::new(body(&[b"0001"])).lines(100).await, Err(FrontError::NoPktLines));
            let many = b"0006a\n".repeat(50);
            assert_eq!(Front::new(body(&[&many])).lines(100).await, Err(FrontError::TooLong));
        });
    }

    #[test]
    fn a_pack_over_the_bound_ends_in_an_error() {
        block_on(async {
            let front = Front::new(body(&[b"12345", b"67890"]));
            let (tell, told) = std::sync::mpsc::sync_channel(1);
            let ended: Ended = Box::new(move |end| tell.send(end).unwrap());
            let sent: Vec<_> =
                front.rest().after(Bytes::from_static(b"head"), 9, ended).collect().await;
            assert_eq!(sent.len(), 3);
            assert_eq!(sent[2], Err(BrokenOff));
            assert_eq!(told.try_recv(), Ok(PackEnd::TooLarge));
        });
    }

    proptest! {
        #[test]
        fn nothing_of_a_body_is_lost_however_it_is_cut(bytes in proptest::collection::vec(any::<u8>(), 0..60), cuts in proptest::collection::vec(0_usize..60, 0..5)) {
            let mut whole = Vec::new();
            pkt::line(&mut whole, b"one");
            pkt::flush(&mut whole);
            whole.extend_from_slice(&bytes);
            let mut at: Vec<usize> = cuts.into_iter().filter(|cut| *cut < whole.len()).collect();
            at.extend([0, whole.len()]);
            at.sort_unstable();
            let parts: Vec<&[u8]> = at.windows(2).map(|pair| &whole[pair[0]..pair[1]]).collect();
            let rest = block_on(async {
                let mut front = Front::new(body(&parts));
                front.lines(100).await.unwrap();
                let (mut rest, mut got) = (front.rest(), Vec::new());
                while let Some(Ok(part)) = rest.next().await {
                    got.extend_from_slice(&part);
                }
                got
            });
            prop_assert_eq!(rest, bytes);
        }
    }
}
