//! What the client sends again by itself, what it does not, and when it sends nothing at all.

#[cfg(test)]
#[path = "support/client.rs"]
mod client;

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        net::SocketAddr,
        sync::{
            Arc, Mutex,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use axum::{Router, body::Body, response::Response};
    use forge::{
        Forge as _, ForgeError,
        gitea::{Bounds, Gitea},
    };
    use http::Method;
    use protocol::ids::{IssueNumber, RepoName};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpSocket, TcpStream},
        task::JoinSet,
        time::sleep,
    };

    use super::client::client;

    const QUICK: Bounds = Bounds {
        call_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(10),
        answer_max_bytes: 100_000,
        tries: 4,
        first_pause: Duration::from_millis(5),
    };

    const PULL: &str = r#"{"number":1,"state":"open"}"#;
    const COMMENT: &str = r#"{"id":5,"body":"x"}"#;

    fn repo() -> RepoName {
        "alice/widget".parse().unwrap()
    }

    fn one() -> IssueNumber {
        1.try_into().unwrap()
    }

    fn bare(status: u16) -> Response {
        Response::builder().status(status).body(Body::empty()).unwrap()
    }

    fn waiting(status: u16, seconds: &str) -> Response {
        let head = Response::builder().status(status).header("Retry-After", seconds);
        head.body(Body::empty()).unwrap()
    }

    fn json(body: &'static str) -> Response {
        let head = Response::builder().header("Content-Type", "application/json");
        head.body(Body::from(body)).unwrap()
    }

    /// Gives one answer after the other, then 501; ends when dropped.
    struct Script {
        forge: Gitea,
        methods: Arc<Mutex<Vec<Method>>>,
        _tasks: JoinSet<()>,
    }

    impl Script {
        async fn of(answers: impl IntoIterator<Item = Response>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let forge = client(&format!("http://{}", listener.local_addr().unwrap()), "bot", QUICK);
            let methods = Arc::new(Mutex::new(Vec::new()));
            let (answers, heard) =
                (Mutex::new(answers.into_iter().collect::<VecDeque<_>>()), Arc::clone(&methods));
            let answers = Arc::new(answers);
            let app = Router::new().fallback(move |method: Method| async move {
                heard.lock().unwrap().push(method);
                answers.lock().unwrap().pop_front().unwrap_or_else(|| bare(501))
            });
            let mut tasks = JoinSet::new();
            tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
            Self { forge, methods, _tasks: tasks }
        }

        fn sent(&self) -> usize {
            self.methods.lock().unwrap().len()
        }
    }

    // CASES 188
    #[tokio::test]
    async fn a_read_is_repeated_while_the_forge_fails() {
        let script = Script::of([bare(500), bare(502), bare(503), json(PULL)]).await;
        assert_eq!(script.forge.read_pr(&repo(), one()).await.unwrap().number, one());
        assert_eq!(script.sent(), 4);
        let script = Script::of((0..9).map(|_| bare(504))).await;
        let error = script.forge.read_pr(&repo(), one()).await.unwrap_err();
        assert!(matches!(error, ForgeError::Server { .. }), "{error:?}");
        assert_eq!(script.sent(), 4, "no more than that");
    }

    // CASES 62, 188
    #[tokio::test]
    async fn a_write_that_may_have_been_done_is_not_repeated() {
        for status in [500, 502, 503, 504] {
            let script = Script::of([bare(status), json(COMMENT)]).await;
            let error = script.forge.edit_comment(&repo(), one(), 5, "x").await.unwrap_err();
            assert!(matches!(error, ForgeError::Server { .. }), "{error:?}");
            assert_eq!(script.sent(), 1, "{status}");
        }
    }

    // CASES 186, 187, 191, 197: nothing of this changes by asking again.
    #[tokio::test]
    async fn what_is_refused_for_good_is_asked_once() {
        for status in [302, 400, 403, 404, 409, 410, 413, 422, 423, 501] {
            let script = Script::of((0..3).map(|_| bare(status))).await;
            script.forge.read_pr(&repo(), one()).await.unwrap_err();
            assert_eq!(script.sent(), 1, "{status}");
        }
    }

    // CASES 188, 190
    #[tokio::test]
    async fn a_write_is_sent_when_the_forge_is_there_again() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        // The pauses are 0.2 to 0.4, 0.4 to 0.8, 0.8 to 1.6 s ...
        let slow = Bounds { first_pause: Duration::from_millis(200), tries: 7, ..QUICK };
        let forge = client(&format!("http://{address}"), "bot", slow);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            sleep(Duration::from_millis(100)).await;
            let listener = socket.listen(16).unwrap();
            let app = Router::new().fallback(|| async { json(COMMENT) });
            axum::serve(listener, app).await.unwrap();
        });
        assert_eq!(forge.post_comment(&repo(), one(), "x").await.unwrap().id, 5);
    }

    // CASES 184, 185
    #[tokio::test]
    async fn a_short_limit_is_waited_for() {
        let script =
            Script::of([waiting(429, "0"), json(PULL), waiting(403, "1"), json(COMMENT)]).await;
        assert_eq!(script.forge.read_pr(&repo(), one()).await.unwrap().number, one());
        let posted = script.forge.post_comment(&repo(), one(), "x").await.unwrap();
        assert_eq!(posted.id, 5, "what was refused by a limit was not done");
        assert_eq!(script.sent(), 4);
    }

    // CASES 185
    #[tokio::test]
    async fn others_wait_for_a_short_limit_too() {
        let script = Script::of([waiting(429, "1"), json(PULL), json(PULL)]).await;
        let read = || async { script.forge.read_pr(&repo(), one()).await };
        let (first, second) = tokio::join!(read(), async {
            while script.sent() == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            read().await
        });
        assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
        assert_eq!(script.sent(), 3);
    }

    // CASES 185
    #[tokio::test]
    async fn a_long_limit_holds_for_all_calls() {
        let script = Script::of([waiting(429, "600")]).await;
        let calls = [
            script.forge.read_pr(&repo(), one()).await.map(|_| ()),
            script.forge.post_comment(&repo(), one(), "x").await.map(|_| ()),
            script.forge.whoami().await.map(|_| ()),
        ];
        for error in calls.map(Result::unwrap_err) {
            let wait = error.retry_after().unwrap().as_secs();
            assert!((590..=660).contains(&wait), "{error}");
        }
        assert_eq!(script.sent(), 1);
    }

    // CASES 183
    #[tokio::test]
    async fn a_refused_token_is_not_shown_again_and_again() {
        let script = Script::of((0..50).map(|_| bare(401))).await;
        for _ in 0..10 {
            let write = script.forge.post_comment(&repo(), one(), "x").await.unwrap_err();
            assert!(matches!(write, ForgeError::BadToken { .. }), "{write:?}");
            let read = script.forge.read_pr(&repo(), one()).await.unwrap_err();
            assert!(matches!(read, ForgeError::BadToken { .. }), "{read:?}");
        }
        assert!(script.sent() <= 3, "{} requests for 20 calls", script.sent());
    }

    /// Counts itself as long as it is there.
    struct Open(Arc<AtomicUsize>);

    impl Open {
        fn new(count: &Arc<AtomicUsize>) -> Self {
            count.fetch_add(1, Ordering::SeqCst);
            Self(Arc::clone(count))
        }
    }

    impl Drop for Open {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Keeps a connection open, and answers only when all that are expected are there.
    async fn answer_all(mut stream: TcpStream, open: Open, all: Arc<tokio::sync::Barrier>) {
        let mut byte = [0];
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte).await.unwrap_or(0) == 0 {
                return;
            }
            head.push(byte[0]);
        }
        all.wait().await;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        let answer = format!("{head}Content-Length: {}\r\n\r\n{PULL}", PULL.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        while stream.read(&mut byte).await.unwrap_or(0) > 0 {}
        drop(open);
    }

    #[tokio::test]
    async fn few_idle_connections_are_kept() {
        const CALLS: usize = 24;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (open, all) = (Arc::default(), Arc::new(tokio::sync::Barrier::new(CALLS)));
        let count = Arc::clone(&open);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(answer_all(stream, Open::new(&count), Arc::clone(&all)));
            }
        });
        let forge = Arc::new(client(&format!("http://{address}"), "bot", QUICK));
        let mut calls = JoinSet::new();
        for _ in 0..CALLS {
            let forge = Arc::clone(&forge);
            calls.spawn(async move { forge.read_pr(&repo(), one()).await.unwrap() });
        }
        assert_eq!(calls.join_all().await.len(), CALLS);
        for _ in 0..1000 {
            if open.load(Ordering::SeqCst) <= 8 {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{} connections are still open", open.load(Ordering::SeqCst));
    }
}
