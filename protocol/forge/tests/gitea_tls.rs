//! Whom the client believes over TLS (CASES 189). The certificates are made anew for each test.

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
        gitea::{Bounds, Gitea, SetupError, install_tls},
        tls::RootsError,
    };
    use protocol::{
        grant::{ForgeAccess, ForgeKind},
        secret::Secret,
    };
    use rcgen::{
        CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed,
    };
    use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        task::JoinSet,
    };
    use tokio_rustls::TlsAcceptor;

    const ONCE: Bounds = Bounds {
        call_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
        answer_max_bytes: 100_000,
        tries: 1,
        first_pause: Duration::ZERO,
    };

    /// A forge that knows one answer; ends when dropped.
    struct Tls {
        address: SocketAddr,
        pem: String,
        requests: Arc<AtomicUsize>,
        _tasks: JoinSet<()>,
    }

    impl Tls {
        async fn start() -> Self {
            Self::start_with(generate_simple_self_signed(["localhost".to_owned()]).unwrap()).await
        }

        async fn start_with(made: CertifiedKey<KeyPair>) -> Self {
            install_tls();
            let (pem, config) = (made.cert.pem(), server_config(&made));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let requests = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&requests);
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                let acceptor = TlsAcceptor::from(Arc::new(config));
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    // A client that does not believe the certificate hangs up here.
                    answer(&acceptor, stream, &counter).await.ok();
                }
            });
            Self { address, pem, requests, _tasks: tasks }
        }

        fn client(&self, host: &str, ca_pem: Option<&str>) -> Result<Gitea, SetupError> {
            let url = format!("https://{host}:{}", self.address.port());
            let access = ForgeAccess {
                id: "test".parse().unwrap(),
                kind: ForgeKind::Gitea,
                url: url.parse().unwrap(),
                ca_pem: ca_pem.map(str::to_owned),
            };
            Gitea::with_bounds(&access, Secret::parse("0123456789abcdef").unwrap(), ONCE)
        }
    }

    fn server_config(made: &CertifiedKey<KeyPair>) -> ServerConfig {
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder().with_no_client_auth();
        config.with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap()
    }

    async fn answer(
        acceptor: &TlsAcceptor,
        stream: TcpStream,
        counter: &AtomicUsize,
    ) -> std::io::Result<()> {
        let mut stream = acceptor.accept(stream).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        counter.fetch_add(1, Ordering::SeqCst);
        let body = r#"{"login":"bot"}"#;
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n";
        stream
            .write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
            .await?;
        stream.shutdown().await
    }

    // CASES 189
    #[tokio::test]
    async fn the_organisations_own_authority_is_believed() {
        let server = Tls::start().await;
        let forge = server.client("localhost", Some(&server.pem)).unwrap();
        assert_eq!(forge.whoami().await.unwrap().as_str(), "bot");
    }

    // CASES 189
    #[tokio::test]
    async fn an_unknown_authority_or_another_host_gets_no_request() {
        let server = Tls::start().await;
        let other = Tls::start().await;
        for (host, ca_pem, why) in [
            ("localhost", None, "UnknownIssuer"),
            ("localhost", Some(other.pem.as_str()), "invalid peer certificate"),
            ("127.0.0.1", Some(server.pem.as_str()), "not valid for name"),
        ] {
            let error = server.client(host, ca_pem).unwrap().whoami().await.unwrap_err();
            assert!(
                matches!(&error, ForgeError::Unreachable { message, .. } if message.contains(why)),
                "{error}"
            );
        }
        assert_eq!(server.requests.load(Ordering::SeqCst), 0, "no token leaves");
    }

    // CASES 189: an old certificate, or a clock that is wrong by years.
    #[tokio::test]
    async fn a_certificate_of_another_time_gets_no_request() {
        for (year, why) in [(2001, "expired"), (4000, "not valid yet")] {
            let signing_key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.not_before = date_time_ymd(year - 1, 1, 1);
            params.not_after = date_time_ymd(year, 1, 1);
            let cert = params.self_signed(&signing_key).unwrap();
            let server = Tls::start_with(CertifiedKey { cert, signing_key }).await;
            let error = server.client("localhost", Some(&server.pem)).unwrap().whoami().await;
            let error = error.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert_eq!(server.requests.load(Ordering::SeqCst), 0, "no token leaves");
        }
    }

    // CASES 189
    #[tokio::test]
    async fn a_plain_server_gets_no_token_either() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        let seen = tasks.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut first = [0; 1024];
            let len = stream.read(&mut first).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            assert!(!String::from_utf8_lossy(&first[..len]).contains("0123456789abcdef"));
        });
        let access = ForgeAccess {
            id: "test".parse().unwrap(),
            kind: ForgeKind::Gitea,
            url: format!("https://127.0.0.1:{port}").parse().unwrap(),
            ca_pem: None,
        };
        let token = Secret::parse("0123456789abcdef").unwrap();
        let forge = Gitea::with_bounds(&access, token, ONCE).unwrap();
        assert!(matches!(forge.whoami().await, Err(ForgeError::Unreachable { .. })));
        tasks.join_next().await.unwrap().unwrap();
        assert!(seen.is_finished());
    }

    #[tokio::test]
    async fn certificates_that_are_none_are_refused_at_once() {
        let server = Tls::start().await;
        let none = server.client("localhost", Some("")).unwrap_err();
        assert!(matches!(none, SetupError::Roots(RootsError::NoAuthority)), "{none:?}");
        let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        let error = server.client("localhost", Some(broken)).unwrap_err();
        assert!(matches!(error, SetupError::Roots(RootsError::Authority { .. })), "{error:?}");
    }
}
