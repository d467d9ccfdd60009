//! The command list in front of a push: what it says, and whether it may go on. Pure.

use protocol::ids::BranchName;

/// Capabilities that may be offered and asked for. What is missing is missing on purpose:
/// `push-options` (they can make a repository public), `push-cert`, `delete-refs`, `shallow`.
const CAPABILITIES: [&str; 7] = [
    "report-status",
    "report-status-v2",
    "side-band-64k",
    "quiet",
    "atomic",
    "ofs-delta",
    "object-format=sha1",
];

/// Whether a capability is on the list; `agent=` says which git it is.
pub fn is_allowed(capability: &str) -> bool {
    CAPABILITIES.contains(&capability) || capability.starts_with("agent=")
}

/// A list as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandList {
    /// The updates, in order.
    pub commands: Vec<Command>,
    /// What the client asks for.
    pub capabilities: Vec<String>,
    /// It comes from a clone with a cut history.
    pub shallow: bool,
    /// It is signed.
    pub signed: bool,
}

/// One update of a ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// 40 hexadecimal digits: what the client thinks is there; zeros for nothing.
    pub old: String,
    /// What is to be there; zeros for nothing.
    pub new: String,
    /// The whole name, e.g. `refs/heads/main`.
    pub name: Vec<u8>,
}

impl Command {
    /// The name for people.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// A list that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not `<old> <new> <ref>`.
    #[error("a line of the push is not <old> <new> <ref>")]
    Line,
    /// Not UTF-8.
    #[error("the capabilities of the push are not text")]
    Capabilities,
}

/// Why a list may not go on, per ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Each ref of the list with its reason, in order.
    pub reasons: Vec<(Vec<u8>, String)>,
    /// The ref that the refusal is about.
    pub about: String,
    /// It is a ref that is not this bottle's.
    pub foreign: bool,
}

/// Reads the lines in front of the flush.
///
/// # Errors
/// When one is not what the format says.
pub fn parse(lines: &[Vec<u8>]) -> Result<CommandList, Malformed> {
    let mut list = CommandList::default();
    for line in lines {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut parts = line.splitn(2, |byte| *byte == 0);
        let (line, capabilities) = (parts.next().unwrap_or_default(), parts.next());
        if let Some(capabilities) = capabilities {
            let text = std::str::from_utf8(capabilities).map_err(|_| Malformed::Capabilities)?;
            list.capabilities.extend(text.split_ascii_whitespace().map(str::to_owned));
        }
        if line.starts_with(b"shallow ") {
            list.shallow = true;
        } else if line.starts_with(b"push-cert") {
            // The rest is the signed text, which is of no interest.
            list.signed = true;
            return Ok(list);
        } else {
            list.commands.push(command(line).ok_or(Malformed::Line)?);
        }
    }
    Ok(list)
}

fn command(line: &[u8]) -> Option<Command> {
    let (old, rest) = line.split_at_checked(40)?;
    let (new, name) = rest.strip_prefix(b" ")?.split_at_checked(40)?;
    let name = name.strip_prefix(b" ")?;
    if name.is_empty() {
        return None;
    }
    Some(Command { old: object_id(old)?, new: object_id(new)?, name: name.to_vec() })
}

fn object_id(digits: &[u8]) -> Option<String> {
    let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digits.iter().all(hex).then(|| String::from_utf8_lossy(digits).into_owned())
}

/// Lets through exactly one update of the bottle's branch, byte for byte (CASES 66-70).
///
/// # Errors
/// A reason for each ref of the list: one wrong ref refuses all.
pub fn check<'l>(list: &'l CommandList, branch: &BranchName) -> Result<&'l Command, Refusal> {
    let own = format!("refs/heads/{branch}");
    let foreign = list.commands.iter().find(|command| command.name != own.as_bytes());
    if let Some(foreign) = foreign {
        return Err(refuse_foreign(list, foreign, &own, branch));
    }
    let whole = |why: String| {
        let reasons = list.commands.iter().map(|command| (command.name.clone(), why.clone()));
        Err(Refusal { reasons: reasons.collect(), about: own.clone(), foreign: false })
    };
    if list.signed {
        return whole("signed pushes are not allowed".to_owned());
    }
    if let Some(other) = list.capabilities.iter().find(|capability| !is_allowed(capability)) {
        return whole(format!("the capability {} is not allowed", crate::oplog::foreign(other)));
    }
    if list.shallow {
        return whole("the clone is shallow, run git fetch --unshallow first".to_owned());
    }
    match list.commands.as_slice() {
        [one] if one.new.bytes().all(|digit| digit == b'0') => {
            whole("deleting the branch is not allowed".to_owned())
        }
        [one] => Ok(one),
        _ => whole("one update at a time".to_owned()),
    }
}

fn refuse_foreign(
    list: &CommandList,
    foreign: &Command,
    own: &str,
    branch: &BranchName,
) -> Refusal {
    let reason = |command: &Command| {
        let why = if command.name == own.as_bytes() {
            "refused with the others, push it alone".to_owned()
        } else {
            format!("not this bottle's branch, allowed is {branch}")
        };
        (command.name.clone(), why)
    };
    let reasons = list.commands.iter().map(reason).collect();
    Refusal { reasons, about: foreign.shown(), foreign: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: &str = "refs/heads/bot-bottle/17/implementer-k3v9q";

    fn branch() -> BranchName {
        "bot-bottle/17/implementer-k3v9q".parse().unwrap()
    }

    fn line(new: &str, name: &str, capabilities: &str) -> Vec<u8> {
        format!("{} {new} {name}\0{capabilities}", "1".repeat(40)).into_bytes()
    }

    fn verdict(lines: &[Vec<u8>]) -> Result<String, Vec<String>> {
        let list = parse(lines).unwrap();
        check(&list, &branch())
            .map(Command::shown)
            .map_err(|refusal| refusal.reasons.into_iter().map(|(_, why)| why).collect())
    }

    #[test]
    fn the_own_branch_goes_on() {
        let new = "a".repeat(40);
        let usual = " report-status-v2 side-band-64k object-format=sha1 agent=git/2.39.5";
        assert_eq!(verdict(&[line(&new, OWN, usual)]), Ok(OWN.to_owned()));
        assert_eq!(
            verdict(&[line(&new, &format!("{OWN}\n"), "")]),
            Err(vec![
                "not this bottle's branch, allowed is bot-bottle/17/implementer-k3v9q".to_owned()
            ])
        );
    }

    // CASES 66, 67, 68
    #[test]
    fn every_other_ref_is_refused() {
        let new = "a".repeat(40);
        for name in [
            "refs/heads/main",
            "HEAD",
            "refs/heads/bot-bottle/17/implementer-k3v9",
            "refs/heads/bot-bottle/17/implementer-k3v9qx",
            "refs/heads/bot-bottle/17/implementer-k3v9q/x",
            "refs/heads/bot-bottle/170/x",
            "refs/heads/BOT-BOTTLE/17/implementer-k3v9q",
            "refs/heads/bot-bottle/17/implementer-k3v9q ",
            "refs/tags/bot-bottle/17/implementer-k3v9q",
            "refs/for/main",
            "refs/pull/1/head",
            "refs/notes/x",
            "refs/replace/x",
            "refs/meta/config",
            "refs/heads/../heads/main",
            "bot-bottle/17/implementer-k3v9q",
            "refs/heads/b\u{43e}t-bottle/17/implementer-k3v9q",
        ] {
            let reasons = verdict(&[line(&new, name, "")]).unwrap_err();
            assert!(reasons[0].starts_with("not this bottle's branch"), "{name}: {reasons:?}");
        }
    }

    // CASES 68, 69, 70
    #[test]
    fn deleting_options_signatures_and_company_are_refused() {
        let (new, zero) = ("a".repeat(40), "0".repeat(40));
        let refused = |lines: &[Vec<u8>]| verdict(lines).unwrap_err().join(" / ");
        assert!(refused(&[line(&zero, OWN, "")]).contains("deleting"));
        assert!(refused(&[line(&new, OWN, "push-options")]).contains("push-options"));
        assert!(refused(&[line(&new, OWN, "object-format=sha256")]).contains("sha256"));
        assert!(
            refused(&[line(&new, OWN, ""), line(&new, OWN, "")]).contains("one update at a time")
        );
        let two = refused(&[line(&new, OWN, ""), line(&new, "refs/heads/main", "")]);
        assert!(two.contains("push it alone / not this bottle's branch"), "{two}");
        let shallow = [format!("shallow {new}").into_bytes(), line(&new, OWN, "")];
        assert!(refused(&shallow).contains("--unshallow"));
        let signed = parse(&[b"push-cert\0report-status".to_vec(), b"whatever".to_vec()]).unwrap();
        assert!(signed.signed && check(&signed, &branch()).is_err());
        assert!(check(&CommandList::default(), &branch()).is_err());
    }

    #[test]
    fn lines_that_are_no_commands_are_malformed() {
        let a = "a".repeat(40);
        for bad in [
            String::new(),
            a.clone(),
            format!("{a} {a}"),
            format!("{a} {a} "),
            format!("{} {a} refs/x", "A".repeat(40)),
            format!("{a}  {a} refs/x"),
        ] {
            assert_eq!(parse(&[bad.clone().into_bytes()]), Err(Malformed::Line), "{bad}");
        }
        assert_eq!(parse(&[b"\0\xff".to_vec()]), Err(Malformed::Capabilities));
    }

    proptest! {
        #[test]
        fn only_the_own_ref_ever_goes_on(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 0..4), name in "refs/heads/[a-z0-9/-]{0,40}") {
            let list = parse(&lines).unwrap_or_default();
            if let Ok(command) = check(&list, &branch()) {
                prop_assert_eq!(&command.name, OWN.as_bytes());
            }
            let list = parse(&[line(&"a".repeat(40), &name, "")]).unwrap();
            prop_assert_eq!(check(&list, &branch()).is_ok(), name == OWN);
        }
    }
}
