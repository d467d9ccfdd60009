//! The forge, by git: four addresses, one credential, no redirect.

use forge::tls::{install_tls, trusted_roots};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use protocol::{
    grant::{ForgeAccess, Grant},
    ids::Login,
    limits::{FORGE_CONNECT_TIMEOUT, GIT_TIMEOUT},
    secret::Secret,
};
use reqwest::{Body, Client, Response, redirect};

/// What git does on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Fetching.
    UploadPack,
    /// Pushing.
    ReceivePack,
}

impl Service {
    /// As it stands in addresses and content types.
    pub fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }

    /// The content type of the list of refs.
    pub fn refs_type(self) -> String {
        format!("application/x-{}-advertisement", self.name())
    }

    /// The content type of a request.
    pub fn request_type(self) -> String {
        format!("application/x-{}-request", self.name())
    }

    /// The content type of an answer.
    pub fn result_type(self) -> String {
        format!("application/x-{}-result", self.name())
    }
}

/// The bound repository on its forge.
#[derive(Debug)]
pub struct Upstream {
    client: Client,
    clone_url: String,
    login: Login,
    token: Secret,
}

/// Why the forge did not do its part. None of it says an address or a credential.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// 401 or 403.
    #[error("the forge refuses the agent's credential for this repository")]
    Refused,
    /// 404, 410, or a redirect, which is not followed (CASES 80).
    #[error("the forge does not have this repository at its address")]
    Gone,
    /// Any other status, or another content type than git's.
    #[error("the forge answered with status {0} and no git answer")]
    Status(u16),
    /// No answer, or one that broke off.
    #[error("the forge could not be reached, or broke off")]
    Broken(#[source] reqwest::Error),
    /// More than is taken into memory.
    #[error("the forge's answer is too large")]
    TooLarge,
}

impl UpstreamError {
    /// What git is told.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Gone => StatusCode::NOT_FOUND,
            Self::Refused | Self::Status(_) | Self::Broken(_) | Self::TooLarge => {
                StatusCode::BAD_GATEWAY
            }
        }
    }
}

impl Upstream {
    /// Prepares the way; sends nothing.
    ///
    /// # Errors
    /// A sentence on what is wrong with the address or the certificates.
    pub fn new(grant: &Grant, token: Secret) -> Result<Self, String> {
        let client = client(&grant.forge)?;
        let base = grant.forge.url.as_str().trim_end_matches('/');
        let clone_url = format!("{base}/{}.git", grant.repo);
        Ok(Self { client, clone_url, login: grant.identity.login.clone(), token })
    }

    /// What its users clone.
    pub fn clone_url(&self) -> &str {
        &self.clone_url
    }

    /// The list of refs for a service.
    ///
    /// # Errors
    /// When the forge does not give one.
    pub async fn refs(
        &self,
        service: Service,
        headers: HeaderMap,
    ) -> Result<Response, UpstreamError> {
        let url = format!("{}/info/refs?service={}", self.clone_url, service.name());
        let request = self.client.request(Method::GET, url).headers(headers);
        self.send(request, &service.refs_type()).await
    }

    /// One exchange with a service.
    ///
    /// # Errors
    /// When the forge does not answer it by git.
    pub async fn pack(
        &self,
        service: Service,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response, UpstreamError> {
        let url = format!("{}/{}", self.clone_url, service.name());
        let request = self
            .client
            .request(Method::POST, url)
            .headers(headers)
            .header(CONTENT_TYPE, service.request_type())
            .header(http::header::ACCEPT, service.result_type())
            .body(body);
        self.send(request, &service.result_type()).await
    }

    /// The credential is added here and nowhere else; its header is never logged.
    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        expected: &str,
    ) -> Result<Response, UpstreamError> {
        let request = request.basic_auth(&self.login, Some(self.token.expose()));
        let answer =
            request.send().await.map_err(|error| UpstreamError::Broken(error.without_url()))?;
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return Err(UpstreamError::Refused);
        }
        if status == StatusCode::NOT_FOUND || status == StatusCode::GONE || status.is_redirection()
        {
            return Err(UpstreamError::Gone);
        }
        let is_git = answer
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes() == expected.as_bytes());
        if status == StatusCode::OK && is_git {
            Ok(answer)
        } else {
            Err(UpstreamError::Status(status.as_u16()))
        }
    }
}

/// Takes an answer into memory.
///
/// # Errors
/// When it breaks off or has more than `max_bytes`.
pub async fn collect(mut answer: Response, max_bytes: usize) -> Result<Vec<u8>, UpstreamError> {
    let mut whole = Vec::new();
    while let Some(part) =
        answer.chunk().await.map_err(|error| UpstreamError::Broken(error.without_url()))?
    {
        if whole.len() + part.len() > max_bytes {
            return Err(UpstreamError::TooLarge);
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}

/// `Git-Protocol` as git sends it; nothing else of it goes out.
pub fn protocol_header(headers: &HeaderMap) -> Option<(HeaderName, HeaderValue)> {
    let value = headers.get("git-protocol")?;
    let known = matches!(value.as_bytes(), b"version=2" | b"version=1");
    known.then(|| (HeaderName::from_static("git-protocol"), value.clone()))
}

/// The compiled-in certificates and the organisation's own: the image has none.
fn client(access: &ForgeAccess) -> Result<Client, String> {
    install_tls();
    let trusted = trusted_roots(access.ca_pem.as_deref()).map_err(|error| error.to_string())?;
    Client::builder()
        .user_agent(concat!("git/bot-bottle-", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        // Each holds a descriptor; an agent's git makes one exchange after the other.
        .pool_max_idle_per_host(2)
        .no_proxy()
        .referer(false)
        .connect_timeout(FORGE_CONNECT_TIMEOUT)
        .timeout(GIT_TIMEOUT)
        .tls_certs_only(trusted)
        .build()
        .map_err(|_| "cannot connect to the forge with the certificate authority given".to_owned())
}

#[cfg(test)]
mod tests {
    use protocol::grant::ForgeKind;

    use super::*;

    #[test]
    fn an_authority_without_a_certificate_is_refused() {
        let access = |ca_pem: Option<&str>| ForgeAccess {
            id: "test".parse().unwrap(),
            kind: ForgeKind::Gitea,
            url: "https://forge.example.org".parse().unwrap(),
            ca_pem: ca_pem.map(str::to_owned),
        };
        assert!(client(&access(None)).is_ok());
        let none = client(&access(Some("no PEM"))).unwrap_err();
        assert!(none.contains("holds no certificate"), "{none}");
        let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        let broken = client(&access(Some(broken))).unwrap_err();
        assert!(broken.contains("cannot read the certificate authority"), "{broken}");
    }
}
