//! The contract holds against the double, sees what a server lacks, and leaves nothing behind.

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        path::Path,
        process::{ExitStatus, Stdio},
        time::Duration,
    };

    use axum::http::Method;
    use e2e::{
        contract::{Finding, Ground, Need, Report, Row, Server, try_all},
        forge_double::{CannedAnswer, Fault, FaultKind, ForgeDouble, Options, RequestRecord},
    };
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    use tokio::{
        process::{Child, Command},
        time::{sleep, timeout},
    };

    /// Long enough for a loaded machine, short enough to notice.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A double, and how it is reached.
    async fn server() -> (ForgeDouble, Server) {
        let forge = ForgeDouble::start(Options::default()).await.unwrap();
        let server = Server {
            url: forge.base_url().to_owned(),
            admin_token: forge.create_site_admin("root").await.unwrap(),
            hook_host: Some("127.0.0.1".to_owned()),
        };
        (forge, server)
    }

    async fn report(forge: &ForgeDouble, server: &Server) -> Report {
        let mut ground = Ground::new(server).unwrap();
        ground.lay(server).await.unwrap();
        let report = try_all(&ground, |_| {}).await;
        forge.clear_faults();
        assert_eq!(ground.clean().await, Vec::<String>::new());
        assert_eq!(left(forge), Vec::<String>::new());
        report
    }

    /// What was made on the double and not removed: paths of creations without a later deletion.
    fn left(forge: &ForgeDouble) -> Vec<String> {
        let requests = forge.requests();
        let is_done = |request: &&RequestRecord| request.status.is_some_and(|status| status < 300);
        let made = requests.iter().filter(is_done).filter(|request| request.method == "POST");
        let named = |request: &RequestRecord| -> Option<String> {
            let body: serde_json::Value = serde_json::from_slice(&request.body).ok()?;
            let name = body["username"].as_str()?;
            match request.path.as_str() {
                "/api/v1/admin/users" => Some(format!("/api/v1/admin/users/{name}")),
                "/api/v1/orgs" => Some(format!("/api/v1/orgs/{name}")),
                _ => None,
            }
        };
        let removed: Vec<&str> = requests
            .iter()
            .filter(is_done)
            .filter(|request| request.method == "DELETE")
            .map(|request| request.path.as_str())
            .collect();
        made.filter_map(named).filter(|path| !removed.contains(&path.as_str())).collect()
    }

    #[tokio::test]
    async fn the_double_has_everything() {
        let (forge, server) = server().await;
        let report = report(&forge, &server).await;
        let missing: Vec<&Row> =
            report.rows.iter().filter(|row| row.finding != Finding::Has).collect();
        assert!(missing.is_empty(), "{missing:#?}");
        assert!(report.is_fit());
        assert!(report.to_string().ends_with("0 differs, 0 lacks, 0 untried: fit for bot-bottle"));
        forge.shutdown().await;
    }

    #[tokio::test]
    async fn what_a_server_lacks_or_does_otherwise_is_seen() {
        let (forge, mut server) = server().await;
        server.hook_host = None;
        let page = CannedAnswer {
            status: 404,
            headers: vec![("Content-Type".to_owned(), "text/plain".to_owned())],
            body: "404 page not found\n".to_owned(),
        };
        let always = |kind, method, path| Fault::new(kind).on(method, path).times(usize::MAX);
        forge.fault(always(FaultKind::Answer(page), Method::GET, "/permission"));
        forge.fault(always(FaultKind::Status(201), Method::POST, "/issues/999999/comments"));
        forge.fault(always(FaultKind::Html200, Method::GET, "/contents/file.txt"));
        let report = report(&forge, &server).await;
        let of = |what: &str| {
            let row = report.rows.iter().find(|row| row.what.contains(what));
            row.map(|row| (row.need, row.finding.clone())).unwrap()
        };
        assert!(matches!(of("permission is told"), (Need::Needed, Finding::Lacks(_))));
        assert!(matches!(of("comment that cannot be"), (Need::Needed, Finding::Differs(_))));
        assert!(matches!(of("file is read"), (Need::Useful, Finding::Differs(_))));
        assert!(matches!(of("signature"), (Need::Needed, Finding::Untried(_))));
        assert!(!report.is_fit());
        assert!(report.to_string().ends_with("NOT fit for bot-bottle"), "{report}");
        forge.shutdown().await;
    }

    #[tokio::test]
    async fn a_server_that_refuses_the_ground_is_named_and_left_clean() {
        let (forge, server) = server().await;
        forge.fault(Fault::new(FaultKind::Status(500)).on(Method::POST, "/user/repos"));
        let mut ground = Ground::new(&server).unwrap();
        let refused = ground.lay(&server).await.unwrap_err();
        assert!(
            refused.to_string().contains("make a repository: the server says 500"),
            "{refused}"
        );
        assert_eq!(ground.clean().await, Vec::<String>::new());
        assert_eq!(left(&forge), Vec::<String>::new());
        forge.shutdown().await;
    }

    /// The program, with its output in a folder; killed when dropped.
    fn program(server: &Server, folder: &Path) -> Child {
        Command::new(env!("CARGO_BIN_EXE_contract"))
            .env("FORGE_URL", &server.url)
            .env("FORGE_ADMIN_TOKEN", &server.admin_token)
            .env("FORGE_HOOK_HOST", "127.0.0.1")
            .stdin(Stdio::null())
            .stdout(File::create(folder.join("stdout")).unwrap())
            .stderr(File::create(folder.join("stderr")).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn end_of(mut child: Child) -> ExitStatus {
        timeout(PATIENCE, child.wait()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn an_interrupted_run_removes_what_it_made() {
        let (forge, server) = server().await;
        let folder = tempfile::tempdir().unwrap();
        // Holds the run in the middle.
        let held = Fault::new(FaultKind::DelayAfter(Duration::from_secs(600)));
        forge.fault(held.on(Method::GET, "/collaborators/"));
        let child = program(&server, folder.path());
        let is_held =
            || forge.requests().iter().any(|request| request.path.contains("/permission"));
        timeout(PATIENCE, async {
            while !is_held() {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap();
        assert_eq!(left(&forge).len(), 4, "three accounts and an organisation are there");
        let id = i32::try_from(child.id().unwrap()).unwrap();
        kill(Pid::from_raw(id), Signal::SIGINT).unwrap();
        assert_eq!(end_of(child).await.code(), Some(130));
        assert_eq!(left(&forge), Vec::<String>::new());
        let said = std::fs::read_to_string(folder.path().join("stderr")).unwrap();
        assert!(said.contains("SIGINT"), "{said}");
        assert!(!said.contains(&server.admin_token), "the token is told to nobody");
        forge.shutdown().await;
    }

    #[tokio::test]
    async fn the_program_says_what_keeps_it_from_trying() {
        let (forge, mut server) = server().await;
        let folder = tempfile::tempdir().unwrap();
        server.admin_token = "0".repeat(40);
        assert_eq!(end_of(program(&server, folder.path())).await.code(), Some(2));
        let said = std::fs::read_to_string(folder.path().join("stderr")).unwrap();
        assert!(said.contains("contract: "), "{said}");
        forge.shutdown().await;
    }
}
