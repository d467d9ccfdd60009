//! Labels of a repository and of its issues.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use crate::forge_double::{
    access::Access,
    answer::Refusal,
    forge::Forge,
    hook::{Aspect, IssueChange},
    registry::{Label, Registry, Repo, RepoPath, next},
};

/// A label to make.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NewLabel {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) color: String,
    #[serde(default)]
    pub(crate) description: String,
}

/// How the labels of an issue change.
#[derive(Debug, Clone)]
pub(crate) enum LabelChange {
    /// Adds these to those it has.
    Add(Vec<Value>),
    /// Has these and no others.
    Replace(Vec<Value>),
    /// Takes one away.
    Remove(u64),
    /// Takes all away.
    Clear,
}

impl Forge {
    /// Makes a label; gives its id.
    ///
    /// # Errors
    /// 403, 404, or 422 for a missing name.
    pub(crate) fn create_label(
        &self,
        actor: &str,
        path: &RepoPath,
        new: &NewLabel,
    ) -> Result<u64, Refusal> {
        self.act(|registry| {
            registry.repo_for(Some(actor), path, Access::Write)?;
            if new.name.is_empty() {
                return Err(Refusal::Unprocessable("Required".to_owned()));
            }
            let id = next(&mut registry.ids.label);
            let color = new.color.trim_start_matches('#').to_owned();
            let description = new.description.clone();
            let label = Label { id, name: new.name.clone(), color, description };
            registry.repo_mut(path)?.labels.push(label);
            Ok(id)
        })
    }

    /// Changes the labels of an issue or pull request.
    ///
    /// # Errors
    /// 403 for who may not write, 404, or 422 for a label that does not exist.
    pub(crate) fn change_labels(
        &self,
        actor: &str,
        path: &RepoPath,
        number: u64,
        how: LabelChange,
    ) -> Result<(), Refusal> {
        self.act(|registry| {
            let repo = registry.repo_for(Some(actor), path, Access::Read)?;
            let before = repo.issue(number)?.labels.clone();
            if registry.access(Some(actor), repo) < Access::Write {
                return Err(Refusal::Forbidden);
            }
            let change = IssueChange { repo: path, number, sender: actor };
            let after = match how {
                LabelChange::Add(named) => &before | &label_ids(repo, &named),
                LabelChange::Replace(named) => label_ids(repo, &named),
                LabelChange::Clear => BTreeSet::new(),
                LabelChange::Remove(id) => {
                    if !repo.labels.iter().any(|label| label.id == id) {
                        let text = format!("label does not exist [label_id: {id}]");
                        return Err(Refusal::Unprocessable(text));
                    }
                    before.iter().copied().filter(|label| *label != id).collect()
                }
            };
            registry.set_labels(change, after)
        })
    }
}

impl Registry {
    /// Gives an issue exactly these labels. Gitea tells of it even when nothing changed,
    /// and does not say which label it was.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn set_labels(
        &mut self,
        change: IssueChange<'_>,
        labels: BTreeSet<u64>,
    ) -> Result<(), Refusal> {
        let issue = self.issue_mut(change.repo, change.number)?;
        let changed = issue.labels.symmetric_difference(&labels).count();
        let action =
            if labels.is_empty() && changed > 1 { "label_cleared" } else { "label_updated" };
        issue.labels = labels;
        self.timeline_entries(changed as u64);
        self.emit_issue(change, Aspect::Label, action)
    }
}

/// The labels named by id or (newer Gitea) by name; unknown ones are passed over.
fn label_ids(repo: &Repo, named: &[Value]) -> BTreeSet<u64> {
    let is_named = |label: &&Label| {
        named.iter().any(|name| name.as_u64() == Some(label.id) || name == label.name.as_str())
    };
    repo.labels.iter().filter(is_named).map(|label| label.id).collect()
}
