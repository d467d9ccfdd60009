//! Whose word a 404 or a redirect is: the forge's, or that of something before it (CASES 29, 186).

#[cfg(test)]
#[path = "support/client.rs"]
mod client;

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::Body,
        response::{IntoResponse as _, Response},
    };
    use forge::{
        Forge as _, ForgeError,
        gitea::{Bounds, Gitea},
    };
    use http::{StatusCode, Uri, header};
    use protocol::{
        ids::{IssueNumber, Login, RepoName},
        item::Permission,
    };
    use tokio::{net::TcpListener, task::JoinSet};

    use super::client::client;

    const JSON: &str = "application/json;charset=utf-8";
    /// As Gitea 1.15.11 answered a call that it does not know (recording `34-timeline`).
    const ROUTER: &str = "text/plain; charset=utf-8";
    const PAGE: &str = "text/html";

    /// What is answered to a path.
    type Say = fn(&str) -> Response;

    /// A server that ends when dropped, and its client.
    struct Place {
        forge: Gitea,
        _tasks: JoinSet<()>,
    }

    impl Place {
        async fn saying(say: Say) -> Self {
            let app = Router::new().fallback(move |uri: Uri| async move { say(uri.path()) });
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let mut tasks = JoinSet::new();
            tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
            Self { forge: client(&url, "bot", Bounds::default()), _tasks: tasks }
        }

        /// Asks everything that a missing object can be asked about, by name.
        async fn asked(&self) -> Vec<(&'static str, Result<String, ForgeError>)> {
            let (forge, repo, one) = (&self.forge, repo(), one());
            let head = "bot-bottle/implementer/1".parse().unwrap();
            vec![
                ("repository", text(forge.repository(&repo).await)),
                ("read_issue", text(forge.read_issue(&repo, one).await)),
                ("read_pr", text(forge.read_pr(&repo, one).await)),
                ("read_comments", text(forge.read_comments(&repo, one).await)),
                ("read_comment", text(forge.read_comment(&repo, 1).await)),
                ("read_reviews", text(forge.read_reviews(&repo, one).await)),
                ("post_comment", text(forge.post_comment(&repo, one, "x").await)),
                ("edit_comment", text(forge.edit_comment(&repo, one, 1, "x").await)),
                ("update", text(forge.update_description(&repo, one, "x").await)),
                ("pr_by_head", text(forge.pr_by_head(&repo, &head).await)),
                ("is_pr_open", text(forge.is_pr_open(&repo, one).await)),
                ("is_org_member", text(forge.is_org_member(&bob(), &bob()).await)),
                ("permission_of", text(forge.permission_of(&repo, &bob()).await)),
            ]
        }
    }

    fn text<T: std::fmt::Debug>(answer: Result<T, ForgeError>) -> Result<String, ForgeError> {
        answer.map(|found| format!("{found:?}"))
    }

    fn repo() -> RepoName {
        "alice/widget".parse().unwrap()
    }

    fn one() -> IssueNumber {
        1.try_into().unwrap()
    }

    fn bob() -> Login {
        "bob".parse().unwrap()
    }

    fn of(status: u16, kind: &'static str, body: &'static str) -> Response {
        (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, kind)], body)
            .into_response()
    }

    fn bare(status: u16) -> Response {
        Response::builder().status(status).body(Body::empty()).unwrap()
    }

    fn leading_to(status: u16, location: &str) -> Response {
        let head = Response::builder().status(status).header(header::LOCATION, location);
        head.body(Body::empty()).unwrap()
    }

    fn is_unusable(answer: &Result<String, ForgeError>, says: &str) -> bool {
        matches!(answer, Err(ForgeError::BadAnswer { message, .. }) if message.contains(says))
    }

    // CASES 186
    #[tokio::test]
    async fn what_the_forge_itself_calls_missing_is_gone() {
        let not_found = |_: &str| of(404, JSON, r#"{"message":"Not Found","errors":null}"#);
        for (name, answer) in Place::saying(not_found).await.asked().await {
            match name {
                "is_pr_open" | "is_org_member" => assert_eq!(answer.unwrap(), "false", "{name}"),
                "permission_of" => assert_eq!(answer.unwrap(), "None"),
                _ => assert!(matches!(answer, Err(ForgeError::Gone { .. })), "{name}: {answer:?}"),
            }
        }
        let gone = |_: &str| of(410, JSON, "{}");
        for (name, answer) in Place::saying(gone).await.asked().await {
            assert!(matches!(answer, Err(ForgeError::Gone { .. })), "{name}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn nothing_is_gone_on_the_word_of_a_proxy() {
        let proxies: [Say; 5] = [
            |_| of(404, PAGE, "<html>404"),
            |_| of(404, PAGE, r#"{"message":"Not Found"}"#),
            |_| of(404, ROUTER, "404 page not found\n"),
            |_| bare(404),
            |_| of(410, PAGE, "<html>410"),
        ];
        for (row, say) in proxies.into_iter().enumerate() {
            for (name, answer) in Place::saying(say).await.asked().await {
                assert!(
                    is_unusable(&answer, "check that the forge runs, and forge.url"),
                    "row {row}, {name}: {answer:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_proxys_404_tells_nothing_about_a_number_that_was_missing_before() {
        let say: Say = |path| match path.contains("/pulls/") {
            true => of(404, JSON, "{}"),
            false => of(404, PAGE, ""),
        };
        let place = Place::saying(say).await;
        let pull = place.forge.read_pr(&repo(), one()).await;
        assert!(matches!(pull, Err(ForgeError::Gone { .. })), "{pull:?}");
        let say: Say = |path| match path.ends_with("/comments") {
            true => of(500, JSON, "{}"),
            false => of(404, PAGE, ""),
        };
        let comment = Place::saying(say).await.forge.post_comment(&repo(), one(), "x").await;
        assert!(matches!(comment, Err(ForgeError::Server { .. })), "its fate is open: {comment:?}");
    }

    // CASES 29
    #[tokio::test]
    async fn a_redirect_is_never_an_answer_and_tells_both_its_reasons() {
        let moved: [Say; 4] = [
            |_| leading_to(301, "/api/v1/repos/alice/gadget"),
            |_| leading_to(307, "https://git.example.org/"),
            |_| leading_to(302, "/user/login"),
            |_| bare(304),
        ];
        for (row, say) in moved.into_iter().enumerate() {
            for (name, answer) in Place::saying(say).await.asked().await {
                let says =
                    "the forge redirects; check forge.url, and whether the repository was renamed";
                assert!(is_unusable(&answer, says), "row {row}, {name}: {answer:?}");
            }
        }
    }

    #[tokio::test]
    async fn the_way_to_the_public_members_is_a_missing_permission() {
        let say: Say = |_| leading_to(303, "/sub/api/v1/orgs/bob/public_members/bob");
        let member = Place::saying(say).await.forge.is_org_member(&bob(), &bob()).await;
        assert!(matches!(member, Err(ForgeError::NoPermission { .. })), "{member:?}");
        let say: Say = |_| {
            let mut answer = leading_to(303, "/api/v1/orgs/bob/public_members/bob");
            *answer.status_mut() = StatusCode::OK;
            answer
        };
        let member = Place::saying(say).await.forge.is_org_member(&bob(), &bob()).await;
        assert!(matches!(member, Err(ForgeError::BadAnswer { .. })), "{member:?}");
    }

    #[tokio::test]
    async fn a_collaborators_level_is_worked_out_only_where_the_forge_does_not_know_the_call() {
        let table: [(Say, Option<Permission>); 4] = [
            (
                |path| after_permission(path, of(404, ROUTER, ""), bare(204)),
                Some(Permission::Write),
            ),
            (|path| after_permission(path, bare(405), bare(204)), Some(Permission::Write)),
            // A proxy's page for a moment must not make a reader a writer.
            (|path| after_permission(path, of(404, PAGE, ""), bare(204)), None),
            (|path| after_permission(path, bare(404), bare(204)), None),
        ];
        for (row, (say, wanted)) in table.into_iter().enumerate() {
            let answer = Place::saying(say).await.forge.permission_of(&repo(), &bob()).await;
            assert_eq!(answer.ok(), wanted, "row {row}");
        }
    }

    fn after_permission(path: &str, first: Response, then: Response) -> Response {
        if path.ends_with("/permission") { first } else { then }
    }
}
