//! Pkt-lines: four hexadecimal digits of length, then so many bytes less four. Pure.

/// Largest pkt-line with its length, <https://git-scm.com/docs/protocol-common>.
pub const LINE_MAX: usize = 65520;

/// One pkt-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pkt<'a> {
    /// A line.
    Data(&'a [u8]),
    /// `0000`.
    Flush,
    /// `0001` or `0002`, of protocol version 2.
    Other,
}

/// A pkt-line and what follows it.
pub type First<'a> = (Pkt<'a>, &'a [u8]);

/// Four bytes that are no length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pkt-line has no valid length")]
pub struct BadLength;

/// The first pkt-line of a buffer and what follows it; `None` when there is more to come.
///
/// # Errors
/// When the buffer does not begin with a length.
pub fn split(buffer: &[u8]) -> Result<Option<First<'_>>, BadLength> {
    let Some((digits, after)) = buffer.split_first_chunk::<4>() else { return Ok(None) };
    let length = digits.iter().try_fold(0_usize, |sum, digit| {
        char::from(*digit).to_digit(16).map(|value| sum * 16 + value as usize)
    });
    match length.ok_or(BadLength)? {
        0 => Ok(Some((Pkt::Flush, after))),
        1 | 2 => Ok(Some((Pkt::Other, after))),
        length @ 4..=LINE_MAX => {
            Ok(after.split_at_checked(length - 4).map(|(data, rest)| (Pkt::Data(data), rest)))
        }
        _ => Err(BadLength),
    }
}

/// Writes one line. Longer ones than a line may be are cut; ours are short.
pub fn line(out: &mut Vec<u8>, data: &[u8]) {
    let data = data.get(..LINE_MAX - 4).unwrap_or(data);
    out.extend_from_slice(format!("{:04x}", data.len() + 4).as_bytes());
    out.extend_from_slice(data);
}

/// Writes a flush.
pub fn flush(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0000");
}

/// All pkt-lines of a buffer that must hold whole ones.
///
/// # Errors
/// When it does not.
pub fn all(mut buffer: &[u8]) -> Result<Vec<Pkt<'_>>, BadLength> {
    let mut lines = Vec::new();
    while !buffer.is_empty() {
        let (pkt, rest) = split(buffer)?.ok_or(BadLength)?;
        lines.push(pkt);
        buffer = rest;
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_hexadecimal_and_in_range() {
        assert_eq!(split(b"0006a\nrest"), Ok(Some((Pkt::Data(b"a\n"), &b"rest"[..]))));
        assert_eq!(split(b"0004"), Ok(Some((Pkt::Data(b""), &b""[..]))));
        assert_eq!(split(b"0000x"), Ok(Some((Pkt::Flush, &b"x"[..]))));
        assert_eq!(split(b"0001"), Ok(Some((Pkt::Other, &b""[..]))));
        assert_eq!(split(b"00"), Ok(None));
        assert_eq!(split(b"0008abc"), Ok(None));
        for bad in [&b"0003"[..], b"fff1", b"ffff", b"+001", b"-001", b"zzzz", b" 004", b"PACK"] {
            assert_eq!(split(bad), Err(BadLength), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some((_, rest))) = split(&bytes) {
                prop_assert!(rest.len() + 4 <= bytes.len());
            }
            drop(all(&bytes));
        }

        #[test]
        fn what_is_written_is_read(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..5)) {
            let mut out = Vec::new();
            for data in &lines {
                line(&mut out, data);
            }
            flush(&mut out);
            let mut expected: Vec<Pkt<'_>> = lines.iter().map(|data| Pkt::Data(data)).collect();
            expected.push(Pkt::Flush);
            prop_assert_eq!(all(&out), Ok(expected));
        }
    }
}
