//! What git reads after a push: the report-status, made here for a refusal, or read on its way from
//! the forge. Pure.

use super::{
    commands::CommandList,
    pkt::{self, Pkt},
};

/// Side-band 1 holds the report, 2 what is shown, 3 a fatal error.
const REPORT: u8 = 1;
const FATAL: u8 = 3;

/// A report that refuses each ref with its reason, in the form that the client asked for. A client
/// that asked for no report gets none, and its push is not done either.
pub fn refusal(list: &CommandList, reasons: &[(Vec<u8>, String)]) -> Vec<u8> {
    let asked = |name: &str| list.capabilities.iter().any(|capability| capability == name);
    let mut report = Vec::new();
    if asked("report-status") || asked("report-status-v2") {
        pkt::line(&mut report, b"unpack ok\n");
        for (name, why) in reasons {
            let line = [b"ng ", name.as_slice(), b" ", why.as_bytes(), b"\n"].concat();
            pkt::line(&mut report, &line);
        }
        pkt::flush(&mut report);
    }
    if !asked("side-band-64k") {
        return report;
    }
    let mut wrapped = Vec::new();
    for part in report.chunks(pkt::LINE_MAX - 5) {
        pkt::line(&mut wrapped, &[&[REPORT], part].concat());
    }
    pkt::flush(&mut wrapped);
    wrapped
}

/// How a push ended, by the forge's own report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The ref was updated.
    Done,
    /// It was not; the forge says why.
    Rejected(String),
    /// The report does not say.
    Unknown,
}

/// Reads the forge's answer. `side_band` is whether the client asked for it.
pub fn verdict(answer: &[u8], side_band: bool) -> Verdict {
    if !side_band {
        return read_report(answer);
    }
    let Ok(lines) = pkt::all(answer) else { return Verdict::Unknown };
    let mut report = Vec::new();
    for line in lines {
        let Pkt::Data(data) = line else { continue };
        match data.split_first() {
            Some((&REPORT, part)) => report.extend_from_slice(part),
            Some((&FATAL, why)) => return Verdict::Rejected(text(why)),
            Some(_) | None => {}
        }
    }
    read_report(&report)
}

fn read_report(report: &[u8]) -> Verdict {
    let Ok(lines) = pkt::all(report) else { return Verdict::Unknown };
    let mut done = false;
    for line in lines {
        let Pkt::Data(data) = line else { continue };
        let line = text(data);
        if let Some(why) = line.strip_prefix("unpack ").filter(|why| *why != "ok") {
            return Verdict::Rejected(why.to_owned());
        }
        if let Some(refused) = line.strip_prefix("ng ") {
            let why = refused.split_once(' ').map_or("no reason given", |(_, why)| why);
            return Verdict::Rejected(why.to_owned());
        }
        done |= line.starts_with("ok ");
    }
    if done { Verdict::Done } else { Verdict::Unknown }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(capabilities: &[&str]) -> CommandList {
        let capabilities = capabilities.iter().map(ToString::to_string).collect();
        CommandList { capabilities, ..CommandList::default() }
    }

    #[test]
    fn a_refusal_is_read_back_as_one() {
        let reasons = [(b"refs/heads/main".to_vec(), "not yours".to_owned())];
        let plain = refusal(&list(&["report-status"]), &reasons);
        assert_eq!(plain, b"000eunpack ok\n0021ng refs/heads/main not yours\n0000");
        assert_eq!(verdict(&plain, false), Verdict::Rejected("not yours".to_owned()));
        let banded = refusal(&list(&["report-status-v2", "side-band-64k"]), &reasons);
        assert_eq!(verdict(&banded, true), Verdict::Rejected("not yours".to_owned()));
        assert_eq!(refusal(&list(&[]), &reasons), b"");
    }

    #[test]
    fn the_forges_word_is_read() {
        let mut ok = Vec::new();
        pkt::line(&mut ok, b"unpack ok\n");
        pkt::line(&mut ok, b"ok refs/heads/x\n");
        pkt::flush(&mut ok);
        assert_eq!(verdict(&ok, false), Verdict::Done);
        let mut banded = Vec::new();
        pkt::line(&mut banded, b"\x02remote: hello");
        let (first, second) = ok.split_at(9);
        pkt::line(&mut banded, &[b"\x01", first].concat());
        pkt::line(&mut banded, &[b"\x01", second].concat());
        pkt::flush(&mut banded);
        assert_eq!(verdict(&banded, true), Verdict::Done);
        assert_eq!(
            verdict(b"0013unpack error x\n0000", false),
            Verdict::Rejected("error x".to_owned())
        );
        assert_eq!(verdict(b"0009\x03dead", true), Verdict::Rejected("dead".to_owned()));
        for unknown in [&b""[..], b"garbage", b"0000", b"000eunpack ok\n0000"] {
            assert_eq!(verdict(unknown, false), Verdict::Unknown, "{unknown:?}");
        }
    }
}
