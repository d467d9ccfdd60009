//! The forge: its clock, our accounts and their rights, its webhooks.

use std::{net::SocketAddr, time::Duration};

use forge::{
    Forge as _,
    gitea::{Bounds, Gitea, Hook},
};
use jiff::Timestamp;
use protocol::{ids::RepoName, secret::Secret};

use super::{super::failure::chain, finding::Finding};
use crate::{clock, config::Config};

/// For one answer: an operator waits.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// More than this, and the ages and deadlines of two logs cannot be compared.
const SKEW_MAX_S: i64 = 30;
/// Where we take deliveries.
const HOOK_PATH: &str = "/hooks/gitea";
/// What a webhook must tell of, so that nothing waits for the next poll.
const EVENTS: [&str; 5] =
    ["issues", "issue_assign", "issue_label", "issue_comment", "pull_request"];

/// Looks at the configured forge.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let client = match client(config, &config.forge.token) {
        Ok(client) => client,
        Err(finding) => return vec![finding],
    };
    let mut findings = Vec::new();
    match client.version().await {
        Ok(version) => findings.push(Finding::ok(
            "forge",
            format!("{} answers, version {version}", config.forge.access.url),
        )),
        Err(error) => {
            let fix = "check forge.url and forge.ca_file, and whether the forge runs";
            return vec![Finding::fail("forge", chain(&error), fix)];
        }
    }
    match client.time().await {
        Ok(Some(theirs)) => findings.push(skew(theirs, clock::now())),
        Ok(None) | Err(_) => {
            findings.push(Finding::skip("clock", "the forge does not tell its time"));
        }
    }
    match client.whoami().await {
        Ok(login) => {
            findings.push(Finding::ok("forge", format!("the daemon's account is {login}")));
        }
        Err(error) => {
            let fix = "make a new token with the scopes read:user, read:organization, read:repository \
                       and read:issue, and put it into forge.token_file";
            findings.push(Finding::fail("forge", chain(&error), fix));
            return findings;
        }
    }
    for repo in &config.forge.repos {
        findings.extend(repository(config, &client, repo).await);
    }
    findings.extend(agents(config, &client).await);
    findings
}

fn client(config: &Config, token: &Secret) -> Result<Gitea, Finding> {
    let bounds = Bounds { call_timeout: CALL_TIMEOUT, tries: 1, ..Bounds::default() };
    Gitea::with_bounds(&config.forge.access, token.clone(), bounds)
        .map_err(|error| Finding::fail("forge", chain(&error), "check forge.url and forge.ca_file"))
}

fn skew(theirs: Timestamp, ours: Timestamp) -> Finding {
    let seconds = ours.duration_since(theirs).as_secs();
    if seconds.abs() > SKEW_MAX_S {
        let what = format!("the forge's clock and this host's differ by {} s", seconds.abs());
        return Finding::warn("clock", what, "timedatectl set-ntp true, on both");
    }
    Finding::ok("clock", "this host and the forge agree")
}

async fn repository(config: &Config, client: &Gitea, repo: &RepoName) -> Vec<Finding> {
    let found = match client.repository(repo).await {
        Ok(found) => found,
        Err(error) => {
            let fix = "check forge.repositories, and let the daemon's account read it";
            return vec![Finding::fail("repository", chain(&error), fix)];
        }
    };
    let mut findings = Vec::new();
    if found.archived {
        findings.push(Finding::warn(
            "repository",
            format!("{repo} is archived"),
            "take it off forge.repositories",
        ));
    }
    let prefix = config.branch_prefix.as_str();
    if prefix == found.default_branch || prefix.starts_with(&format!("{}/", found.default_branch)) {
        let what = format!(
            "{repo} has a branch {:?}, so that none can begin with {prefix:?}",
            found.default_branch
        );
        findings.push(Finding::fail("repository", what, "choose another forge.branch_prefix"));
    }
    match client.rights(repo).await {
        Ok(rights) if rights.admin => {
            findings.push(Finding::ok(
                "repository",
                format!("the daemon's account administers {repo}"),
            ));
        }
        Ok(_) => findings.push(Finding::fail(
            "repository",
            format!("the daemon's account does not administer {repo}"),
            "make it an administrator: Gitea tells who may write to nobody else",
        )),
        Err(error) => {
            findings.push(Finding::fail("repository", chain(&error), "see the token's scopes"));
        }
    }
    match client.hooks(repo).await {
        Ok(hooks) => findings.extend(webhooks(repo, &hooks, config.listen)),
        Err(error) => findings.push(Finding::skip("webhook", chain(&error))),
    }
    findings
}

/// Whether one of a repository's webhooks reaches us, as far as can be told from here.
fn webhooks(repo: &RepoName, hooks: &[Hook], listen: SocketAddr) -> Vec<Finding> {
    let is_ours =
        |hook: &&Hook| hook.url.as_ref().is_some_and(|url| url.path().ends_with(HOOK_PATH));
    let Some(hook) = hooks.iter().filter(is_ours).max_by_key(|hook| hook.active) else {
        return vec![Finding::fail(
            "webhook",
            format!("{repo} has no webhook to {HOOK_PATH}; changes wait for the next poll"),
            &format!(
                "add one: http://<this host>:{}{HOOK_PATH}, JSON, with the secret of webhook_secret_files",
                listen.port()
            ),
        )];
    };
    let number = hook.id;
    let mut findings = Vec::new();
    if !hook.active {
        findings.push(Finding::fail(
            "webhook",
            format!("webhook {number} of {repo} is switched off"),
            "switch it on",
        ));
    }
    if hook.content_type != "json" {
        let what = format!("webhook {number} of {repo} sends {:?}", hook.content_type);
        findings.push(Finding::fail("webhook", what, "set its content type to application/json"));
    }
    let missing: Vec<&str> =
        EVENTS.into_iter().filter(|event| !hook.events.iter().any(|told| told == event)).collect();
    if !missing.is_empty() {
        let what = format!("webhook {number} of {repo} does not tell of {}", missing.join(", "));
        findings.push(Finding::warn("webhook", what, "let it send all events"));
    }
    findings.extend(address(repo, hook, listen));
    if findings.is_empty() {
        findings.push(Finding::ok("webhook", format!("webhook {number} of {repo} is set up")));
    }
    findings
}

/// Whether the address leads to us. What a proxy makes of it is not known here.
fn address(repo: &RepoName, hook: &Hook, listen: SocketAddr) -> Option<Finding> {
    let url = hook.url.as_ref()?;
    let what = |why: &str| format!("webhook {} of {repo} goes to {url}; {why}", hook.id);
    let near = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let port = url.port_or_known_default();
    if port != Some(listen.port()) && near {
        let why = format!("the daemon listens at {listen}");
        return Some(Finding::fail("webhook", what(&why), "correct its port, or server.listen"));
    }
    if port == Some(listen.port()) && listen.ip().is_loopback() && !near {
        let why = format!("the daemon listens at {listen}, which no other host reaches");
        return Some(Finding::fail(
            "webhook",
            what(&why),
            "set server.listen to 0.0.0.0, or use a proxy",
        ));
    }
    if port != Some(listen.port()) {
        let why = format!("the daemon listens at {listen}: is there a proxy between?");
        return Some(Finding::warn("webhook", what(&why), "if not, correct its port"));
    }
    None
}

async fn agents(config: &Config, daemon: &Gitea) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, agent) in &config.agents {
        let login = &agent.identity.login;
        let told = match client(config, &agent.token) {
            Ok(client) => client.whoami().await,
            Err(finding) => {
                findings.push(finding);
                continue;
            }
        };
        findings.push(match told {
            Ok(told) if told == *login => Finding::ok("agent", format!("{name} is {login}")),
            Ok(told) => Finding::fail(
                "agent",
                format!("the token of {name} is of the account {told}, its manifest says {login}"),
                &format!("correct login or token_file in agents/{name}.toml"),
            ),
            Err(error) => Finding::fail(
                "agent",
                format!("{name}: {}", chain(&error)),
                "make a new token for it",
            ),
        });
        findings.push(match daemon.is_org_member(&config.forge.org, login).await {
            Ok(true) => {
                Finding::ok("agent", format!("{login} is a member of {}", config.forge.org))
            }
            Ok(false) => Finding::fail(
                "agent",
                format!(
                    "{login} is no member of {}: assigning it starts nothing",
                    config.forge.org
                ),
                "add it, in a team whose members the daemon's account may see",
            ),
            Err(error) => Finding::fail(
                "agent",
                chain(&error),
                "let the daemon's account see the organisation",
            ),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Grade, *};

    fn hook(url: &str) -> Hook {
        Hook {
            id: 1,
            active: true,
            url: Some(url.parse().unwrap()),
            events: EVENTS.map(str::to_owned).to_vec(),
            content_type: "json".to_owned(),
        }
    }

    fn grade(hooks: &[Hook], listen: &str) -> Grade {
        let findings = webhooks(&"a/b".parse().unwrap(), hooks, listen.parse().unwrap());
        let all = findings.iter().map(|finding| finding.grade);
        all.max_by_key(|grade| *grade as u8).unwrap()
    }

    #[test]
    fn a_webhook_that_cannot_reach_us_is_told() {
        let near = "http://127.0.0.1:8700/hooks/gitea";
        let listen = "127.0.0.1:8700";
        assert_eq!(grade(&[hook(near)], listen), Grade::Ok);
        assert_eq!(grade(&[hook("https://bots.example.org/hooks/gitea")], listen), Grade::Warn);
        for (hooks, listen) in [
            (vec![], listen),
            (vec![hook("http://127.0.0.1:8700/other")], listen),
            (vec![Hook { active: false, ..hook(near) }], listen),
            (vec![Hook { content_type: "form".to_owned(), ..hook(near) }], listen),
            (vec![hook(near)], "127.0.0.1:8701"),
            (vec![hook("http://bots.example.org:8700/hooks/gitea")], listen),
        ] {
            assert_eq!(grade(&hooks, listen), Grade::Fail, "{hooks:?}");
        }
        assert_eq!(grade(&[Hook { events: vec![], ..hook(near) }], listen), Grade::Warn);
    }

    #[test]
    fn clocks_that_differ_are_told() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(skew(at(1000), at(1030)).grade, Grade::Ok);
        assert_eq!(skew(at(1000), at(1031)).grade, Grade::Warn);
        assert_eq!(skew(at(1031), at(1000)).grade, Grade::Warn);
    }
}
