//! The headers of a webhook, as recorded: Gitea's, and the same under GitHub's and Gogs' names.

use axum::{
    body::Bytes,
    http::{Error, Request},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use sha1::Sha1;
use sha2::Sha256;

use super::Outgoing;

/// Hex HMAC-SHA256 of the raw body.
pub fn sha256_hex(secret: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length, so this is always `Ok`.
    Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_or_else(
        |_| String::new(),
        |mac| hex::encode(mac.chain_update(body).finalize().into_bytes()),
    )
}

/// Hex HMAC-SHA1 of the raw body, for receivers of GitHub's old header.
pub fn sha1_hex(secret: &str, body: &[u8]) -> String {
    Hmac::<Sha1>::new_from_slice(secret.as_bytes()).map_or_else(
        |_| String::new(),
        |mac| hex::encode(mac.chain_update(body).finalize().into_bytes()),
    )
}

/// The request of a webhook. A hook without a secret has empty signatures, as in Gitea.
///
/// # Errors
/// When the URL cannot be requested.
pub(crate) fn request(outgoing: &Outgoing, is_forged: bool) -> Result<Request<Full<Bytes>>, Error> {
    let secret = if is_forged { "not the secret" } else { outgoing.secret.as_str() };
    let (sha1, sha256) = if secret.is_empty() {
        (String::new(), String::new())
    } else {
        (sha1_hex(secret, &outgoing.body), sha256_hex(secret, &outgoing.body))
    };
    Request::post(&outgoing.url)
        .header("User-Agent", "Go-http-client/1.1")
        .header("Content-Type", "application/json")
        .header("X-GitHub-Delivery", &outgoing.id)
        .header("X-GitHub-Event", outgoing.event)
        .header("X-Gitea-Delivery", &outgoing.id)
        .header("X-Gitea-Event", outgoing.event)
        .header("X-Gitea-Signature", &sha256)
        .header("X-Gogs-Delivery", &outgoing.id)
        .header("X-Gogs-Event", outgoing.event)
        .header("X-Gogs-Signature", &sha256)
        .header("X-Hub-Signature", format!("sha1={sha1}"))
        .header("X-Hub-Signature-256", format!("sha256={sha256}"))
        .header("Accept-Encoding", "gzip")
        .body(Full::new(outgoing.body.clone()))
}
