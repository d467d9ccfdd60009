//! What has changed since a moment, and what a repository is called now.

#[cfg(test)]
#[path = "support/client.rs"]
mod client;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{
        Router,
        body::Body,
        response::{IntoResponse as _, Response},
    };
    use forge::{Forge as _, ForgeError, gitea::Bounds, gitea::Gitea};
    use http::{StatusCode, Uri, header};
    use protocol::ids::RepoName;
    use serde_json::{Value, json};
    use tokio::{net::TcpListener, task::JoinSet};

    use super::client::client;

    /// A server that ends when dropped, its client, and what was asked.
    struct Place {
        forge: Gitea,
        asked: Arc<Mutex<Vec<String>>>,
        _tasks: JoinSet<()>,
    }

    impl Place {
        async fn saying(say: impl Fn(&str) -> Response + Clone + Send + Sync + 'static) -> Self {
            let asked = Arc::<Mutex<Vec<String>>>::default();
            let seen = Arc::clone(&asked);
            let app = Router::new().fallback(move |uri: Uri| async move {
                let uri = uri.to_string();
                let answer = say(&uri);
                seen.lock().unwrap().push(uri);
                answer
            });
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let mut tasks = JoinSet::new();
            tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
            Self { forge: client(&url, "bot", Bounds::default()), asked, _tasks: tasks }
        }

        fn asked(&self) -> Vec<String> {
            self.asked.lock().unwrap().clone()
        }
    }

    fn json_answer(value: &Value) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
    }

    fn redirect(to: &str) -> Response {
        let builder = Response::builder().status(StatusCode::MOVED_PERMANENTLY);
        builder.header(header::LOCATION, to).body(Body::empty()).unwrap()
    }

    fn repo() -> RepoName {
        "alice/widget".parse().unwrap()
    }

    fn issue(number: u64, pull: bool) -> Value {
        json!({
            "id": 1000 + number, "number": number, "state": "closed", "user": { "login": "ann" },
            "labels": [{ "name": "b" }, { "name": "a" }], "updated_at": "2026-01-02T03:04:05Z",
            "pull_request": if pull { json!({ "merged": false }) } else { Value::Null },
        })
    }

    #[tokio::test]
    async fn changes_are_issues_and_pull_requests_in_any_state() {
        let page = json!([issue(7, false), issue(8, true)]);
        let place = Place::saying(move |_| json_answer(&page)).await;
        let since = "2026-01-02T03:00:00.9Z".parse().unwrap();
        let changed = place.forge.changed_since(&repo(), since).await.unwrap().unwrap();
        let told: Vec<(u64, bool)> =
            changed.iter().map(|c| (c.number.get(), c.is_pull_request)).collect();
        assert_eq!(told, [(7, false), (8, true)]);
        assert_eq!(changed[0].labels, ["a", "b"]);
        let asked = place.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        // Whole seconds, so that nothing of that second is left out.
        assert!(asked[0].contains("since=2026-01-02T03%3A00%3A00Z"), "{asked:?}");
        assert!(asked[0].contains("state=all") && !asked[0].contains("type="), "{asked:?}");
    }

    #[tokio::test]
    async fn more_changes_than_are_read_are_no_list() {
        let place = Place::saying(|uri| {
            let page: u64 =
                uri.split("page=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
            let entries: Vec<Value> = (0..50).map(|n| issue(page * 50 + n, false)).collect();
            json_answer(&json!(entries))
        })
        .await;
        let since = "2026-01-02T03:00:00Z".parse().unwrap();
        assert_eq!(place.forge.changed_since(&repo(), since).await.unwrap(), None);
        assert_eq!(place.asked().len(), 20);
    }

    // CASES 29: followed once, on the forge itself, and believed only by its own word.
    #[tokio::test]
    async fn a_new_name_is_found_behind_one_redirect() {
        let named = |name: &str| json_answer(&json!({ "id": 1, "full_name": name }));
        let new: RepoName = "alice/gadget".parse().unwrap();
        for location in [
            "/api/v1/repos/alice/gadget",
            "https://evil.test/api/v1/repos/alice/gadget?x=1",
            "/sub/api/v1/repositories/17",
        ] {
            let place = Place::saying(move |uri| match uri {
                "/api/v1/repos/alice/widget" => redirect(location),
                "/api/v1/repos/alice/gadget" | "/api/v1/repositories/17" => named("alice/gadget"),
                _ => StatusCode::NOT_FOUND.into_response(),
            })
            .await;
            let found = place.forge.new_name(&repo()).await.unwrap();
            assert_eq!(found.as_ref(), Some(&new), "{location}");
            assert_eq!(place.asked().len(), 2, "only the forge is asked");
        }
        let same = Place::saying(move |_| named("Alice/Widget")).await;
        assert_eq!(same.forge.new_name(&repo()).await.unwrap(), None);
        for location in ["/user/login", "/api/v1/repos/../..", "https://evil.test/", ""] {
            let place = Place::saying(move |_| redirect(location)).await;
            assert_eq!(place.forge.new_name(&repo()).await.unwrap(), None, "{location}");
        }
        let circle = Place::saying(|_| redirect("/api/v1/repos/alice/widget")).await;
        let error = circle.forge.new_name(&repo()).await.unwrap_err();
        assert!(matches!(error, ForgeError::BadAnswer { .. }), "{error:?}");
        assert_eq!(circle.asked().len(), 2);
    }
}
