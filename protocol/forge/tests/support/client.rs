//! Clients for servers of these tests.

use forge::gitea::{Bounds, Gitea};
use protocol::{
    grant::{ForgeAccess, ForgeKind},
    secret::Secret,
};

/// A client of any address.
pub(crate) fn client(url: &str, account: &str, bounds: Bounds) -> Gitea {
    let access = ForgeAccess {
        id: "test".parse().unwrap(),
        kind: ForgeKind::Gitea,
        url: url.parse().unwrap(),
        ca_pem: None,
    };
    Gitea::with_bounds(&access, token(account), bounds).unwrap()
}

/// The token of an account at these servers.
pub(crate) fn token(account: &str) -> Secret {
    Secret::parse(&format!("token-of-{account}-0123456789abcdef")).unwrap()
}
