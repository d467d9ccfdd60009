//! Whom a connection to a forge believes. API and git of one forge use the same list.

use reqwest::Certificate;

/// Why the list of certificate authorities cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The authorities that are compiled in cannot be used.
    #[error("cannot use the certificate authorities compiled in")]
    BuiltIn {
        /// The cause.
        source: reqwest::Error,
    },
    /// The organisation's certificates cannot be read.
    #[error("cannot read the certificate authority given for the forge")]
    Authority {
        /// The cause.
        source: reqwest::Error,
    },
    /// The PEM text holds no certificate.
    #[error("the certificate authority given for the forge holds no certificate")]
    NoAuthority,
}

/// Chooses the TLS implementation of this process, once; calling it again does no harm. A program
/// calls it first thing in `main`, so that nothing else chooses another one.
pub fn install_tls() {
    // An error only says that one is installed already.
    rustls::crypto::ring::default_provider().install_default().ok();
}

/// Mozilla's certificate authorities, compiled in because an empty image has none, and those of
/// `ca_pem`, the organisation's own as PEM text. For `ClientBuilder::tls_certs_only`.
///
/// # Errors
/// When the PEM text cannot be read, or has no certificate in it.
pub fn trusted_roots(ca_pem: Option<&str>) -> Result<Vec<Certificate>, RootsError> {
    let known = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let mut all: Vec<_> = known
        .map(|der| Certificate::from_der(der))
        .collect::<Result<_, _>>()
        .map_err(|source| RootsError::BuiltIn { source })?;
    if let Some(pem) = ca_pem {
        let own = Certificate::from_pem_bundle(pem.as_bytes())
            .map_err(|source| RootsError::Authority { source })?;
        if own.is_empty() {
            return Err(RootsError::NoAuthority);
        }
        all.extend(own);
    }
    Ok(all)
}
