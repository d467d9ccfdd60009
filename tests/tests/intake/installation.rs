//! A forge with people, and a daemon that serves it.

use std::{path::Path, sync::Arc, time::Duration};

use e2e::forge_double::{Access, ForgeDouble, HookTarget, NewIssue, Options};
pub(crate) use e2e::rig::{BOT, Fault, LABEL, REPO};
use forge::gitea::Gitea;
use orchestrator::{
    config::load,
    daemon::{Ports, Running, StateDir, assemble},
    store::Books,
};
use orchestrator_core::{
    bottle::{Bottle, Reason, State},
    event::{Event, News},
};
use protocol::{
    agent::DoneStatus,
    ids::{IssueNumber, RepoName, Slug},
};
use tempfile::TempDir;

use crate::engine::{MemoryEngine, Puppets};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(25);
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The daemon's own account.
pub(crate) const DAEMON: &str = "bottle-daemon";
/// The bot of another agent.
pub(crate) const OTHER_BOT: &str = "Reviewer-Bot";

/// Running things for one test. Dropped in their order: first the daemon.
pub(crate) struct Installation {
    pub(crate) daemon: Running,
    pub(crate) forge: ForgeDouble,
    pub(crate) sidecars: Arc<Puppets>,
    dir: TempDir,
}

impl Installation {
    /// With a webhook, and a poll that does not come in a test's time.
    pub(crate) async fn start() -> Result<Self, Fault> {
        let it = Self::start_polling("1h").await?;
        it.hook().await?;
        Ok(it)
    }

    /// Without a webhook, with a poll every so often.
    pub(crate) async fn start_polling(poll: &str) -> Result<Self, Fault> {
        let forge = ForgeDouble::start(Options::default()).await?;
        people(&forge).await?;
        Self::serve(forge, poll).await
    }

    /// A daemon for a forge that is there already.
    pub(crate) async fn serve(forge: ForgeDouble, poll: &str) -> Result<Self, Fault> {
        let dir = tempfile::tempdir()?;
        let token = forge.token(DAEMON).ok_or("no token")?;
        configure(dir.path(), forge.base_url(), &token, poll)?;
        let sidecars = Arc::<Puppets>::default();
        let daemon = start_daemon(dir.path(), Arc::<Puppets>::clone(&sidecars)).await?;
        Ok(Self { daemon, forge, sidecars, dir })
    }

    /// Stops the daemon, lets something happen, and starts it again. Where it listens is new, so
    /// that the webhook leads nowhere.
    pub(crate) async fn restart_after(
        self,
        meanwhile: impl AsyncFnOnce(&ForgeDouble) -> Result<(), Fault>,
    ) -> Result<Self, Fault> {
        let Self { daemon, forge, sidecars, dir } = self;
        daemon.stop().await;
        meanwhile(&forge).await?;
        let daemon = start_daemon(dir.path(), Arc::<Puppets>::clone(&sidecars)).await?;
        Ok(Self { daemon, forge, sidecars, dir })
    }

    /// Sets up the repository's webhook; gives its id.
    pub(crate) async fn hook(&self) -> Result<u64, Fault> {
        let url = format!("http://{}/hooks/gitea", self.daemon.listen());
        let target = HookTarget::everything(&url, SECRET);
        Ok(self.forge.create_hook("alice", REPO, target).await?)
    }

    /// Opens an issue. Its number.
    pub(crate) async fn issue(&self) -> Result<u64, Fault> {
        let issue = NewIssue { title: "Do it".to_owned(), ..NewIssue::default() };
        Ok(self.forge.create_issue("alice", REPO, &issue).await?)
    }

    /// Opens an issue that asks for work, and waits until its agent works. Its number and bottle.
    pub(crate) async fn working(&self) -> Result<(u64, Slug), Fault> {
        let issue = self.issue().await?;
        self.forge.label("alice", REPO, issue, LABEL).await?;
        self.forge.assign("alice", REPO, issue, BOT).await?;
        let slug = self.wait_for(issue, "running").await?;
        Ok((issue, slug))
    }

    /// Ends the bottle's run well, and waits until it sleeps.
    pub(crate) async fn finish_run(&self, slug: &Slug) -> Result<(), Fault> {
        self.end_run(slug).await?;
        self.until("it sleeps", async || Ok(self.bottle(slug).await?.state.word() == "frozen"))
            .await
    }

    /// Ends the bottle's run well. If something waits for it, it may not sleep for long.
    pub(crate) async fn end_run(&self, slug: &Slug) -> Result<(), Fault> {
        let run = self.bottle(slug).await?.current_run().ok_or("it does not run")?;
        let summary = "done".to_owned();
        for news in [News::Done { status: DoneStatus::Success, summary }, News::Exited { code: 0 }]
        {
            self.tell(slug, Event::News { run, news }).await?;
        }
        Ok(())
    }

    /// Pushes to the bottle's branch and opens its pull request, as its sidecar would. Its number.
    pub(crate) async fn open_pull(&self, slug: &Slug) -> Result<u64, Fault> {
        let branch = self.bottle(slug).await?.home.branch.to_string();
        self.forge.commit_file(BOT, REPO, &branch, ("a.txt", "a\nb\nc\n")).await?;
        let text = NewIssue { title: "Done".to_owned(), ..NewIssue::default() };
        Ok(self.forge.create_pull(BOT, REPO, (&branch, "main"), text).await?)
    }

    /// What its sidecar would tell, believed or not.
    pub(crate) async fn claim(&self, slug: &Slug, number: u64) -> Result<(), Fault> {
        let run = self.bottle(slug).await?.current_run().ok_or("it does not run")?;
        let news = News::PrOpened { number: issue_number(number)? };
        self.tell(slug, Event::News { run, news }).await
    }

    /// What an operator types.
    pub(crate) async fn type_in(&self, slug: &Slug, text: &str) -> Result<(), Fault> {
        let prompts = vec![orchestrator_core::prompt::for_operator(text)];
        self.tell(slug, Event::Wake { prompts, heard: vec![] }).await
    }

    async fn tell(&self, slug: &Slug, event: Event) -> Result<(), Fault> {
        self.daemon.daemon().tell(slug, event).await?;
        Ok(())
    }

    /// The record of a bottle.
    pub(crate) async fn bottle(&self, slug: &Slug) -> Result<Bottle, Fault> {
        let asked = slug.clone();
        let work = move |books: &Books<'_>| books.bottle(&asked);
        let found = self.daemon.daemon().store.write(work).await?;
        Ok(found.ok_or_else(|| format!("no bottle {slug}"))?)
    }

    /// All records, newest first.
    pub(crate) async fn bottles(&self) -> Result<Vec<Bottle>, Fault> {
        let work = |books: &Books<'_>| books.recent_bottles(1000);
        Ok(self.daemon.daemon().store.write(work).await?)
    }

    /// Waits until the newest bottle of an issue has this status. Its name.
    pub(crate) async fn wait_for(&self, issue: u64, status: &str) -> Result<Slug, Fault> {
        let number = Some(issue_number(issue)?);
        let newest = async || -> Result<Option<Bottle>, Fault> {
            Ok(self.bottles().await?.into_iter().find(|bottle| bottle.home.issue == number))
        };
        self.until(&format!("#{issue} is {status}"), async || {
            Ok(newest().await?.is_some_and(|bottle| bottle.state.word() == status))
        })
        .await?;
        Ok(newest().await?.ok_or("it has gone")?.slug)
    }

    /// Waits until a bottle has ended for this reason.
    pub(crate) async fn wait_for_end(&self, slug: &Slug, reason: Reason) -> Result<(), Fault> {
        self.until(&format!("{slug} ends: {}", reason.sentence()), async || {
            let state = self.bottle(slug).await?.state;
            match state {
                State::Destroyed { reason: is, .. } if is == reason => Ok(true),
                State::Destroyed { reason: is, .. } => {
                    Err(format!("it ended otherwise: {}", is.sentence()).into())
                }
                _ => Ok(false),
            }
        })
        .await
    }

    /// Waits until everything that has come in was looked at.
    pub(crate) async fn settled(&self) -> Result<(), Fault> {
        self.forge.deliveries_settled().await;
        self.until("all was looked at", async || {
            let waits = |books: &Books<'_>| Ok(!books.work(jiff::Timestamp::MAX)?.hints.is_empty());
            Ok(!self.daemon.daemon().store.write(waits).await?)
        })
        .await
    }

    /// Waits until a bottle's agent was told these words in a run of their own.
    pub(crate) async fn wait_until_told(&self, slug: &Slug, words: &str) -> Result<String, Fault> {
        let told = || self.sidecars.prompts(slug).into_iter().find(|text| text.contains(words));
        self.until(&format!("{slug} is told {words:?}"), async || Ok(told().is_some())).await?;
        Ok(told().ok_or("it was told")?)
    }

    /// Waits until `condition` holds.
    pub(crate) async fn until(
        &self,
        what: &str,
        condition: impl AsyncFn() -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !condition().await? {
            if tokio::time::Instant::now() > deadline {
                let states: Vec<String> = self
                    .bottles()
                    .await?
                    .iter()
                    .map(|b| format!("{} {} {}", b.slug, b.state.word(), b.detail()))
                    .collect();
                return Err(format!("waited in vain until {what}; {states:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Requests of the daemon's own account whose path ends so.
    pub(crate) fn requests(&self, ending: &str) -> usize {
        let all = self.forge.requests().into_iter();
        all.filter(|r| r.user.as_deref() == Some(DAEMON) && r.path.ends_with(ending)).count()
    }

    /// Ends everything. What the daemon asked must have been requests that the API describes.
    pub(crate) async fn finish(self) -> Result<(), Fault> {
        let Self { daemon, forge, .. } = self;
        daemon.stop().await;
        let odd: Vec<_> =
            forge.requests().into_iter().filter(|request| !request.violations.is_empty()).collect();
        forge.shutdown().await;
        if odd.is_empty() { Ok(()) } else { Err(format!("{odd:#?}").into()) }
    }
}

async fn start_daemon(dir: &Path, sidecars: Arc<Puppets>) -> Result<Running, Fault> {
    let config =
        load(&dir.join("config.toml"), &|_| None).map_err(|mistakes| format!("{mistakes:?}"))?;
    let client = Gitea::new(&config.forge.access, config.forge.token.clone())?;
    let state = StateDir::take(&config).await?;
    let engine = Arc::<MemoryEngine>::default();
    let ports = Ports::new(Arc::new(client), engine, sidecars, "none");
    Ok(Running::start(assemble(config, state, ports).await?).await?)
}

/// A number of the forge as ours.
pub(crate) fn issue_number(number: u64) -> Result<IssueNumber, Fault> {
    IssueNumber::try_from(number).map_err(|error| format!("{error:?}").into())
}

/// The repository as ours.
pub(crate) fn repo() -> Result<RepoName, Fault> {
    REPO.parse().map_err(|error| format!("{error:?}").into())
}

pub(crate) async fn people(forge: &ForgeDouble) -> Result<(), Fault> {
    for login in ["alice", "bob", "mallory", BOT, OTHER_BOT, DAEMON] {
        forge.create_user(login).await?;
    }
    forge.create_org("alice", "bot-bottle").await?;
    for member in [BOT, DAEMON] {
        forge.add_member("alice", "bot-bottle", member).await?;
    }
    forge.create_repo("alice", REPO).await?;
    for writer in [BOT, OTHER_BOT, "bob"] {
        forge.add_collaborator("alice", REPO, writer, Access::Write).await?;
    }
    forge.add_collaborator("alice", REPO, DAEMON, Access::Admin).await?;
    forge.create_label("alice", REPO, LABEL).await?;
    Ok(())
}

fn configure(dir: &Path, url: &str, token: &str, poll: &str) -> Result<(), Fault> {
    let config = format!(
        "data_dir = \"data\"\n[forge]\nurl = \"{url}/\"\norg = \"bot-bottle\"\n\
         repositories = [{REPO:?}]\ntoken_file = \"token\"\nwebhook_secret_files = [\"secret\"]\n\
         [server]\nlisten = \"127.0.0.1:0\"\n[engine]\nprograms = \"programs\"\n\
         [limits]\nslots = 50\npoll = {poll:?}\n"
    );
    let agent = |login: &str| {
        format!(
            "provider = \"command\"\nlogin = {login:?}\ngit_email = \"bot@example.test\"\n\
             token_file = \"../secret\"\nbottles = [\"dev\"]\ncommand = [\"true\"]\n"
        )
    };
    for (name, text) in [
        ("config.toml", config),
        ("token", token.to_owned()),
        ("secret", SECRET.to_owned()),
        ("agents/implementer.toml", agent(BOT)),
        ("agents/reviewer.toml", agent("reviewer-bot")),
        ("bottles/dev.toml", "image = \"none\"\nallow_unpinned = true\n".to_owned()),
        ("programs/bottle", String::new()),
        ("programs/sidecar", String::new()),
    ] {
        private_file(&dir.join(name), &text)?;
    }
    Ok(())
}

fn private_file(path: &Path, text: &str) -> Result<(), Fault> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(path, text)?;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?)
}
