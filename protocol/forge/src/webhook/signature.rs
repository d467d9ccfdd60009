//! Proof that a delivery comes from a forge that knows our secret.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use protocol::{limits::WEBHOOK_SECRET_MIN_BYTES, secret::Secret};
use sha2::Sha256;

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// The headers that carry Gitea's signature; the second is read where the first is missing.
const HEADERS: [&str; 2] = ["x-gitea-signature", "x-forgejo-signature"];

/// Secrets of one route: one, or during a rotation the old and the new one (CASES 30).
#[derive(Debug, Clone)]
pub struct WebhookSecrets(Vec<Secret>);

/// Why secrets would not protect a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadWebhookSecrets {
    /// There is none: anybody could sign.
    #[error("there is no webhook secret")]
    None,
    /// It can be guessed.
    #[error("a webhook secret has {bytes} bytes, at least {WEBHOOK_SECRET_MIN_BYTES} are needed")]
    TooShort {
        /// How long it is.
        bytes: usize,
    },
}

impl WebhookSecrets {
    /// Takes the secrets of a route.
    ///
    /// # Errors
    /// When there is none, or one is shorter than [`WEBHOOK_SECRET_MIN_BYTES`] (CASES 6).
    pub fn new(secrets: Vec<Secret>) -> Result<Self, BadWebhookSecrets> {
        if secrets.is_empty() {
            return Err(BadWebhookSecrets::None);
        }
        match secrets
            .iter()
            .map(|secret| secret.expose().len())
            .find(|bytes| *bytes < WEBHOOK_SECRET_MIN_BYTES)
        {
            Some(bytes) => Err(BadWebhookSecrets::TooShort { bytes }),
            None => Ok(Self(secrets)),
        }
    }
}

/// Why a delivery is not believed. All are answered with 401 and nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No header with a signature of this forge; those of other forges do not count.
    #[error("the delivery has no signature of this forge; set the webhook's secret there")]
    Missing,
    /// More than one header with a signature.
    #[error("the delivery has more than one signature")]
    Repeated,
    /// Not 64 small hexadecimal digits.
    #[error("the delivery's signature is not 64 small hexadecimal digits")]
    Malformed,
    /// Another secret, or another body.
    #[error("the delivery's signature is not made of its body with a secret of this route")]
    Wrong,
}

/// Checks Gitea's or Forgejo's signature: HMAC-SHA256 (RFC 2104) over the bytes as they came, in
/// time that does not depend on where they differ.
///
/// # Errors
/// When it is missing, repeated, malformed or wrong (CASES 2-9).
pub fn verify_gitea(
    secrets: &WebhookSecrets,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), SignatureError> {
    let signature = signature(headers)?;
    let mut proven = false;
    for secret in &secrets.0 {
        // All are tried, so that time does not tell which one fits.
        proven |= is_signed(secret.expose().as_bytes(), &signature, body);
    }
    if proven { Ok(()) } else { Err(SignatureError::Wrong) }
}

fn signature(headers: &HeaderMap) -> Result<[u8; DIGITS / 2], SignatureError> {
    let name = HEADERS
        .into_iter()
        .find(|name| headers.contains_key(*name))
        .ok_or(SignatureError::Missing)?;
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(SignatureError::Missing)?;
    if values.next().is_some() {
        return Err(SignatureError::Repeated);
    }
    let small_hex = value.as_bytes().iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; DIGITS / 2];
    match hex::decode_to_slice(value.as_bytes(), &mut bytes) {
        Ok(()) if small_hex => Ok(bytes),
        Ok(()) | Err(_) => Err(SignatureError::Malformed),
    }
}

fn is_signed(secret: &[u8], signature: &[u8], body: &[u8]) -> bool {
    // A key of any length is taken, so there is no other error than a wrong signature.
    Hmac::<Sha256>::new_from_slice(secret)
        .is_ok_and(|mac| mac.chain_update(body).verify_slice(signature).is_ok())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The secrets that the recordings were signed with, shorter than we accept from anybody.
    pub(crate) fn recorded_secrets() -> WebhookSecrets {
        WebhookSecrets(vec![Secret::parse("s3cret").unwrap()])
    }

    fn sign(secret: &str, body: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        hex::encode(mac.chain_update(body).finalize().into_bytes())
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    const OLD: &str = "the old secret of at least 32 bytes!!";
    const NEW: &str = "the new secret of at least 32 bytes!!";

    fn check(pairs: &[(&'static str, &str)], body: &[u8]) -> Result<(), SignatureError> {
        let secrets = [OLD, NEW].map(|secret| Secret::parse(secret).unwrap());
        verify_gitea(&WebhookSecrets::new(secrets.to_vec()).unwrap(), &headers(pairs), body)
    }

    // CASES 6
    #[test]
    fn missing_and_short_secrets_are_refused() {
        assert_eq!(WebhookSecrets::new(vec![]).unwrap_err(), BadWebhookSecrets::None);
        let short = vec![
            Secret::parse(OLD).unwrap(),
            Secret::parse("thirty-one bytes are not enough").unwrap(),
        ];
        assert_eq!(
            WebhookSecrets::new(short).unwrap_err(),
            BadWebhookSecrets::TooShort { bytes: 31 }
        );
    }

    // CASES 30
    #[test]
    fn old_and_new_secret_are_good_during_a_rotation() {
        for secret in [OLD, NEW] {
            assert_eq!(check(&[("x-gitea-signature", &sign(secret, b"{}"))], b"{}"), Ok(()));
            assert_eq!(check(&[("x-forgejo-signature", &sign(secret, b"{}"))], b"{}"), Ok(()));
        }
        let other = sign("some other secret of at least 32 bytes", b"{}");
        assert_eq!(check(&[("x-gitea-signature", &other)], b"{}"), Err(SignatureError::Wrong));
    }

    // CASES 2, 7, 8, 9
    #[test]
    fn only_this_forges_header_counts() {
        let good = sign(NEW, b"{}");
        let named = format!("sha256={good}");
        for pairs in [
            vec![],
            vec![("x-hub-signature-256", named.as_str())],
            vec![("x-hub-signature", "sha1=a568a8cb5aa239ff9248f6058beebbc0d60fab77")],
            vec![("x-gogs-signature", good.as_str())],
            vec![("x-gitlab-token", NEW)],
        ] {
            assert_eq!(check(&pairs, b"{}"), Err(SignatureError::Missing), "{pairs:?}");
        }
        let empty_key = sign("", b"{}");
        assert_eq!(check(&[("x-gitea-signature", &empty_key)], b"{}"), Err(SignatureError::Wrong));
        // The forge's own header is wrong, the other one good: which is read must not be the sender's choice.
        let both = [("x-gitea-signature", empty_key.as_str()), ("x-forgejo-signature", &good)];
        assert_eq!(check(&both, b"{}"), Err(SignatureError::Wrong));
    }

    // CASES 3
    #[test]
    fn a_repeated_header_is_refused_even_if_both_are_good() {
        let good = sign(NEW, b"{}");
        let twice = [("x-gitea-signature", good.as_str()), ("x-gitea-signature", &good)];
        assert_eq!(check(&twice, b"{}"), Err(SignatureError::Repeated));
    }

    // CASES 4
    #[test]
    fn malformed_signatures_are_refused() {
        let good = sign(NEW, b"{}");
        let bad = [
            String::new(),
            good[..63].to_owned(),
            format!("{good}0"),
            format!("{}g", &good[..63]),
            good.to_uppercase(),
            format!("sha256={good}"),
            format!("{good},{good}"),
            "a".repeat(100_000),
        ];
        for value in bad {
            assert_eq!(
                check(&[("x-gitea-signature", &value)], b"{}"),
                Err(SignatureError::Malformed),
                "{value:.80}"
            );
        }
    }

    // CASES 5
    #[test]
    fn every_flipped_bit_is_noticed() {
        let body = br#"{"action":"opened"}"#.to_vec();
        let good = sign(NEW, &body);
        assert_eq!(check(&[("x-gitea-signature", &good)], &body), Ok(()));
        for bit in 0..body.len() * 8 {
            let mut other = body.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                check(&[("x-gitea-signature", &good)], &other),
                Err(SignatureError::Wrong),
                "bit {bit}"
            );
        }
        for bit in 0..256 {
            let mut bytes = hex::decode(&good).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let other = hex::encode(bytes);
            assert_eq!(
                check(&[("x-gitea-signature", &other)], &body),
                Err(SignatureError::Wrong),
                "bit {bit}"
            );
        }
    }
}
