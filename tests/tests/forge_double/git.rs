//! The real git client against the double.

use std::time::Duration;

use e2e::forge_double::{Fault, FaultKind, NewIssue};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::support::{BOT, PATIENCE, REPO, Team, WorkTree, with_credentials};

const ZEROS: &str = "0000000000000000000000000000000000000000";

#[tokio::test]
async fn a_clone_can_push_a_branch_that_the_api_then_shows() {
    let team = Team::start().await;
    let receiver = team.listen().await;
    let tree = team.clone_as(BOT).await;
    assert!(tree.path().join("README.md").exists());
    let base = team.forge.branch_sha(REPO, "main").await.unwrap();
    let sha = tree.commit("hello.txt", b"hello\n", "Greet").await;
    tree.git(&["push", "--quiet", "origin", "HEAD:bot-bottle/implementer/1"]).await;

    let path = format!("/repos/{REPO}/branches/bot-bottle/implementer/1");
    let branch = team.api(BOT, "GET", &path, Value::Null).await.json();
    assert_eq!(branch["commit"]["id"], sha);
    assert_eq!(team.forge.file_at(REPO, &sha, "hello.txt").await.as_deref(), Some("hello\n"));
    let pushes = team.forge.pushes();
    assert_eq!(pushes.len(), 1);
    assert_eq!(pushes[0].user, BOT);
    assert_eq!(pushes[0].updates[0].name, "refs/heads/bot-bottle/implementer/1");
    assert_eq!((pushes[0].updates[0].old.as_str(), &pushes[0].updates[0].new), (ZEROS, &sha));
    assert_eq!(receiver.after(&team.forge).await, ["create/-", "push/-"]);
    let push = receiver.all()[1].json();
    assert_eq!(push["commits"].as_array().unwrap().len(), 1, "only what main lacks");
    assert_ne!(base, sha);
}

#[tokio::test]
async fn a_forced_push_moves_the_open_pull_request() {
    let team = Team::start().await;
    let tree = team.clone_as(BOT).await;
    let old = tree.commit("a.txt", b"one\n", "One").await;
    tree.git(&["push", "--quiet", "origin", "HEAD:topic"]).await;
    let text = NewIssue { title: "A".to_owned(), ..NewIssue::default() };
    let pull = team.forge.create_pull(BOT, REPO, ("topic", "main"), text).await.unwrap();
    let receiver = team.listen().await;

    tree.git(&["reset", "--quiet", "--hard", "HEAD~1"]).await;
    let new = tree.commit("a.txt", b"other\n", "Other").await;
    let said = tree.try_git(&["push", "--quiet", "origin", "HEAD:topic"]).await.unwrap_err();
    assert!(said.contains("rejected"), "{said}");
    tree.git(&["push", "--quiet", "--force", "origin", "HEAD:topic"]).await;

    let path = format!("/repos/{REPO}/pulls/{pull}");
    assert_eq!(team.api(BOT, "GET", &path, Value::Null).await.json()["head"]["sha"], new);
    let update = team.forge.pushes().pop().unwrap().updates.remove(0);
    assert_eq!((update.old, update.new), (old, new));
    assert_eq!(receiver.after(&team.forge).await, ["push/-", "pull_request/synchronized"]);
}

#[tokio::test]
async fn a_push_larger_than_gits_buffer_arrives_whole() {
    let team = Team::start().await;
    let tree = team.clone_as(BOT).await;
    // Random, so that the pack stays above `http.postBuffer` (1 MiB): git then sends it in
    // chunks without a length, after a probe.
    let random: Vec<[u8; 32]> = (0..100_000).map(|_| rand::random()).collect();
    let content = hex::encode(random.concat());
    let sha = tree.commit("big.txt", content.as_bytes(), "Big").await;
    tree.git(&["push", "--quiet", "origin", "HEAD:big"]).await;
    assert!(team.forge.file_at(REPO, &sha, "big.txt").await.unwrap() == content, "content differs");
    let posts = team.forge.requests();
    let posts: Vec<_> = posts.iter().filter(|r| r.path.ends_with("git-receive-pack")).collect();
    assert_eq!(posts[0].body, b"0000", "git probes before a chunked push");
    assert_eq!(posts[1].body.len(), e2e::forge_double::BODY_KEPT_BYTES, "kept in part");
}

#[tokio::test]
async fn many_refs_at_once_and_a_compressed_fetch_work() {
    let team = Team::start().await;
    let tree = team.clone_as(BOT).await;
    let mut args = vec!["push".to_owned(), "--quiet".to_owned(), "origin".to_owned()];
    for number in 0..40 {
        tree.git(&["commit", "--quiet", "--allow-empty", "--message", &number.to_string()]).await;
        let sha = tree.git(&["rev-parse", "HEAD"]).await;
        args.push(format!("{}:refs/heads/b{number}", sha.trim()));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    tree.git(&args).await;
    assert_eq!(team.forge.pushes()[0].updates.len(), 40);
    // 40 wanted commits are more than 1 KiB, from which on git compresses its request.
    let other = team.clone_as("bob").await;
    assert!(other.git(&["branch", "--remotes"]).await.contains("origin/b39"));
    let requests = team.forge.requests();
    let fetches: Vec<_> = requests.iter().filter(|r| r.path.ends_with("upload-pack")).collect();
    assert!(fetches.iter().any(|r| r.body.starts_with(&[0x1f, 0x8b])), "none was compressed");
    assert!(fetches.iter().any(|r| r.body.starts_with(b"0014command=ls-refs")), "no protocol 2");
}

#[tokio::test]
async fn fetching_and_pushing_ask_for_the_right_credentials() {
    let team = Team::start().await;
    let public = team.forge.clone_url(REPO);
    team.forge.create_private_repo("alice", "alice/secret").await.unwrap();
    let private = team.forge.clone_url("alice/secret");
    let as_user =
        |url: &str, user: &str| with_credentials(url, user, &team.forge.token(user).unwrap());

    let tree = WorkTree::clone(&public).await;
    tree.commit("x.txt", b"x\n", "X").await;
    let push = |url: String| {
        let tree = &tree;
        async move { tree.try_git(&["push", &url, "HEAD:refs/heads/x"]).await }
    };
    let refused = push(public.clone()).await.unwrap_err();
    assert!(refused.contains("could not read Username"), "{refused}");
    let refused = push(with_credentials(&public, "alice", "0123456789")).await.unwrap_err();
    assert!(refused.contains("Authentication failed"), "{refused}");
    let refused = push(as_user(&public, "mallory")).await.unwrap_err();
    assert!(refused.contains("403"), "{refused}");
    assert!(team.forge.pushes().is_empty());
    push(as_user(&public, "alice")).await.unwrap();

    let list = |url: String| {
        let tree = &tree;
        async move { tree.try_git(&["ls-remote", &url]).await }
    };
    let refused = list(private.clone()).await.unwrap_err();
    assert!(refused.contains("could not read Username"), "{refused}");
    let refused = list(as_user(&private, "mallory")).await.unwrap_err();
    assert!(refused.contains("not found"), "{refused}");
    assert!(list(as_user(&private, "alice")).await.unwrap().contains("refs/heads/main"));
}

#[tokio::test]
async fn push_options_and_agit_take_effect_and_are_seen() {
    let team = Team::start().await;
    let tree = team.clone_as("alice").await;
    let main = team.forge.branch_sha(REPO, "main").await;
    tree.commit("x.txt", b"x\n", "By AGit").await;
    tree.git(&["push", "--quiet", "-o", "title=mine", "origin", "HEAD:refs/for/main"]).await;
    let pulls = team.api("alice", "GET", &format!("/repos/{REPO}/pulls"), Value::Null).await.json();
    assert_eq!(pulls[0]["title"], "By AGit");
    assert_eq!(pulls[0]["head"]["ref"], "refs/pull/1/head");
    assert_eq!(team.forge.branches(REPO).await.unwrap(), ["main"], "no branch was made");
    assert_eq!(team.forge.branch_sha(REPO, "main").await, main);

    let args = ["push", "--quiet", "-o", "repo.private=true", "origin", "HEAD:refs/heads/y"];
    tree.git(&args).await;
    let options: Vec<_> = team.forge.pushes().into_iter().map(|push| push.options).collect();
    assert_eq!(options, [vec!["title=mine".to_owned()], vec!["repo.private=true".to_owned()]]);
    let seen = team.api("mallory", "GET", &format!("/repos/{REPO}"), Value::Null).await;
    assert_eq!(seen.status, 404, "the option made the repository private");
}

#[tokio::test]
async fn tags_and_deleted_branches_are_told() {
    let team = Team::start().await;
    let tree = team.clone_as(BOT).await;
    tree.commit("x.txt", b"x\n", "X").await;
    tree.git(&["push", "--quiet", "origin", "HEAD:topic"]).await;
    let text = NewIssue { title: "X".to_owned(), ..NewIssue::default() };
    let pull = team.forge.create_pull(BOT, REPO, ("topic", "main"), text).await.unwrap();
    let receiver = team.listen().await;
    tree.git(&["push", "--quiet", "origin", "HEAD:refs/tags/v1"]).await;
    tree.git(&["push", "--quiet", "origin", ":topic"]).await;
    let sent = receiver.after(&team.forge).await;
    assert_eq!(sent, ["create/-", "push/-", "delete/-", "pull_request/closed"]);
    assert_eq!(receiver.all()[0].json()["ref_type"], "tag");
    let path = format!("/repos/{REPO}/pulls/{pull}");
    assert_eq!(team.api(BOT, "GET", &path, Value::Null).await.json()["state"], "closed");
}

#[tokio::test]
async fn conflicts_are_not_merged_and_clean_branches_are() {
    let team = Team::start().await;
    let forge = &team.forge;
    forge.commit_file(BOT, REPO, "a", ("x.txt", "a\n")).await.unwrap();
    forge.commit_file(BOT, REPO, "b", ("x.txt", "b\n")).await.unwrap();
    let mut pulls = Vec::new();
    for branch in ["a", "b"] {
        let text = NewIssue { title: branch.to_owned(), ..NewIssue::default() };
        pulls.push(forge.create_pull(BOT, REPO, (branch, "main"), text).await.unwrap());
    }
    forge.merge("alice", REPO, pulls[0]).await.unwrap();
    let path = format!("/repos/{REPO}/pulls/{}", pulls[1]);
    let shown = team.api(BOT, "GET", &path, Value::Null).await.json();
    assert_eq!(shown["mergeable"], false);
    let merge = json!({ "Do": "merge" });
    let refused = team.api("alice", "POST", &format!("{path}/merge"), merge).await;
    assert_eq!(
        (refused.status, refused.json()["message"].as_str()),
        (405, Some("Please try again later"))
    );
    assert_eq!(forge.file_at(REPO, "main", "x.txt").await.as_deref(), Some("a\n"));
    assert_eq!(
        forge.log(REPO, "main").await[0].message,
        "Merge pull request 'a' (#1) from a into main\n"
    );
}

#[tokio::test]
async fn two_pushes_at_a_time_are_kept_apart() {
    let team = Team::start().await;
    let (one, two) = tokio::join!(team.clone_as(BOT), team.clone_as("alice"));
    let (a, b) = (one.commit("1", b"1", "1").await, two.commit("2", b"2", "2").await);
    tokio::join!(
        one.git(&["push", "--quiet", "origin", "HEAD:one"]),
        two.git(&["push", "--quiet", "origin", "HEAD:two"]),
    );
    let mut pushes = team.forge.pushes();
    pushes.sort_by(|a, b| b.user.cmp(&a.user));
    assert_eq!((pushes[0].user.as_str(), &pushes[0].updates[0].new), (BOT, &a));
    assert_eq!((pushes[1].user.as_str(), &pushes[1].updates[0].new), ("alice", &b));
    assert_eq!((pushes[0].updates.len(), pushes[1].updates.len()), (1, 1));
}

// An error after the effect.
#[tokio::test]
async fn a_push_can_succeed_and_still_look_failed() {
    let team = Team::start().await;
    let tree = team.clone_as(BOT).await;
    let sha = tree.commit("x.txt", b"x\n", "X").await;
    let fault = Fault::new(FaultKind::AfterThenStatus(500)).on_path("/git-receive-pack");
    team.forge.fault(fault);
    let said = tree.try_git(&["push", "origin", "HEAD:x"]).await.unwrap_err();
    assert!(said.contains("500"), "{said}");
    assert_eq!(team.forge.branch_sha(REPO, "x").await, Some(sha));
    assert_eq!(team.forge.pushes().len(), 1);
}

/// Programs whose current folder is in the repository.
fn programs_in(folder: &std::path::Path) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let folders = all.filter_map(|entry| std::fs::read_link(entry.path().join("cwd")).ok());
    folders.filter(|cwd| cwd.starts_with(folder)).count()
}

/// Begins a push and sends only a part of it.
async fn stalled_push(team: &Team) -> TcpStream {
    let mut stream = TcpStream::connect(team.forge.address()).await.unwrap();
    let head = format!(
        "POST /{REPO}.git/git-receive-pack HTTP/1.1\r\nHost: forge\r\n\
         Authorization: token {}\r\nContent-Type: application/x-git-receive-pack-request\r\n\
         Transfer-Encoding: chunked\r\n\r\n4\r\n00a0\r\n",
        team.forge.token(BOT).unwrap()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let folder = team.forge.repository_folder(REPO).unwrap();
    let started = async {
        while programs_in(&folder) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, started).await.unwrap();
    stream
}

async fn assert_no_programs(folder: &std::path::Path) {
    let gone = async {
        while programs_in(folder) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn shutdown_ends_a_stalled_push_and_its_programs() {
    let team = Team::start().await;
    let folder = team.forge.repository_folder(REPO).unwrap();
    let mut stream = stalled_push(&team).await;
    timeout(PATIENCE, team.forge.shutdown()).await.unwrap();
    assert_no_programs(&folder).await;
    assert!(!folder.exists());
    let mut rest = Vec::new();
    // Reset or end; git may have begun to answer, but the answer has no end.
    drop(timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap());
    assert!(!rest.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_git_program_with_it() {
    let team = Team::start().await;
    let folder = team.forge.repository_folder(REPO).unwrap();
    drop(stalled_push(&team).await);
    assert_no_programs(&folder).await;
    assert!(team.forge.pushes().is_empty());
}
