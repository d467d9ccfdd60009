//! Plain git in a bottle: `git clone`, `fetch` and `push` with the forge's own URLs go to the
//! sidecar.

use std::{
    fs::OpenOptions, io, io::Write as _, net::SocketAddr, os::unix::fs::OpenOptionsExt as _,
};

use protocol::agent::Context;

use crate::bottle::init::launch::Place;

/// Writes `$HOME/.gitconfig` unless there is one: what an agent or an image has set up stays.
///
/// # Errors
/// Those of the operating system.
pub fn ensure(place: &Place, context: &Context) -> io::Result<()> {
    let home = &place.environment.home;
    std::fs::create_dir_all(home)?;
    let opened =
        OpenOptions::new().write(true).create_new(true).mode(0o644).open(home.join(".gitconfig"));
    match opened {
        Ok(mut file) => file.write_all(config(context, place.forwarder).as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The text of `.gitconfig`.
fn config(context: &Context, forwarder: SocketAddr) -> String {
    let forge = context.clone_url.trim_end_matches('/').trim_end_matches(".git");
    let sidecar = format!("http://{forwarder}");
    let repository = quoted(&format!("{sidecar}/git/{}.git", context.repo));
    [
        "# Written by bottle at its first run; it stays as you change it.".to_owned(),
        "[user]".to_owned(),
        format!("\tname = {}", quoted(&context.git_name)),
        format!("\temail = {}", quoted(&context.git_email)),
        // Of two that fit, git takes the longer one.
        format!("[url {repository}]"),
        format!("\tinsteadOf = {}", quoted(&format!("{forge}.git"))),
        format!("\tinsteadOf = {}", quoted(forge)),
        format!("[http {}]", quoted(&format!("{sidecar}/"))),
        "\tproxy =".to_owned(),
        "[credential]".to_owned(),
        "\thelper =".to_owned(),
        "[safe]".to_owned(),
        "\tdirectory = *".to_owned(),
        "[init]".to_owned(),
        format!("\tdefaultBranch = {}", quoted(context.base.as_str())),
        "[push]".to_owned(),
        "\tdefault = current".to_owned(),
        "[advice]".to_owned(),
        "\tdetachedHead = false".to_owned(),
        "\timplicitIdentity = false".to_owned(),
        "\tskippedCherryPicks = false".to_owned(),
        String::new(),
    ]
    .join("\n")
}

/// A value or subsection as git reads it back (git-config(1), "Syntax"). Other control characters
/// have no notation there and are left out.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' | '\t' => quoted.push(' '),
            c if c.is_control() => {}
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(clone_url: &str, name: &str) -> Context {
        let value = serde_json::json!({
            "slug": "implementer-k3v9q", "agent": "implementer", "run": null,
            "repo": "alice/widget", "clone_url": clone_url, "issue": 17, "pull_requests": [],
            "base": "main", "branch": "bot-bottle/17/implementer-k3v9q", "git_name": name,
            "git_email": "bot@example.org", "writes_left": { "this_minute": 30, "today": 500 },
        });
        serde_json::from_value(value).unwrap()
    }

    fn written(clone_url: &str, name: &str) -> String {
        config(&context(clone_url, name), ([127, 0, 0, 1], 3128).into())
    }

    #[test]
    fn the_configuration_is_as_recorded() {
        let text = written("https://git.example.org/alice/widget.git", "Widget Bot");
        insta::assert_snapshot!("gitconfig", text);
    }

    #[test]
    fn the_clone_url_may_come_with_or_without_its_ending() {
        let with = written("https://git.example.org/alice/widget.git", "x");
        assert_eq!(with, written("https://git.example.org/alice/widget", "x"));
        assert_eq!(with, written("https://git.example.org/alice/widget/", "x"));
    }

    #[test]
    fn a_name_cannot_write_configuration() {
        let name = "x\"\n[core]\n\tsshCommand = evil\\\u{1b}";
        let text = written("https://git.example.org/alice/widget.git", name);
        assert!(text.contains("\tname = \"x\\\" [core]  sshCommand = evil\\\\\"\n"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("[core]")));
    }
}
