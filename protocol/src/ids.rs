//! Names of things, parsed once at the edge; a value of these types cannot be wrong.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, Serializer};

/// Why a text is not one of our names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {why}")]
pub struct BadName {
    /// What was wanted, with its article, e.g. `a branch name`.
    pub what: &'static str,
    /// The text that was given, cut to 80 characters.
    pub text: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

impl BadName {
    fn new(what: &'static str, text: &str, why: &'static str) -> Self {
        Self { what, text: text.chars().take(80).collect(), why }
    }
}

/// Makes a checked text type: `Display`, `FromStr`, `Serialize` and a `Deserialize` that checks.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text as it was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                match $check(text) {
                    Ok(()) => Ok(Self(text.to_owned())),
                    Err(why) => Err(BadName::new($what, text, why)),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                match $check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(why) => Err(BadName::new($what, &text, why)),
                }
            }
        }

        // Lists hold thousands of them: none is copied to be written.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The name of an agent manifest, `agents/<name>.toml`: `[a-z][a-z0-9-]*`, at most 30 characters
    /// (with the slug's ending it stays a valid container name and DNS label).
    AgentName, "an agent name", check_simple_name
}
text_id! {
    /// The name of a bottle profile, `bottles/<name>.toml`; same rule as an agent's.
    ProfileName, "a profile name", check_simple_name
}
text_id! {
    /// Which configured forge a thing belongs to; part of every key, because two forges may hold
    /// the same `owner/repo#n`. Same rule as an agent's name.
    ForgeId, "a forge id", check_simple_name
}
text_id! {
    /// A bottle's name, `<agent>-<5 letters>`, e.g. `implementer-k3v9q`. Also its container's name
    /// and part of its branch.
    Slug, "a slug", check_slug
}
text_id! {
    /// The delivery id that a forge sends with a webhook. Not signed by any forge: a key for
    /// recognising repeats, never a proof.
    DeliveryId, "a delivery id", check_delivery
}
text_id! {
    /// A branch without `refs/heads/`. Stricter than git: only characters that are harmless in a
    /// shell, a URL and a terminal (27 of 42 hostile names that were tried are legal git names).
    BranchName, "a branch name", check_branch
}
text_id! {
    /// The account name of a user or organisation on a forge.
    Login, "an account name", check_path_segment
}
text_id! {
    /// One prompt given to one bottle: `<slug>.<number>`, counted from 1.
    RunId, "a run id", check_run
}
text_id! {
    /// The name of a queue event and, with `.json`, of its file: `<16 hex>-<8 digits>`, being the
    /// sidecar's nonce and a sequence number.
    EventId, "an event id", check_event_id
}

const SLUG_ENDING_LEN: usize = 5;
const NAME_MAX: usize = 30;

fn check_simple_name(text: &str) -> Result<(), &'static str> {
    if text.len() > NAME_MAX {
        return Err("it is longer than 30 characters");
    }
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err("it must begin with a small letter");
    }
    if text.ends_with('-') || !text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        return Err("only small letters, digits and inner dashes are allowed");
    }
    Ok(())
}

fn check_slug(text: &str) -> Result<(), &'static str> {
    let (agent, ending) = text.rsplit_once('-').ok_or("it must be <agent>-<5 letters>")?;
    check_simple_name(agent)?;
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if ending.len() != SLUG_ENDING_LEN || !ending.bytes().all(good) {
        return Err("it must end in five small letters or digits");
    }
    Ok(())
}

fn check_delivery(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 128 {
        return Err("it must have 1 to 128 characters");
    }
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    if text.bytes().all(good) { Ok(()) } else { Err("only letters, digits and -_.: are allowed") }
}

fn check_path_segment(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 100 {
        return Err("it must have 1 to 100 characters");
    }
    if text.starts_with(['-', '.']) {
        return Err("it must not begin with a dash or a dot");
    }
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.bytes().all(good) { Ok(()) } else { Err("only letters, digits and -_. are allowed") }
}

fn check_branch(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 200 {
        return Err("it must have 1 to 200 characters");
    }
    if text == "HEAD" || text.starts_with("refs/") {
        return Err("it must be a plain branch, without refs/");
    }
    for part in text.split('/') {
        if part.is_empty() || part.starts_with(['.', '-']) || part.ends_with('.') {
            return Err("a part is empty, begins with a dot or dash, or ends with a dot");
        }
        if part.contains("..") || part.to_ascii_lowercase().ends_with(".lock") {
            return Err("a part contains .. or ends with .lock");
        }
        let good =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+' | b'=');
        if !part.bytes().all(good) {
            return Err("only letters, digits and -_.+= are allowed");
        }
    }
    Ok(())
}

fn check_run(text: &str) -> Result<(), &'static str> {
    let (slug, number) = text.rsplit_once('.').ok_or("it must be <slug>.<number>")?;
    check_slug(slug)?;
    let plain = !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
    match number.parse::<u32>() {
        Ok(_) if plain => Ok(()),
        _ => Err("it must end in a number from 1"),
    }
}

fn check_event_id(text: &str) -> Result<(), &'static str> {
    let (nonce, sequence) = text.split_once('-').ok_or("it must be <16 hex>-<8 digits>")?;
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if nonce.len() != 16 || !nonce.bytes().all(hex) {
        return Err("it must begin with 16 hexadecimal digits");
    }
    if sequence.len() != 8 || !sequence.bytes().all(|b| b.is_ascii_digit()) {
        return Err("it must end in 8 digits");
    }
    Ok(())
}

impl Slug {
    /// Puts a slug together; `ending` is five characters of chance.
    ///
    /// # Errors
    /// When `ending` is not five small letters or digits.
    pub fn new(agent: &AgentName, ending: &str) -> Result<Self, BadName> {
        format!("{agent}-{ending}").parse()
    }
}

impl RunId {
    /// The `number`th run of a bottle, from 1.
    pub fn new(slug: &Slug, number: std::num::NonZeroU32) -> Self {
        Self(format!("{slug}.{number}"))
    }
}

impl EventId {
    /// The name of the `sequence`th event under a sidecar's nonce.
    pub fn new(nonce: &Nonce, sequence: u32) -> Self {
        Self(format!("{}-{:08}", nonce.as_str(), sequence.min(99_999_999)))
    }
}

text_id! {
    /// What a sidecar makes anew at each `configure`: 16 hexadecimal digits. Another one than
    /// expected means that the sidecar was restarted and has lost its grant.
    Nonce, "a nonce", check_nonce
}

fn check_nonce(text: &str) -> Result<(), &'static str> {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if text.len() == 16 && text.bytes().all(hex) { Ok(()) } else { Err("it must be 16 hex digits") }
}

impl Nonce {
    /// Writes eight bytes of chance as a nonce.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(format!("{:016x}", u64::from_be_bytes(bytes)))
    }
}

/// The number of an issue or a pull request; a repository counts both in one sequence, from 1.
/// Bounded to 2^53 - 1 so that it survives any JSON reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct IssueNumber(u64);

/// Largest integer that every JSON reader keeps (RFC 8259 §6).
const JSON_INTEGER_MAX: u64 = (1 << 53) - 1;

impl IssueNumber {
    /// The plain number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for IssueNumber {
    type Error = BadName;
    fn try_from(number: u64) -> Result<Self, BadName> {
        match number {
            1..=JSON_INTEGER_MAX => Ok(Self(number)),
            _ => {
                Err(BadName::new("an issue number", &number.to_string(), "it must be 1 to 2^53-1"))
            }
        }
    }
}

impl From<IssueNumber> for u64 {
    fn from(number: IssueNumber) -> Self {
        number.0
    }
}

impl FromStr for IssueNumber {
    type Err = BadName;
    /// Reads `17` or `#17`.
    fn from_str(text: &str) -> Result<Self, BadName> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        let bad = || BadName::new("an issue number", text, "write it as 17 or #17");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        digits.parse::<u64>().map_err(|_| bad())?.try_into()
    }
}

impl fmt::Display for IssueNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A repository on a forge, written `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct RepoName {
    owner: Login,
    name: String,
}

impl RepoName {
    /// The account that owns it.
    pub fn owner(&self) -> &Login {
        &self.owner
    }

    /// Its name below the owner, without `.git`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for RepoName {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = |why| BadName::new("a repository", text, why);
        let (owner, name) = text.split_once('/').ok_or_else(|| bad("write it as owner/name"))?;
        check_path_segment(owner).map_err(bad)?;
        check_path_segment(name).map_err(bad)?;
        if name.ends_with(".git") || name.ends_with(".wiki") {
            return Err(bad("the name must not end in .git or .wiki"));
        }
        Ok(Self { owner: Login(owner.to_owned()), name: name.to_owned() })
    }
}

impl TryFrom<String> for RepoName {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl Serialize for RepoName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<RepoName> for String {
    fn from(repo: RepoName) -> Self {
        repo.to_string()
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slugs_carry_agent_and_five_letters() {
        let agent: AgentName = "implementer".parse().unwrap();
        assert_eq!(Slug::new(&agent, "k3v9q").unwrap().as_str(), "implementer-k3v9q");
        for bad in [
            "implementer",
            "implementer-k3v9",
            "Implementer-k3v9q",
            "-k3v9q",
            "a-k3v9q\n",
            "a-K3v9q",
        ] {
            assert!(bad.parse::<Slug>().is_err(), "{bad:?}");
        }
    }

    // CASES 44, 66, 67, 222
    #[test]
    fn hostile_branches_and_repositories_are_refused() {
        for bad in [
            "",
            "refs/heads/x",
            "HEAD",
            "a//b",
            "/a",
            "a/",
            "../a",
            "a/..",
            "a..b",
            ".a",
            "a.",
            "a.lock",
            "a.LOCK/b",
            "-a",
            "a/-b",
            "$(id)",
            "`id`",
            "a;b",
            "a|b",
            "a b",
            "a\0b",
            "a\nb",
            "a\u{202e}b",
            "\u{430}",
            "a*",
            "a?",
            "a[b",
            "a~1",
            "a^",
            "a:b",
            "a@{1}",
            "a\\b",
            "{{x}}",
            "--upload-pack=x",
        ] {
            assert!(bad.parse::<BranchName>().is_err(), "{bad:?}");
        }
        for bad in [
            "a",
            "a/b/c",
            "../b",
            "a/..",
            "a/.",
            "a\\b/c",
            "a/b\0",
            "a/%2e%2e",
            "a/b;c",
            "https://x/y",
            "@evil/x",
            "a/b.git",
            "a/b.wiki",
            "\u{430}/b",
            "a/ b",
            "/b",
            "a/",
            "-a/b",
        ] {
            assert!(bad.parse::<RepoName>().is_err(), "{bad:?}");
        }
    }

    // CASES 20, 226
    #[test]
    fn issue_numbers_are_positive_and_fit_json() {
        assert_eq!("#17".parse::<IssueNumber>().unwrap().get(), 17);
        for bad in [
            "0",
            "-1",
            "7.0",
            "",
            "#",
            "+7",
            "9007199254740992",
            "99999999999999999999",
            "7;rm",
            "##7",
        ] {
            assert!(bad.parse::<IssueNumber>().is_err(), "{bad:?}");
        }
        for bad in ["0", "-1", "\"7\"", "7.0", "9223372036854775808", "null", "[7]"] {
            assert!(serde_json::from_str::<IssueNumber>(bad).is_err(), "{bad:?}");
        }
    }

    // CASES 121
    #[test]
    fn event_ids_are_plain_file_names() {
        let id = EventId::new(&Nonce::from_bytes([1, 2, 3, 4, 5, 6, 7, 8]), 9);
        assert_eq!(id.as_str(), "0102030405060708-00000009");
        for bad in [
            "",
            "..",
            "-rf",
            "0102030405060708-0000000",
            "0102030405060708-00000009\n",
            "../02030405060708-00000009",
        ] {
            assert!(bad.parse::<EventId>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_kept_to_the_letter(text in "\\PC{0,60}") {
            if let Ok(branch) = text.parse::<BranchName>() {
                prop_assert_eq!(branch.as_str(), text.as_str());
                prop_assert!(text.is_ascii() && !text.contains(".."));
            }
            if let Ok(repo) = text.parse::<RepoName>() {
                prop_assert_eq!(repo.to_string(), text);
            }
        }
    }
}
