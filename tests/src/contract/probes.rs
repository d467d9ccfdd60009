//! The capabilities, and how each is tried.

mod accounts;
mod hooks;
mod issues;
mod pulls;
mod repos;

use futures_util::future::BoxFuture;

use super::{Finding, Ground, Need};

/// How one capability is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe {
    pub(super) what: &'static str,
    pub(super) need: Need,
    pub(super) run: Try,
}

type Try = for<'a> fn(&'a Ground) -> BoxFuture<'a, Tried>;
type Tried = Result<(), Finding>;

/// A line of the table below.
macro_rules! probe {
    ($need:ident, $part:ident :: $name:ident, $what:literal) => {
        Probe { what: $what, need: Need::$need, run: |ground| Box::pin($part::$name(ground)) }
    };
}

/// All of them, in the order of the table.
pub(super) const PROBES: &[Probe] = &[
    probe!(Needed, accounts::version, "the version is told"),
    probe!(Needed, accounts::own_name, "a token tells whose it is"),
    probe!(Needed, accounts::bad_tokens, "no token and a wrong one are 401"),
    probe!(Needed, accounts::members, "members of an organisation are told, to members only"),
    probe!(Needed, accounts::permission, "a user's permission is told, to admins only"),
    probe!(Useful, accounts::suspended, "a suspended account is 403 and comes back"),
    probe!(Needed, repos::facts, "a repository tells name, branch and rights"),
    probe!(Needed, repos::unseen, "missing and private repositories are the same 404"),
    probe!(Needed, repos::branches, "a pushed branch is listed and read, also with a slash"),
    probe!(Useful, repos::contents, "a file is read at a branch"),
    probe!(Useful, repos::renamed, "the old name of a repository redirects to the new one"),
    probe!(Useful, repos::archived, "an archived repository refuses changes with 423"),
    probe!(Needed, issues::full, "an issue is opened with label and assignee at once"),
    probe!(Needed, issues::lists, "lists of issues are filtered by label, state and kind"),
    probe!(Useful, issues::since, "lists of issues are filtered by their last change"),
    probe!(Needed, issues::pages, "long lists come in pages with links to the next"),
    probe!(Needed, issues::comments, "comments are written, listed in order, edited"),
    probe!(Needed, issues::bad_comments, "a comment that cannot be is refused, and not written"),
    probe!(Needed, issues::taken_away, "label and assignee are taken away, issues closed"),
    probe!(Needed, issues::wrong_issues, "impossible titles and assignees are refused"),
    probe!(Useful, issues::deleted, "a deleted issue is 404"),
    probe!(Needed, pulls::opened, "a pull request tells its branches and commits"),
    probe!(Needed, pulls::twice, "a second pull request of the same branches is 409"),
    probe!(Needed, pulls::nothing, "a pull request of nothing or of no branch is refused"),
    probe!(Useful, pulls::by_branches, "a pull request is found by its branches"),
    probe!(Needed, pulls::edited, "title and text of a pull request are edited"),
    probe!(Needed, pulls::as_issue, "a pull request is marked among the issues"),
    probe!(Needed, pulls::reviewed, "reviews tell file and line of their comments"),
    probe!(Useful, pulls::own_review, "nobody approves their own pull request"),
    probe!(Useful, pulls::status, "the worst status of a commit is told"),
    probe!(Needed, pulls::closed, "a closed pull request tells so"),
    probe!(Needed, pulls::merged, "a merged pull request tells so"),
    probe!(Useful, pulls::closes, "a merge closes the issue that its text names"),
    probe!(Useful, pulls::branch_gone, "a deleted branch closes its pull request"),
    probe!(Needed, hooks::listed, "a webhook is listed without its secret"),
    probe!(Needed, hooks::signed, "a webhook has an id and a signature of its raw body"),
    probe!(Needed, hooks::labelled, "webhooks tell labels and assignees"),
    probe!(Needed, hooks::comments, "webhooks tell comments on issues and pull requests"),
];
