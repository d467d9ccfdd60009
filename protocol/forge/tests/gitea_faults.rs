//! A forge, or something in its place, that is slow, huge, broken or hostile (CASES 4.8, TH21).

#[cfg(test)]
#[path = "support/client.rs"]
mod client;

#[cfg(test)]
mod tests {
    use std::{
        net::SocketAddr,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use forge::{
        Forge as _, ForgeError,
        gitea::{Bounds, Gitea},
    };
    use protocol::{
        ids::{IssueNumber, Login, RepoName},
        limits::FORGE_PAGES_MAX,
    };
    use serde_json::{Value, json};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        task::JoinSet,
        time::Instant,
    };

    use super::client::{client, token};

    const SHORT: Bounds = Bounds {
        call_timeout: Duration::from_millis(400),
        connect_timeout: Duration::from_millis(400),
        answer_max_bytes: 10_000,
        tries: 3,
        first_pause: Duration::from_millis(20),
    };

    fn repo() -> RepoName {
        "alice/widget".parse().unwrap()
    }

    fn one() -> IssueNumber {
        1.try_into().unwrap()
    }

    /// What is written after a request's head, and how.
    #[derive(Debug, Clone)]
    enum Manner {
        /// All, then the connection is closed.
        Whole(String),
        /// A head, then one byte every 50 ms, for ever.
        Drip(String),
        /// A head, then as much as is taken.
        Flood(String),
        /// Nothing; the connection stays open.
        Silence,
        /// Nothing; the connection is closed.
        Close,
    }

    /// A server of bare TCP; ends when dropped.
    struct Raw {
        address: SocketAddr,
        requests: Arc<AtomicUsize>,
        _tasks: JoinSet<()>,
    }

    impl Raw {
        async fn start(manner: Manner) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let requests = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&requests);
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                let mut connections = JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    counter.fetch_add(1, Ordering::SeqCst);
                    connections.spawn(serve(stream, manner.clone()));
                }
            });
            Self { address, requests, _tasks: tasks }
        }

        fn client(&self) -> Gitea {
            client(&format!("http://{}", self.address), "bot", SHORT)
        }

        fn requests(&self) -> usize {
            self.requests.load(Ordering::SeqCst)
        }
    }

    async fn serve(mut stream: TcpStream, manner: Manner) {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        match manner {
            Manner::Whole(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                stream.shutdown().await.ok();
            }
            Manner::Drip(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Manner::Flood(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                while stream.write_all(&[b' '; 8192]).await.is_ok() {}
            }
            Manner::Silence => std::future::pending().await,
            Manner::Close => {}
        }
    }

    fn answer(status: &str, headers: &str, body: &str) -> Manner {
        Manner::Whole(format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    const JSON: &str = "Content-Type: application/json\r\n";

    /// Asks a server of this manner once, with a read and a write, and gives the write's error.
    async fn fails(manner: Manner) -> ForgeError {
        let server = Raw::start(manner).await;
        let start = Instant::now();
        let read = server.client().read_pr(&repo(), one()).await.unwrap_err();
        let reads = server.requests();
        let write = server.client().update_description(&repo(), one(), "x").await.unwrap_err();
        assert_eq!(server.requests(), reads + 1, "a write is sent once: {write}");
        assert!(start.elapsed() < Duration::from_secs(20), "{write} took {:?}", start.elapsed());
        assert_eq!(
            std::mem::discriminant(&read),
            std::mem::discriminant(&write),
            "{read} / {write}"
        );
        for text in [read.to_string(), write.to_string(), format!("{write:?}")] {
            assert!(!text.contains("127.0.0.1") && !text.contains(token("bot").expose()), "{text}");
        }
        write
    }

    // CASES 194
    #[tokio::test]
    async fn silence_and_dripping_end_by_the_deadline() {
        let head = format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: 1000\r\n\r\n{{");
        for manner in
            [Manner::Silence, Manner::Drip(head), Manner::Drip("HTTP/1.1 200 OK\r\nX: ".to_owned())]
        {
            let error = fails(manner.clone()).await;
            let ForgeError::Server { message, .. } = &error else {
                panic!("{manner:?}: {error:?}")
            };
            assert_eq!(message, "no whole answer within 0.4 s", "{manner:?}");
        }
    }

    // CASES 194
    #[tokio::test]
    async fn huge_answers_are_cut_off() {
        let chunked =
            format!("HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n");
        let long = format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: 2147483648\r\n\r\n");
        let endless = format!("HTTP/1.1 200 OK\r\n{JSON}\r\n");
        for head in [chunked, long, endless] {
            let error = fails(Manner::Flood(head.clone())).await;
            let ForgeError::BadAnswer { message, .. } = &error else { panic!("{head}: {error:?}") };
            assert_eq!(message, "longer than 10000 bytes", "{head}");
        }
        // A failure is known by its status, however much it explains.
        let failure =
            format!("HTTP/1.1 409 Conflict\r\n{JSON}Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n");
        assert!(matches!(fails(Manner::Flood(failure)).await, ForgeError::Conflict { .. }));
    }

    // CASES 188, 190
    #[tokio::test]
    async fn broken_connections_leave_the_fate_open() {
        let short = format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: 100\r\n\r\n{{\"number\":1}}");
        for manner in
            [Manner::Close, Manner::Whole(short), Manner::Whole("SSH-2.0-OpenSSH\r\n".to_owned())]
        {
            let error = fails(manner.clone()).await;
            assert!(matches!(error, ForgeError::Server { .. }), "{manner:?}: {error:?}");
        }
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let refused = client(&format!("http://{port}"), "bot", SHORT).whoami().await.unwrap_err();
        assert!(refused.to_string().starts_with("cannot connect to the forge for: "), "{refused}");
        let nowhere = client("http://forge.invalid", "bot", SHORT).whoami().await.unwrap_err();
        assert!(matches!(nowhere, ForgeError::Unreachable { .. }), "{nowhere:?}");
    }

    // CASES 191
    #[tokio::test]
    async fn a_login_page_is_no_answer() {
        let page = answer("200 OK", "Content-Type: text/html\r\n", "<html><title>Sign in</title>");
        let disguised = answer("200 OK", "Content-Type: text/html\r\n", "{\"number\":1}");
        let empty = answer("200 OK", "", "");
        let lie = answer("200 OK", JSON, "<html>");
        let cut = answer("200 OK", JSON, "{\"number\":1,");
        let deep = answer("200 OK", JSON, &"[".repeat(9_000));
        for manner in [page, disguised, empty, lie, cut, deep] {
            let error = fails(manner.clone()).await;
            assert!(matches!(error, ForgeError::BadAnswer { .. }), "{manner:?}: {error:?}");
        }
    }

    // CASES 192, TH21
    #[tokio::test]
    async fn no_redirect_is_followed() {
        let evil = Raw::start(answer("200 OK", JSON, "{}")).await;
        for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
        {
            for target in [format!("http://{}/x", evil.address), "/api/v1/user".to_owned()] {
                let error = fails(answer(status, &format!("Location: {target}\r\n"), "")).await;
                assert!(matches!(error, ForgeError::BadAnswer { .. }), "{status}: {error:?}");
            }
        }
        assert_eq!(evil.requests(), 0);
    }

    // CASES 183, 184, 185
    #[tokio::test]
    async fn limits_and_permissions_are_told_apart() {
        let limited = [
            ("429 Too Many Requests", "Retry-After: 7\r\n", 7),
            ("429 Too Many Requests", "", 60),
            ("403 Forbidden", "Retry-After: 1e12\r\n", 60),
            ("403 Forbidden", "Retry-After: 999999999999\r\n", 3600),
            ("403 Forbidden", "X-RateLimit-Remaining: 0\r\n", 60),
        ];
        for (status, headers, seconds) in limited {
            let error = fails(answer(status, headers, "")).await;
            assert!(matches!(error, ForgeError::RateLimited { .. }), "{status}: {error:?}");
            let wait = error.retry_after().unwrap().as_secs_f64();
            let named = f64::from(seconds);
            assert!((named..=named * 1.1).contains(&wait), "{status} {headers}: {wait} s");
        }
        for headers in ["", "X-RateLimit-Remaining: 10\r\n"] {
            let error = fails(answer("403 Forbidden", headers, "")).await;
            assert!(matches!(error, ForgeError::NoPermission { .. }), "{error:?}");
            assert_eq!(error.retry_after(), None);
        }
    }

    #[tokio::test]
    async fn each_status_has_its_error() {
        for (status, wanted) in [
            ("400 Bad Request", "the forge refused the content of"),
            ("401 Unauthorized", "the forge refused the token for"),
            ("404 Not Found", "the forge's answer cannot be used for"),
            ("409 Conflict", "conflict"),
            ("410 Gone", "the forge's answer cannot be used for"),
            ("413 Too Large", "the forge refused the content of"),
            ("422 Unprocessable", "the forge refused the content of"),
            ("423 Locked", "the forge does not permit"),
            ("500 Internal Server Error", "the forge failed at"),
            ("502 Bad Gateway", "the forge failed at"),
            ("503 Unavailable", "the forge failed at"),
            ("504 Timeout", "the forge failed at"),
        ] {
            let error =
                fails(answer(status, "Content-Type: text/html\r\n", "<b>x</b>")).await.to_string();
            assert!(error.starts_with(&format!("{wanted}: ")), "{status}: {error}");
            assert!(!error.contains("<b>"), "a page's text is of no use: {error}");
        }
    }

    // CASES 63
    #[tokio::test]
    async fn words_of_the_forge_are_cleaned() {
        let secret = token("bot");
        let message = format!(
            "\u{1b}[31mbad {}\u{202e} at http://10.0.0.7:3000/x {}",
            secret.expose(),
            "y".repeat(900)
        );
        let body = json!({ "message": message, "url": "http://10.0.0.7" }).to_string();
        let error = fails(answer("422 Unprocessable", JSON, &body)).await.to_string();
        assert!(error.contains("bad [redacted] at [url] yyy") && error.len() < 450, "{error}");
        let echo = json!({ "number": 1, "merged": secret.expose() }).to_string();
        let server = Raw::start(answer("200 OK", JSON, &echo)).await;
        let error = server.client().read_pr(&repo(), one()).await.unwrap_err().to_string();
        assert!(error.contains("[redacted]") && !error.contains(secret.expose()), "{error}");
    }

    #[tokio::test]
    async fn a_client_does_not_print_its_token() {
        let text = format!("{:?}", client("http://127.0.0.1:1", "bot", Bounds::default()));
        assert!(!text.contains(token("bot").expose()) && !text.contains("token-of"), "{text}");
    }

    /// Issues `from..to`, as a forge lists them.
    fn issues(from: u64, to: u64) -> String {
        let issues: Vec<Value> =
            (from..to).map(|n| json!({"number": n, "state": "open"})).collect();
        json!(issues).to_string()
    }

    // CASES 192
    #[tokio::test]
    async fn lists_end_however_the_forge_pages_them() {
        let evil = Raw::start(answer("200 OK", JSON, "[]")).await;
        let link = format!("{JSON}Link: <http://{}/next>; rel=\"next\"\r\n", evil.address);
        let bounds = Bounds { answer_max_bytes: 100_000, ..SHORT };
        for (headers, body, requests, len) in [
            // A short page is the last one.
            (link.clone(), issues(1, 3), 1, 2),
            // A full page that comes again is the end of a list without pages.
            (link.clone(), issues(1, 51), 2, 50),
            (format!("{link}X-Total-Count: 50\r\n"), issues(1, 51), 1, 50),
            // A forge with a smaller maximum sends short pages; this one repeats itself.
            (format!("{link}X-Total-Count: 1000000\r\n"), issues(1, 31), 2, 30),
            (format!("{link}X-Total-Count: none\r\n"), issues(1, 1), 1, 0),
        ] {
            let server = Raw::start(answer("200 OK", &headers, &body)).await;
            let forge = client(&format!("http://{}", server.address), "bot", bounds);
            let listed = forge.list_issues(&repo(), None).await.unwrap();
            assert_eq!((listed.len(), server.requests()), (len, requests), "{headers}");
        }
        assert_eq!(evil.requests(), 0);
    }

    // CASES 192
    #[tokio::test]
    async fn an_endless_list_is_read_to_the_limit() {
        let app = axum::Router::new().fallback(|uri: http::Uri| async move {
            let query = uri.query().unwrap().to_owned();
            let page = query.split('&').find_map(|pair| pair.strip_prefix("page=")).unwrap();
            let from = page.parse::<u64>().unwrap() * 50;
            ([("content-type", "application/json")], issues(from, from + 50))
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let bounds = Bounds { call_timeout: Duration::from_secs(10), ..SHORT };
        let listed = client(&format!("http://{address}"), "bot", bounds)
            .list_issues(&repo(), None)
            .await
            .unwrap();
        assert_eq!(listed.len(), FORGE_PAGES_MAX as usize * 50);
    }

    #[tokio::test]
    async fn a_404_of_the_forge_means_no_member_and_nothing_else_does() {
        let org: Login = "bots".parse().unwrap();
        for (status, headers, member) in [
            ("204 No Content", "", Some(true)),
            ("404 Not Found", JSON, Some(false)),
            ("404 Not Found", "", None),
            ("410 Gone", JSON, None),
            ("200 OK", "", None),
            ("401 Unauthorized", "", None),
        ] {
            let server = Raw::start(answer(status, headers, "")).await;
            assert_eq!(server.client().is_org_member(&org, &org).await.ok(), member, "{status}");
        }
    }
}
