//! Where clients of forges come from.

use std::sync::Arc;

use forge::{Forge, gitea::Gitea};
use protocol::{
    grant::{ForgeAccess, ForgeKind},
    secret::Secret,
};

/// Makes the client of a forge.
pub trait Forges: Send + Sync {
    /// A client with a credential.
    ///
    /// # Errors
    /// A sentence on what is wrong with the access, without the credential.
    fn open(&self, access: &ForgeAccess, token: Secret) -> Result<Arc<dyn Forge>, String>;
}

/// The real ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpForges;

impl Forges for HttpForges {
    fn open(&self, access: &ForgeAccess, token: Secret) -> Result<Arc<dyn Forge>, String> {
        match access.kind {
            ForgeKind::Gitea => Gitea::new(access, token)
                .map(|forge| Arc::new(forge) as Arc<dyn Forge>)
                .map_err(|error| error.to_string()),
        }
    }
}
