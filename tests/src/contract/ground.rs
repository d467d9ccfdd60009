//! What the probes stand on: accounts and a repository of their own, which are removed again.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::{
    Finding, Server,
    http::{Broken, Call, Credential, Http, Reply},
    inbox::Inbox,
    tree::{Tree, TreeError},
};

/// The repository's name.
const REPO: &str = "widget";
/// The label that the probes use.
pub(super) const LABEL: &str = "contract:ready";
/// How long removing everything may take, whatever the server does.
const CLEAN_TIMEOUT: Duration = Duration::from_secs(60);

/// The ground could not be laid.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The server was not reached.
    #[error("reach the server")]
    Reach(#[from] Broken),
    /// It was, and refused.
    #[error("{what}: the server says {status}: {said}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The status.
        status: u16,
        /// The answer's beginning.
        said: String,
    },
    /// No webhooks can be received.
    #[error("receive webhooks")]
    Inbox(#[source] std::io::Error),
    /// No folder for work trees.
    #[error("make a temporary folder")]
    Folder(#[source] std::io::Error),
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Owns organisation and repository.
    Owner,
    /// A member who may write.
    Bot,
    /// Nobody special.
    Stranger,
}

#[derive(Debug)]
struct Account {
    login: String,
    token: String,
}

/// Accounts, a repository, a label, a webhook.
///
/// Names are chosen at random and all begin alike; `clean` removes what has them.
#[derive(Debug)]
pub struct Ground {
    http: Http,
    admin_token: String,
    tag: String,
    accounts: Vec<Account>,
    label: u64,
    folder: TempDir,
    tree: OnceCell<Tree>,
    pub(super) inbox: Option<Inbox>,
}

impl Ground {
    /// Chooses names; nothing is asked of the server yet.
    ///
    /// # Errors
    /// `SetupError`.
    pub fn new(server: &Server) -> Result<Self, SetupError> {
        Ok(Self {
            http: Http::new(&server.url)?,
            admin_token: server.admin_token.clone(),
            tag: format!("bb-contract-{}", hex::encode(rand::random::<[u8; 4]>())),
            accounts: Vec::new(),
            label: 0,
            folder: tempfile::tempdir().map_err(SetupError::Folder)?,
            tree: OnceCell::new(),
            inbox: None,
        })
    }

    /// Makes accounts, organisation, repository, label and webhook.
    ///
    /// # Errors
    /// `SetupError`; what is there already is for `clean`.
    pub async fn lay(&mut self, server: &Server) -> Result<(), SetupError> {
        for role in [Role::Owner, Role::Bot, Role::Stranger] {
            self.make_account(role).await?;
        }
        let org = self.org();
        let made = self.api(Role::Owner, "POST", "/orgs", &json!({ "username": org })).await?;
        accept("make an organisation", made, &[201])?;
        self.make_member(&org).await?;
        let new = json!({ "name": REPO, "auto_init": true, "default_branch": "main" });
        let made = self.api(Role::Owner, "POST", "/user/repos", &new).await?;
        accept("make a repository", made, &[201])?;
        let writer = format!("/collaborators/{}", self.login(Role::Bot));
        let grant = json!({ "permission": "write" });
        accept("add a writer", self.repo(Role::Owner, "PUT", &writer, &grant).await?, &[204])?;
        let label = json!({ "name": LABEL, "color": "#00aabb" });
        let made = self.repo(Role::Owner, "POST", "/labels", &label).await?;
        self.label = accept("make a label", made, &[201])?.at("/id").as_u64().unwrap_or_default();
        let Some(host) = &server.hook_host else { return Ok(()) };
        let inbox = Inbox::start(host).await.map_err(SetupError::Inbox)?;
        let hook = json!({
            "type": "gitea",
            "active": true,
            "events": ["issues", "issue_comment", "pull_request", "push", "create", "delete"],
            "config": { "url": inbox.url, "content_type": "json", "secret": inbox.secret },
        });
        accept("make a webhook", self.repo(Role::Owner, "POST", "/hooks", &hook).await?, &[201])?;
        self.inbox = Some(inbox);
        Ok(())
    }

    async fn make_account(&mut self, role: Role) -> Result<(), SetupError> {
        let login = self.login(role);
        let password = hex::encode(rand::random::<[u8; 16]>());
        let new = json!({
            "username": login,
            "email": format!("{login}@example.test"),
            "password": password,
            "must_change_password": false,
        });
        accept("make an account", self.admin("POST", "/admin/users", &new).await?, &[201])?;
        let path = format!("/users/{login}/tokens");
        let wanted = json!({ "name": "contract", "scopes": ["all"] });
        let by = Credential::Password(&login, &password);
        let call = Call { by, method: "POST", path: &path, body: &wanted };
        let given = accept("give an account a token", self.http.call(call).await?, &[201])?;
        let token = given.at("/sha1").as_str().unwrap_or_default().to_owned();
        self.accounts.push(Account { login, token });
        Ok(())
    }

    /// Members are in a team; the owners' is the one that is always there.
    async fn make_member(&self, org: &str) -> Result<(), SetupError> {
        let teams =
            self.api(Role::Owner, "GET", &format!("/orgs/{org}/teams"), &Value::Null).await?;
        let team = accept("list teams", teams, &[200])?.at("/0/id");
        let path = format!("/teams/{team}/members/{}", self.login(Role::Bot));
        let added = self.api(Role::Owner, "PUT", &path, &Value::Null).await?;
        accept("add a member", added, &[204]).map(|_| ())
    }

    /// Removes repository, organisation and accounts; gives what could not be removed.
    pub async fn clean(&self) -> Vec<String> {
        let removed = tokio::time::timeout(CLEAN_TIMEOUT, self.remove_all()).await;
        removed.unwrap_or_else(|_| vec![format!("everything named {}-*", self.tag)])
    }

    async fn remove_all(&self) -> Vec<String> {
        let roles = [Role::Owner, Role::Bot, Role::Stranger].map(|role| self.login(role));
        let moved = |name: &str| format!("/repos/{}/{name}", self.login(Role::Owner));
        let repos = [REPO, "before", "moved", "private", "archived"].map(moved);
        let orgs = [format!("/orgs/{}", self.org())];
        let accounts = roles.map(|login| format!("/admin/users/{login}?purge=true"));
        let mut left = Vec::new();
        for path in repos.into_iter().chain(orgs).chain(accounts) {
            match self.admin("DELETE", &path, &Value::Null).await {
                Ok(reply) if matches!(reply.status, 204 | 301 | 307 | 404) => {}
                Ok(reply) => left.push(format!("{path} ({})", reply.status)),
                Err(error) => left.push(format!("{path} ({error})")),
            }
        }
        left
    }

    /// What of all answers did not fit the description.
    pub(super) fn undescribed(&self) -> BTreeSet<String> {
        self.http.undescribed()
    }

    pub(super) fn login(&self, role: Role) -> String {
        let role = match role {
            Role::Owner => "owner",
            Role::Bot => "bot",
            Role::Stranger => "stranger",
        };
        format!("{}-{role}", self.tag)
    }

    pub(super) fn org(&self) -> String {
        format!("{}-org", self.tag)
    }

    pub(super) fn label(&self) -> u64 {
        self.label
    }

    fn token(&self, role: Role) -> &str {
        let login = self.login(role);
        let account = self.accounts.iter().find(|account| account.login == login);
        account.map(|account| account.token.as_str()).unwrap_or_default()
    }

    /// A call by the site's admin.
    pub(super) async fn admin(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Reply, Broken> {
        let by = Credential::Token(&self.admin_token);
        self.http.call(Call { by, method, path, body }).await
    }

    /// A call with another token, or none.
    pub(super) async fn with_token(
        &self,
        token: Option<&str>,
        path: &str,
    ) -> Result<Reply, Broken> {
        let by = token.map_or(Credential::Nobody, Credential::Token);
        self.http.call(Call { by, method: "GET", path, body: &Value::Null }).await
    }

    /// A call to the API.
    pub(super) async fn api(
        &self,
        role: Role,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Reply, Broken> {
        let by = Credential::Token(self.token(role));
        self.http.call(Call { by, method, path, body }).await
    }

    /// A call about the repository.
    pub(super) async fn repo(
        &self,
        role: Role,
        method: &str,
        rest: &str,
        body: &Value,
    ) -> Result<Reply, Broken> {
        let path = format!("/repos/{}/{REPO}{rest}", self.login(Role::Owner));
        self.api(role, method, &path, body).await
    }

    /// Reads something of the repository as the bot.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn get(&self, rest: &str) -> Result<Reply, Finding> {
        self.repo(Role::Bot, "GET", rest, &Value::Null).await?.expect(200)
    }

    /// Opens an issue as the owner; gives its number.
    ///
    /// # Errors
    /// When it is refused.
    pub(super) async fn issue(&self, title: &str) -> Result<u64, Finding> {
        let new = json!({ "title": title });
        self.repo(Role::Owner, "POST", "/issues", &new).await?.expect(201)?.number("/number")
    }

    /// The one clone of the repository, whose owner may push.
    ///
    /// # Errors
    /// What git said.
    pub(super) async fn tree(&self) -> Result<&Tree, TreeError> {
        let url = format!("{}/{}/{REPO}.git", self.http.url(), self.login(Role::Owner));
        let login = self.login(Role::Bot);
        let clone = || Tree::clone(&self.folder, &url, (&login, self.token(Role::Bot)));
        self.tree.get_or_try_init(clone).await
    }
}

fn accept(what: &'static str, reply: Reply, wanted: &[u16]) -> Result<Reply, SetupError> {
    let status = reply.status;
    reply.expect_one_of(wanted).map_err(|finding| SetupError::Refused {
        what,
        status,
        said: finding.why().to_owned(),
    })
}
