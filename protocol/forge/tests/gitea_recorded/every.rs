//! Every recording is replayed against the client, none is left out: those of calls that we make
//! as they came, answers to others as the answer to our question about the same object, or to one
//! that they do not fit.

use forge::{Forge as _, ForgeError, NewPullRequest, gitea::Gitea};
use protocol::ids::{IssueNumber, RepoName};

use crate::{
    api_description::Description,
    recorded::{Server, all_names, made, recording},
};

const BOT: &str = "implementer-bot";
const REPO: &str = "/api/v1/repos/alice/widget";

/// A call of ours; of comments and descriptions with the text that was recorded.
#[derive(Debug, Clone, Copy)]
enum Call {
    Version,
    Whoami,
    Member(&'static str, &'static str),
    Repository(&'static str),
    /// By a forge that does not tell levels.
    Collaborator(&'static str),
    Issue(u64),
    Pull(u64),
    Comments(u64),
    Post(u64, &'static str),
    Describe(u64, &'static str),
    Open {
        title: &'static str,
        body: &'static str,
        head: &'static str,
    },
    Labelled,
    Opened,
    Reviews(u64),
    Checks,
}

/// How a recording is replayed.
#[derive(Debug, Clone, Copy)]
enum As {
    /// By the account that made it.
    Itself(&'static str, Call),
    /// As the answer to one of our questions, at this path below the repository.
    Answer(&'static str, Call),
}

use As::{Answer, Itself};
use Call::{
    Checks, Collaborator, Comments, Describe, Issue, Labelled, Member, Open, Opened, Post, Pull,
    Repository, Reviews, Version, Whoami,
};

const HEAD: &str = "bot-bottle/implementer/1";
const WORDS: [&str; 3] =
    ["comment 0 — ünïcode ✓", "comment 1 — ünïcode ✓", "comment 2 — ünïcode ✓"];

const ALL: [(&str, As); 65] = [
    ("01-version", Itself(BOT, Version)),
    ("02-user-self", Itself(BOT, Whoami)),
    ("03-org-create", Answer("/issues/1", Issue(1))),
    ("04-org-teams", Answer("/issues/1/comments", Comments(1))),
    ("05-team-add", Answer("/issues/1", Issue(1))),
    ("06-member-yes", Itself(BOT, Member("bot-bottle", BOT))),
    ("07-member-no", Itself(BOT, Member("bot-bottle", "mallory"))),
    ("08-member-no-such-user", Itself(BOT, Member("bot-bottle", "nobody-here"))),
    ("09-member-no-such-org", Itself(BOT, Member("no-such-org", "alice"))),
    ("10-member-as-outsider", Itself("alice", Member("bot-bottle", BOT))),
    ("11-repo-create", Answer("", Repository("widget"))),
    ("12-repo-get", Itself(BOT, Repository("widget"))),
    ("13-repo-missing", Itself(BOT, Repository("nope"))),
    ("14-collab-add", Answer("/issues/1", Issue(1))),
    ("15-collab-perm-yes", Itself("alice", Collaborator(BOT))),
    ("16-collab-no", Itself("alice", Collaborator("mallory"))),
    ("17-label-create", Answer("/issues/1", Issue(1))),
    ("18-label-create-bottle", Answer("/issues/1", Issue(1))),
    ("19-hook-create", Answer("/issues/1", Issue(1))),
    ("20-issue-create", Answer("/issues/1", Issue(1))),
    ("21-issue-label", Answer("/issues/1", Issue(1))),
    ("22-issue-assign", Answer("/issues/1", Issue(1))),
    ("23-issue-get", Itself(BOT, Issue(1))),
    ("24-issue-missing", Itself(BOT, Issue(4040))),
    ("25-issue-comments-empty", Itself(BOT, Comments(1))),
    ("26-comment-0", Itself("alice", Post(1, WORDS[0]))),
    ("27-comment-1", Itself("bob", Post(1, WORDS[1]))),
    ("28-comment-2", Itself(BOT, Post(1, WORDS[2]))),
    ("29-comment-empty", Itself("alice", Post(1, ""))),
    ("30-comment-bad-token", Itself("nobody", Post(1, "x"))),
    ("31-comment-anon", Itself("nobody", Post(1, "x"))),
    ("32-comment-missing-issue", Itself("alice", Post(4040, "x"))),
    ("33-comments", Itself(BOT, Comments(1))),
    ("34-timeline", Answer("/issues/1", Issue(1))),
    ("35-issue-body-forbidden", Itself("mallory", Describe(1, "tampered"))),
    ("36-issue-body", Itself(BOT, Describe(1, "edited by the agent"))),
    ("37-reaction", Answer("/issues/1", Issue(1))),
    ("38-pr-create", Itself(BOT, Open { title: "Add a greeting", body: "Closes #1", head: HEAD })),
    ("39-pr-create-duplicate", Itself(BOT, Open { title: "Again", body: "", head: HEAD })),
    ("40-pr-create-no-branch", Itself(BOT, Open { title: "x", body: "", head: "no-such" })),
    ("41-pr-get", Itself(BOT, Pull(2))),
    ("42-pr-as-issue", Itself(BOT, Issue(2))),
    ("43-pr-missing", Itself(BOT, Pull(1))),
    ("44-pr-list-open", Itself(BOT, Opened)),
    ("45-pr-commits", Answer("/issues/1/comments", Comments(1))),
    ("46-commit-status", Answer("/issues/1", Issue(1))),
    ("47-commit-status-fail", Answer("/issues/1", Issue(1))),
    ("48-combined-status", Itself(BOT, Checks)),
    ("49-pr-comment", Itself("bob", Post(2, "Please say hello world instead."))),
    ("50-pr-review-comment", Answer("/pulls/2/reviews", Reviews(2))),
    ("51-pr-reviews", Itself(BOT, Reviews(2))),
    ("52-pr-approve", Answer("/pulls/2/reviews", Reviews(2))),
    ("53-pr-merge", Answer("/pulls/2", Pull(2))),
    ("54-pr-get-merged", Itself(BOT, Pull(2))),
    ("55-issue2-create-full", Answer("/issues/3", Issue(3))),
    ("56-issue2-unassign", Answer("/issues/3", Issue(3))),
    ("57-issue2-label-clear", Answer("/issues/3", Issue(3))),
    ("58-issue2-close", Answer("/issues/3", Issue(3))),
    ("59-issue2-reopen", Answer("/issues/3", Issue(3))),
    (
        "60-pr2-create",
        Itself(BOT, Open { title: "WIP: b", body: "For #3", head: "bot-bottle/implementer/3" }),
    ),
    ("61-pr2-close", Answer("/issues/4", Issue(4))),
    ("062-comment-server-error", Itself("bob", Post(3, "bulk 42"))),
    ("117-comments-many", Itself(BOT, Comments(3))),
    ("118-comments-limit", Answer("/issues/3/comments", Comments(3))),
    // Recorded with another page length than ours.
    (
        "119-issues-labelled",
        Answer("/issues?state=open&type=issues&labels=bot-bottle:implementer", Labelled),
    ),
];

fn number(number: u64) -> IssueNumber {
    number.try_into().unwrap()
}

impl Call {
    /// Makes it; gives what is seen, in a few words.
    async fn make(self, forge: &Gitea) -> Result<String, ForgeError> {
        let repo: RepoName = "alice/widget".parse().unwrap();
        let said = match self {
            Version => forge.version().await?,
            Whoami => forge.whoami().await?.to_string(),
            Member(org, user) => {
                let is = forge.is_org_member(&org.parse().unwrap(), &user.parse().unwrap()).await?;
                format!("member: {is}")
            }
            Repository(name) => {
                let found = forge.repository(&format!("alice/{name}").parse().unwrap()).await?;
                format!("{} with {}", found.name, found.default_branch)
            }
            Collaborator(user) => {
                format!("{:?}", forge.permission_of(&repo, &user.parse().unwrap()).await?)
            }
            Issue(n) => {
                let issue = forge.read_issue(&repo, number(n)).await?;
                format!(
                    "{:?} #{} {:?} {:?} {:?}",
                    issue.state, issue.number, issue.title, issue.labels, issue.assignees
                )
            }
            Pull(n) => {
                let pull = forge.read_pr(&repo, number(n)).await?;
                format!(
                    "{:?} #{} {} → {}",
                    pull.state, pull.number, pull.head_branch, pull.base_branch
                )
            }
            Comments(n) => {
                format!("{} comments", forge.read_comments(&repo, number(n)).await?.len())
            }
            Post(n, text) => {
                let posted = forge.post_comment(&repo, number(n), text).await?;
                assert_eq!(posted.body, text);
                format!("comment {} by {}", posted.id, posted.author)
            }
            Describe(n, text) => {
                forge.update_description(&repo, number(n), text).await?;
                "described".to_owned()
            }
            Open { title, body, head } => {
                let (head, base) = (head.parse().unwrap(), "main".parse().unwrap());
                let new = NewPullRequest { title: title.into(), body: body.into(), head, base };
                let pull = forge.open_pr(&repo, &new).await?;
                format!("{:?} #{} from {}", pull.state, pull.number, pull.head_branch)
            }
            Labelled => {
                let issues = forge.list_issues(&repo, Some("bot-bottle:implementer")).await?;
                format!("{} issues", issues.len())
            }
            Opened => {
                let found = forge.pr_by_head(&repo, &HEAD.parse().unwrap()).await?.unwrap();
                format!("#{} by {}", found.number, found.author)
            }
            Reviews(n) => {
                let reviews = forge.read_reviews(&repo, number(n)).await?;
                let seen: Vec<_> = reviews.iter().map(|r| (r.verdict, r.comments.len())).collect();
                format!("{seen:?}")
            }
            Checks => format!("{:?}", forge.read_ci(&repo, number(2)).await?.state),
        };
        Ok(said)
    }
}

/// What is asked besides the recording: before it, or after it to find out what it means.
fn others(name: &str) -> Vec<(&'static str, crate::recorded::Recording)> {
    let issue = |number: u64| {
        let path = format!("{REPO}/issues/{number}");
        recording("23-issue-get").asked_for(&path)
    };
    match name {
        "15-collab-perm-yes" | "16-collab-no" => {
            let user = if name.starts_with("15") { BOT } else { "mallory" };
            let path = format!("{REPO}/collaborators/{user}/permission");
            vec![("unknown call", recording("34-timeline").asked_for(&path))]
        }
        "32-comment-missing-issue" => {
            vec![("why", recording("24-issue-missing").asked_by("alice"))]
        }
        "43-pr-missing" => vec![("why", issue(1))],
        "48-combined-status" => vec![("head", recording("41-pr-get"))],
        "51-pr-reviews" => {
            let path = format!("{REPO}/pulls/2/reviews/1/comments");
            vec![("remarks", made("GET", &path, 200, "[]"))]
        }
        "062-comment-server-error" => vec![("why", issue(3))],
        _ => vec![],
    }
}

#[tokio::test]
async fn every_recording_is_replayed_and_has_its_meaning() {
    let named = ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(all_names(), named, "a recording is left out, or is not there");
    let description = Description::load();
    let mut seen = Vec::new();
    for (name, how) in ALL {
        assert_eq!(recording(name).misfits(&description), Vec::<String>::new(), "{name}");
        let (account, exchange, call) = match how {
            Itself(account, call) => (account, recording(name), call),
            Answer(path, call) => (BOT, recording(name).asked_for(&format!("{REPO}{path}")), call),
        };
        let others = others(name).into_iter().map(|(_, exchange)| exchange);
        let server = Server::start(others.chain([exchange])).await;
        let said = match call.make(&server.client(account)).await {
            Ok(said) => said,
            Err(error) => format!("! {error}"),
        };
        server.finish();
        seen.push(format!("{name}: {said}"));
    }
    insta::assert_snapshot!(seen.join("\n"));
}
