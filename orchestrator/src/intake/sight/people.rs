//! What those who spoke may do now.

use std::collections::{BTreeMap, BTreeSet};

use forge::{Forge, ForgeError};
use futures_util::future::try_join_all;
use orchestrator_core::policy::Remark;
use protocol::{ids::Login, item::Permission};

use super::Target;

/// People asked about in one look; a crowd on an open forge is judged in several.
const PEOPLE_MAX: usize = 32;

/// Remarks with their authors' permissions, and those of all who were asked about.
#[derive(Default)]
pub(super) struct Judged {
    /// Oldest first.
    pub(super) remarks: Vec<Remark>,
    /// What people may do.
    pub(super) permissions: BTreeMap<Login, Permission>,
    /// Some were left out for the next look.
    pub(super) more: bool,
}

/// Asks what the authors may do, each once, and only for what the bottle has not been told: it has
/// not heard of it, or heard and waits.
pub(super) async fn judge(
    forge: &dyn Forge,
    target: Target<'_>,
    mut remarks: Vec<Remark>,
) -> Result<Judged, ForgeError> {
    remarks.sort_by_key(|remark| (remark.at, remark.id));
    let Some(bottle) = target.bottle else {
        return Ok(Judged { remarks, permissions: BTreeMap::new(), more: false });
    };
    let is_new = |remark: &Remark| {
        !bottle.heard.contains(&remark.id) && !is_same(&bottle.login, &remark.author)
    };
    let authors: BTreeSet<&Login> =
        remarks.iter().filter(|remark| is_new(remark)).map(|remark| &remark.author).collect();
    let more = authors.len() > PEOPLE_MAX;
    // Who waits to be heard could write when they spoke: no crowd, and none may be left out.
    let people: BTreeSet<&Login> =
        authors.into_iter().take(PEOPLE_MAX).chain(bottle.authors()).collect();
    let asked = people.into_iter().map(async |author| {
        let permission = forge.permission_of(target.repo, author).await?;
        Ok::<_, ForgeError>((author.clone(), permission))
    });
    let permissions: BTreeMap<Login, Permission> = try_join_all(asked).await?.into_iter().collect();
    remarks.retain(|remark| !is_new(remark) || permissions.contains_key(&remark.author));
    for remark in remarks.iter_mut().filter(|remark| is_new(remark)) {
        remark.permission = permissions.get(&remark.author).copied().unwrap_or(Permission::None);
    }
    Ok(Judged { remarks, permissions, more })
}

/// Forges do not tell case apart.
fn is_same(one: &Login, other: &Login) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}
