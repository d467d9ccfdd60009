//! The refs that a forge offers for pushing, with the capabilities cut to those that the gate
//! understands. Pure.

use super::{
    commands::is_allowed,
    pkt::{self, Pkt},
};

/// An advertisement that is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the forge's list of refs cannot be read")]
pub struct BadAdvertisement;

/// The same advertisement with fewer capabilities; refs and `.have` lines stay.
///
/// # Errors
/// When it is not `# service=git-receive-pack`, a flush, refs, a flush.
pub fn cut(advertisement: &[u8]) -> Result<Vec<u8>, BadAdvertisement> {
    let lines = pkt::all(advertisement).map_err(|_| BadAdvertisement)?;
    let [Pkt::Data(service), Pkt::Flush, Pkt::Data(first), refs @ .., Pkt::Flush] =
        lines.as_slice()
    else {
        return Err(BadAdvertisement);
    };
    if service.strip_suffix(b"\n").unwrap_or(service) != b"# service=git-receive-pack" {
        return Err(BadAdvertisement);
    }
    let mut out = Vec::with_capacity(advertisement.len());
    pkt::line(&mut out, service);
    pkt::flush(&mut out);
    pkt::line(&mut out, &with_fewer_capabilities(first)?);
    for line in refs {
        let Pkt::Data(line) = line else { return Err(BadAdvertisement) };
        pkt::line(&mut out, line);
    }
    pkt::flush(&mut out);
    Ok(out)
}

/// The first ref carries the capabilities behind a NUL.
fn with_fewer_capabilities(first: &[u8]) -> Result<Vec<u8>, BadAdvertisement> {
    let end = first.iter().position(|byte| *byte == 0).ok_or(BadAdvertisement)?;
    let (name, capabilities) = first.split_at_checked(end + 1).ok_or(BadAdvertisement)?;
    let capabilities = std::str::from_utf8(capabilities).map_err(|_| BadAdvertisement)?;
    let kept: Vec<&str> =
        capabilities.split_ascii_whitespace().filter(|name| is_allowed(name)).collect();
    Ok([name, kept.join(" ").as_bytes(), b"\n"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advertisement(capabilities: &str) -> Vec<u8> {
        let mut out = Vec::new();
        pkt::line(&mut out, b"# service=git-receive-pack\n");
        pkt::flush(&mut out);
        pkt::line(
            &mut out,
            format!("{} refs/heads/main\0{capabilities}\n", "1".repeat(40)).as_bytes(),
        );
        pkt::line(&mut out, format!("{} .have\n", "2".repeat(40)).as_bytes());
        pkt::flush(&mut out);
        out
    }

    // CASES 69
    #[test]
    fn only_known_capabilities_are_offered() {
        let all = "report-status report-status-v2 delete-refs side-band-64k quiet atomic ofs-delta push-options push-cert=x object-format=sha1 agent=git/2.30";
        let kept = "report-status report-status-v2 side-band-64k quiet atomic ofs-delta object-format=sha1 agent=git/2.30";
        assert_eq!(cut(&advertisement(all)).unwrap(), advertisement(kept));
    }

    #[test]
    fn what_is_no_advertisement_is_refused() {
        for bad in [&b""[..], b"0000", b"<html>", b"001e# service=git-upload-pack\n00000000"] {
            assert!(cut(bad).is_err(), "{bad:?}");
        }
        let mut cut_off = advertisement("quiet");
        cut_off.truncate(cut_off.len() - 4);
        assert!(cut(&cut_off).is_err());
    }
}
