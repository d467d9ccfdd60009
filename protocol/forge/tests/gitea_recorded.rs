//! Each method of the Gitea client against the recordings of a real Gitea 1.15.11, and against
//! what other versions are known to answer.

// The forge double's; shared as a file, because the package of the double is a large one.
#[cfg(test)]
#[path = "../../../tests/src/api_description.rs"]
pub mod api_description;
#[cfg(test)]
#[path = "support/client.rs"]
mod client;
#[cfg(test)]
#[path = "gitea_recorded/every.rs"]
mod every;
#[cfg(test)]
#[path = "gitea_recorded/flavours.rs"]
mod flavours;
#[cfg(test)]
#[path = "support/recorded.rs"]
mod recorded;

#[cfg(test)]
mod tests {
    use forge::{Forge as _, ForgeError, NewPullRequest};
    use protocol::{
        ids::{BranchName, IssueNumber, Login, RepoName},
        item::{CheckState, IssueState, Permission, PullState, Verdict},
    };
    use serde_json::{Value, json};

    use super::recorded::{Server, made, recording};

    const BOT: &str = "implementer-bot";
    const HEAD: &str = "bot-bottle/implementer/1";
    const PULLS: &str = "/api/v1/repos/alice/widget/pulls";

    fn repo() -> RepoName {
        "alice/widget".parse().unwrap()
    }

    fn number(number: u64) -> IssueNumber {
        number.try_into().unwrap()
    }

    fn login(name: &str) -> Login {
        name.parse().unwrap()
    }

    fn pr(title: &str, body: &str, head: &str) -> NewPullRequest {
        let branch = |name: &str| name.parse::<BranchName>().unwrap();
        NewPullRequest {
            title: title.into(),
            body: body.into(),
            head: branch(head),
            base: branch("main"),
        }
    }

    // CASES 198
    #[tokio::test]
    async fn the_account_is_told() {
        let server = Server::replay(&["02-user-self"]).await;
        assert_eq!(server.client(BOT).whoami().await.unwrap(), login(BOT));
        server.finish();
    }

    #[tokio::test]
    async fn a_repository_is_read_or_gone() {
        let server = Server::replay(&["12-repo-get", "13-repo-missing"]).await;
        let forge = server.client(BOT);
        let found = forge.repository(&repo()).await.unwrap();
        assert_eq!(
            (found.name, found.default_branch.as_str(), found.archived),
            (repo(), "main", false)
        );
        let missing = forge.repository(&"alice/nope".parse().unwrap()).await;
        assert!(matches!(missing, Err(ForgeError::Gone { .. })), "{missing:?}");
        server.finish();
    }

    // CASES 29
    #[tokio::test]
    async fn a_renamed_repository_is_not_followed() {
        let moved = made("GET", "/api/v1/repos/alice/widget", 301, "")
            .header("Location", "/api/v1/repos/x/y");
        let renamed = recording("12-repo-get").with("/full_name", json!("alice/gadget"));
        let server = Server::start([moved, renamed]).await;
        let forge = server.client(BOT);
        let redirected = forge.repository(&repo()).await.unwrap_err();
        assert!(matches!(redirected, ForgeError::BadAnswer { .. }), "{redirected:?}");
        assert!(redirected.to_string().contains("was renamed"), "{redirected}");
        let gone = forge.repository(&repo()).await.unwrap_err();
        assert!(matches!(gone, ForgeError::Gone { .. }), "{gone:?}");
        assert!(gone.to_string().contains("alice/gadget"), "{gone}");
        server.finish();
    }

    #[tokio::test]
    async fn an_issue_is_read() {
        let server = Server::start([
            recording("23-issue-get").with("/title", json!("Ünï\u{202e}\u{1b}[31m")),
            recording("24-issue-missing"),
        ])
        .await;
        let forge = server.client(BOT);
        let issue = forge.read_issue(&repo(), number(1)).await.unwrap();
        // Kept as it is: what is shown is escaped where it is shown (CASES 21).
        assert_eq!(issue.title, "Ünï\u{202e}\u{1b}[31m");
        assert_eq!(issue.labels, ["bot-bottle-bottle:dev", "bot-bottle:implementer"]);
        assert_eq!(issue.assignees, [login(BOT)]);
        assert_eq!((issue.author, issue.state), (login("alice"), IssueState::Open));
        assert_eq!(issue.created_at.to_string(), "2026-11-20T18:25:13Z");
        let missing = forge.read_issue(&repo(), number(4040)).await;
        assert!(matches!(missing, Err(ForgeError::Gone { .. })), "{missing:?}");
        server.finish();
    }

    #[tokio::test]
    async fn issues_and_pull_requests_are_not_mixed_up() {
        let server = Server::replay(&["42-pr-as-issue", "43-pr-missing", "23-issue-get"]).await;
        let forge = server.client(BOT);
        let issue = forge.read_issue(&repo(), number(2)).await.unwrap_err();
        assert_eq!(issue.to_string(), "#2 is a pull request, not an issue");
        let pull = forge.read_pr(&repo(), number(1)).await.unwrap_err();
        assert_eq!(pull.to_string(), "#1 is an issue, not a pull request");
        server.finish();
    }

    #[tokio::test]
    async fn a_pull_request_is_read_open_and_merged() {
        let server = Server::replay(&["41-pr-get", "54-pr-get-merged"]).await;
        let forge = server.client(BOT);
        let open = forge.read_pr(&repo(), number(2)).await.unwrap();
        assert_eq!((open.state, open.mergeable), (PullState::Open, Some(true)));
        assert_eq!((open.head_branch.as_str(), open.base_branch.as_str()), (HEAD, "main"));
        assert_eq!(open.head_repo.as_deref(), Some("alice/widget"));
        assert_eq!(open.head_sha, "884f62001e929d9b0c14c66898e1b950ef7e913c");
        let merged = forge.read_pr(&repo(), number(2)).await.unwrap();
        assert_eq!(merged.state, PullState::Merged);
        server.finish();
    }

    #[tokio::test]
    async fn the_name_of_a_deleted_head_branch_is_known() {
        let deleted = recording("41-pr-get").with("/head/ref", json!("refs/pull/2/head"));
        let server = Server::start([deleted]).await;
        assert_eq!(server.client(BOT).read_pr(&repo(), number(2)).await.unwrap().head_branch, HEAD);
        server.finish();
    }

    #[tokio::test]
    async fn comments_come_whole_and_in_order() {
        let server =
            Server::replay(&["25-issue-comments-empty", "33-comments", "117-comments-many"]).await;
        let forge = server.client(BOT);
        assert_eq!(forge.read_comments(&repo(), number(1)).await.unwrap(), []);
        let three = forge.read_comments(&repo(), number(1)).await.unwrap();
        let seen: Vec<_> =
            three.iter().map(|c| (c.id, c.author.as_str(), c.body.as_str())).collect();
        assert_eq!(
            seen,
            [
                (4, "alice", "comment 0 — ünïcode ✓"),
                (5, "bob", "comment 1 — ünïcode ✓"),
                (6, BOT, "comment 2 — ünïcode ✓"),
            ]
        );
        // Gitea knows no pages here: asking for a second one would bring the first again.
        let many = forge.read_comments(&repo(), number(3)).await.unwrap();
        assert_eq!(many.len(), recording("117-comments-many").json().as_array().unwrap().len());
        assert!(many.len() > 40 && many.is_sorted_by_key(|c| (c.created_at, c.id)));
        server.finish();
    }

    #[tokio::test]
    async fn one_comment_is_read_or_gone() {
        let path = |id: u64| format!("/api/v1/repos/alice/widget/issues/comments/{id}");
        let comment = recording("27-comment-1").json();
        let server = Server::start([
            made("GET", &path(5), 200, comment),
            made("GET", &path(6), 204, ""),
            made("GET", &path(7), 404, "{}"),
        ])
        .await;
        let forge = server.client(BOT);
        assert_eq!(forge.read_comment(&repo(), 5).await.unwrap().author, login("bob"));
        for gone in [6, 7] {
            let result = forge.read_comment(&repo(), gone).await;
            assert!(matches!(result, Err(ForgeError::Gone { .. })), "{result:?}");
        }
        server.finish();
    }

    #[tokio::test]
    async fn reviews_come_with_their_remarks() {
        let user = json!({"login": "alice"});
        let remarks = json!([
            {"id": 1, "user": user, "path": "hello.txt", "position": 1, "original_position": 0, "body": "hello world please"},
            {"id": 2, "user": null, "path": "old.txt", "position": 0, "original_position": 9, "body": null},
        ]);
        let mut listed = recording("51-pr-reviews").json();
        let list = listed.as_array_mut().unwrap();
        list.push(
            json!({"id": 2, "user": user, "state": "APPROVED", "body": "Good", "comments_count": 0,
            "commit_id": "4049", "submitted_at": "2026-11-20T18:25:16Z"}),
        );
        for (id, state) in [(3, "PENDING"), (4, "REQUEST_REVIEW")] {
            list.push(json!({"id": id, "user": user, "state": state, "comments_count": 1}));
        }
        list.push(json!({"id": 5, "user": user, "state": "APPROVED", "dismissed": true, "comments_count": 0,
            "submitted_at": "2026-11-20T18:25:17"}));
        list.push(json!({"id": 6, "user": user, "state": "A_NEW_WORD", "comments_count": 0,
            "submitted_at": "2026-11-20T18:25:18+00:00"}));
        let server = Server::start([
            recording("51-pr-reviews").body(&listed.to_string()),
            made("GET", &format!("{PULLS}/2/reviews/1/comments"), 200, remarks),
        ])
        .await;
        let reviews = server.client(BOT).read_reviews(&repo(), number(2)).await.unwrap();
        let seen: Vec<_> = reviews.iter().map(|review| (review.id, review.verdict)).collect();
        assert_eq!(
            seen,
            [
                (1, Verdict::ChangesRequested),
                (2, Verdict::Approved),
                (5, Verdict::Commented),
                (6, Verdict::Pending),
            ]
        );
        assert_eq!((reviews[0].body.as_str(), reviews[0].author.as_str()), ("One change", "alice"));
        let remarks: Vec<_> = reviews[0]
            .comments
            .iter()
            .map(|c| (c.path.as_str(), c.line, c.author.as_str()))
            .collect();
        assert_eq!(remarks, [("hello.txt", Some(1), "alice"), ("old.txt", None, "Ghost")]);
        server.finish();
    }

    #[tokio::test]
    async fn reviews_of_an_issue_are_a_mistake() {
        let missing = made("GET", &format!("{PULLS}/1/reviews"), 404, "{}");
        let server = Server::start([missing, recording("23-issue-get")]).await;
        let result = server.client(BOT).read_reviews(&repo(), number(1)).await;
        assert!(matches!(result, Err(ForgeError::WrongKind { .. })), "{result:?}");
        server.finish();
    }

    #[tokio::test]
    async fn checks_are_those_of_the_head() {
        let server = Server::replay(&["41-pr-get", "48-combined-status"]).await;
        let report = server.client(BOT).read_ci(&repo(), number(2)).await.unwrap();
        assert_eq!(report.sha, "884f62001e929d9b0c14c66898e1b950ef7e913c");
        assert_eq!((report.state, report.checks.len()), (Some(CheckState::Failure), 1));
        let check = &report.checks[0];
        assert_eq!((check.name.as_str(), check.state), ("ci/test", CheckState::Failure));
        assert_eq!(
            (check.description.as_str(), check.url.as_str()),
            ("2 failed", "http://ci.example.test/1")
        );
        server.finish();
    }

    #[tokio::test]
    async fn an_unknown_check_is_no_success_and_none_is_none() {
        let none = recording("48-combined-status").body(r#"{"state":"","statuses":null}"#);
        let odd = json!({"statuses": [{"id": 1, "context": "a", "status": "success"}, {"id": 2, "status": "new-word"}]});
        let odd = recording("48-combined-status").body(&odd.to_string());
        let server =
            Server::start([recording("41-pr-get"), none, recording("41-pr-get"), odd]).await;
        let forge = server.client(BOT);
        assert_eq!(forge.read_ci(&repo(), number(2)).await.unwrap().state, None);
        assert_eq!(
            forge.read_ci(&repo(), number(2)).await.unwrap().state,
            Some(CheckState::Pending)
        );
        server.finish();
    }

    // CASES 44
    #[tokio::test]
    async fn a_head_that_is_no_commit_goes_into_no_address() {
        let server =
            Server::start([recording("41-pr-get").with("/head/sha", json!("../../user"))]).await;
        let result = server.client(BOT).read_ci(&repo(), number(2)).await;
        assert!(matches!(result, Err(ForgeError::BadAnswer { .. })), "{result:?}");
        server.finish();
    }

    #[tokio::test]
    async fn issues_are_listed_by_label() {
        let labelled = recording("23-issue-get").json();
        let mut other = labelled.clone();
        other["number"] = json!(5);
        other["labels"] = Value::Null;
        let mut newer = labelled.clone();
        newer["number"] = json!(4);
        newer["updated_at"] = json!("2026-11-21T00:00:00Z");
        let pull = recording("42-pr-as-issue").json();
        let empty = recording("119-issues-labelled");
        let full = empty
            .clone()
            .body(&json!([labelled, other, newer, pull]).to_string())
            .header("X-Total-Count", "4");
        // The recording asked for another page length.
        let path = "/api/v1/repos/alice/widget/issues?state=open&type=issues&labels=bot-bottle:implementer";
        let empty_page = made("GET", path, 200, "[]").header("X-Total-Count", "0").asked_by(BOT);
        let full_page = made("GET", path, 200, full.json()).asked_by(BOT);
        let server = Server::start([empty_page, full_page]).await;
        let forge = server.client(BOT);
        assert_eq!(forge.list_issues(&repo(), Some("bot-bottle:implementer")).await.unwrap(), []);
        let listed = forge.list_issues(&repo(), Some("bot-bottle:implementer")).await.unwrap();
        let numbers: Vec<_> = listed.iter().map(|issue| issue.number.get()).collect();
        assert_eq!(
            numbers,
            [4, 1],
            "newest change first; no pull request, no issue without the label"
        );
        server.finish();
    }

    #[tokio::test]
    async fn a_comment_is_posted() {
        let server = Server::replay(&["28-comment-2"]).await;
        let posted = server
            .client(BOT)
            .post_comment(&repo(), number(1), "comment 2 — ünïcode ✓")
            .await
            .unwrap();
        assert_eq!((posted.id, posted.author), (6, login(BOT)));
        server.finish();
    }

    #[tokio::test]
    async fn refused_comments_say_why() {
        let server = Server::replay(&["29-comment-empty", "30-comment-bad-token"]).await;
        let empty = server.client("alice").post_comment(&repo(), number(1), "").await.unwrap_err();
        assert_eq!(
            empty.to_string(),
            "the forge refused the content of: comment on alice/widget#1: Required (status 422)"
        );
        let token =
            server.client("nobody").post_comment(&repo(), number(1), "x").await.unwrap_err();
        assert!(matches!(token, ForgeError::BadToken { .. }), "{token:?}");
        server.finish();
    }

    #[tokio::test]
    async fn a_500_for_a_comment_is_told_apart_from_a_missing_issue() {
        let missing = recording("24-issue-missing").asked_by("alice");
        let there = recording("23-issue-get").json();
        let there = made("GET", "/api/v1/repos/alice/widget/issues/3", 200, there);
        let server = Server::start([
            recording("32-comment-missing-issue"),
            missing,
            recording("062-comment-server-error"),
            there,
        ])
        .await;
        let gone =
            server.client("alice").post_comment(&repo(), number(4040), "x").await.unwrap_err();
        assert!(matches!(gone, ForgeError::Gone { .. }), "{gone:?}");
        let unknown =
            server.client("bob").post_comment(&repo(), number(3), "bulk 42").await.unwrap_err();
        assert!(matches!(unknown, ForgeError::Server { .. }), "{unknown:?}");
        let posts = server.requests().iter().filter(|request| request.starts_with("POST")).count();
        assert_eq!(posts, 2, "a write is never repeated");
        server.finish();
    }

    #[tokio::test]
    async fn a_comment_is_edited() {
        let path = "/api/v1/repos/alice/widget/issues/comments/6";
        let mut comment = recording("28-comment-2").json();
        comment["body"] = json!("new");
        let edited =
            made("PATCH", path, 200, comment).asked_by(BOT).expecting(json!({"body": "new"}));
        let server = Server::start([edited]).await;
        let edited = server.client(BOT).edit_comment(&repo(), number(1), 6, "new").await.unwrap();
        assert_eq!((edited.id, edited.body.as_str()), (6, "new"));
        server.finish();
    }

    #[tokio::test]
    async fn a_description_is_changed_or_forbidden() {
        let server = Server::replay(&["36-issue-body", "35-issue-body-forbidden"]).await;
        server
            .client(BOT)
            .update_description(&repo(), number(1), "edited by the agent")
            .await
            .unwrap();
        let refused = server
            .client("mallory")
            .update_description(&repo(), number(1), "tampered")
            .await
            .unwrap_err();
        assert!(matches!(refused, ForgeError::NoPermission { .. }), "{refused:?}");
        server.finish();
    }

    #[tokio::test]
    async fn a_pull_request_is_opened_once() {
        let server =
            Server::replay(&["38-pr-create", "39-pr-create-duplicate", "40-pr-create-no-branch"])
                .await;
        let forge = server.client(BOT);
        let opened =
            forge.open_pr(&repo(), &pr("Add a greeting", "Closes #1", HEAD)).await.unwrap();
        assert_eq!((opened.number, opened.state), (number(2), PullState::Open));
        let again = forge.open_pr(&repo(), &pr("Again", "", HEAD)).await.unwrap_err();
        assert!(
            matches!(&again, ForgeError::Conflict { message, .. } if message.contains("already exists")),
            "{again:?}"
        );
        let no_branch = forge.open_pr(&repo(), &pr("x", "", "no-such")).await.unwrap_err();
        assert_eq!(
            no_branch.to_string(),
            "not found: open a pull request in alice/widget from no-such to main"
        );
        server.finish();
    }

    #[tokio::test]
    async fn a_pull_request_is_found_by_its_head() {
        let listed = recording("44-pr-list-open");
        let fork = listed.clone().with("/0/head/repo/full_name", json!("mallory/widget"));
        let server = Server::start([listed.clone(), listed, fork]).await;
        let forge = server.client(BOT);
        let head = HEAD.parse().unwrap();
        assert_eq!(forge.pr_by_head(&repo(), &head).await.unwrap().unwrap().number, number(2));
        let longer = "bot-bottle/implementer/10".parse().unwrap();
        assert_eq!(forge.pr_by_head(&repo(), &longer).await.unwrap(), None);
        assert_eq!(
            forge.pr_by_head(&repo(), &head).await.unwrap(),
            None,
            "a fork's branch is another one"
        );
        server.finish();
    }

    #[tokio::test]
    async fn a_pull_request_is_found_by_what_it_closes() {
        let all = made(
            "GET",
            &format!("{PULLS}?state=all"),
            200,
            json!([recording("54-pr-get-merged").json()]),
        );
        let none = recording("44-pr-list-open").body("[]");
        let server =
            Server::start([recording("44-pr-list-open"), none.clone(), all.clone(), none, all])
                .await;
        let forge = server.client(BOT);
        let open = forge.get_pr_for_issue(&repo(), number(1)).await.unwrap().unwrap();
        assert_eq!((open.number, open.state), (number(2), PullState::Open));
        let merged = forge.get_pr_for_issue(&repo(), number(1)).await.unwrap().unwrap();
        assert_eq!((merged.number, merged.state), (number(2), PullState::Merged));
        assert_eq!(forge.get_pr_for_issue(&repo(), number(11)).await.unwrap(), None);
        server.finish();
    }

    #[tokio::test]
    async fn open_pull_requests_are_told_from_closed_and_missing_ones() {
        let server = Server::replay(&["41-pr-get", "54-pr-get-merged", "43-pr-missing"]).await;
        let forge = server.client(BOT);
        assert!(forge.is_pr_open(&repo(), number(2)).await.unwrap());
        assert!(!forge.is_pr_open(&repo(), number(2)).await.unwrap());
        assert!(!forge.is_pr_open(&repo(), number(1)).await.unwrap());
        server.finish();
    }

    #[tokio::test]
    async fn membership_is_asked_of_the_forge() {
        let path = "/api/v1/orgs/bot-bottle/members/alice";
        let server = Server::start(
            ["06-member-yes", "07-member-no", "08-member-no-such-user", "09-member-no-such-org"]
                .map(recording)
                .into_iter()
                .chain([
                    made("GET", path, 303, "")
                        .header("Location", "/api/v1/orgs/bot-bottle/public_members/alice"),
                    made("GET", path, 500, ""),
                ]),
        )
        .await;
        let forge = server.client(BOT);
        let org = login("bot-bottle");
        assert!(forge.is_org_member(&org, &login(BOT)).await.unwrap());
        assert!(!forge.is_org_member(&org, &login("mallory")).await.unwrap());
        assert!(!forge.is_org_member(&org, &login("nobody-here")).await.unwrap());
        assert!(!forge.is_org_member(&login("no-such-org"), &login("alice")).await.unwrap());
        let outside = forge.is_org_member(&org, &login("alice")).await.unwrap_err();
        assert!(matches!(outside, ForgeError::NoPermission { .. }), "{outside:?}");
        let failed = forge.is_org_member(&org, &login("alice")).await.unwrap_err();
        assert!(matches!(failed, ForgeError::Server { .. }), "404 alone means no: {failed:?}");
        server.finish();
    }

    #[tokio::test]
    async fn permissions_are_read_where_the_forge_tells_them() {
        let path = "/api/v1/repos/alice/widget/collaborators/bob/permission";
        let told =
            |word: &str| made("GET", path, 200, json!({"permission": word, "role_name": word}));
        let words = ["none", "read", "write", "admin", "owner", "a-new-word"];
        let server = Server::start(words.map(told).into_iter().chain([
            made("GET", path, 404, "{}"),
            made("GET", path, 403, r#"{"message":"Only admins can query all permissions"}"#),
        ]))
        .await;
        let forge = server.client(BOT);
        use Permission::{Admin, None, Read, Write};
        for wanted in [None, Read, Write, Admin, Admin, None, None] {
            assert_eq!(forge.permission_of(&repo(), &login("bob")).await.unwrap(), wanted);
        }
        let refused = forge.permission_of(&repo(), &login("bob")).await.unwrap_err();
        assert!(matches!(refused, ForgeError::NoPermission { .. }), "{refused:?}");
        server.finish();
    }

    #[tokio::test]
    async fn permissions_of_gitea_1_15_are_worked_out() {
        let unknown = |user: &str| {
            let path = format!("/api/v1/repos/alice/widget/collaborators/{user}/permission");
            made("GET", &path, 404, "404 page not found\n")
                .header("Content-Type", "text/plain; charset=utf-8")
        };
        let exchanges = [recording("15-collab-perm-yes"), recording("16-collab-no")];
        let server =
            Server::start([BOT, "mallory", "Alice"].map(unknown).into_iter().chain(exchanges))
                .await;
        let forge = server.client("alice");
        assert_eq!(forge.permission_of(&repo(), &login(BOT)).await.unwrap(), Permission::Write);
        assert_eq!(
            forge.permission_of(&repo(), &login("mallory")).await.unwrap(),
            Permission::None
        );
        assert_eq!(forge.permission_of(&repo(), &login("Alice")).await.unwrap(), Permission::Admin);
        server.finish();
    }

    // CASES 193
    #[tokio::test]
    async fn what_is_missing_or_null_is_tolerated() {
        let bare = json!({"number": 1, "state": "locked-down", "new": {"a": [1]}, "labels": null, "user": {"login": "a b"}});
        let issue = made("GET", "/api/v1/repos/alice/widget/issues/1", 200, bare);
        let pull =
            json!({"number": 2, "state": "open", "head": {"ref": "x", "repo": null}, "base": null});
        let pull = made("GET", &format!("{PULLS}/2"), 200, pull);
        let comments = recording("25-issue-comments-empty").body("null");
        let nothing = made("GET", "/api/v1/repos/alice/widget/issues/1", 200, "{}");
        let server = Server::start([issue, pull, comments, nothing]).await;
        let forge = server.client(BOT);
        let issue = forge.read_issue(&repo(), number(1)).await.unwrap();
        assert_eq!((issue.state, issue.author.as_str()), (IssueState::Closed, "Ghost"));
        let pull = forge.read_pr(&repo(), number(2)).await.unwrap();
        assert_eq!((pull.head_repo, pull.base_branch.as_str(), pull.mergeable), (None, "", None));
        assert_eq!(forge.read_comments(&repo(), number(1)).await.unwrap(), []);
        let nothing = forge.read_issue(&repo(), number(1)).await.unwrap_err();
        assert!(matches!(nothing, ForgeError::BadAnswer { .. }), "{nothing:?}");
        server.finish();
    }
}
