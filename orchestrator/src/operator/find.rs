//! From what an operator means to a bottle or an issue.

use orchestrator_core::bottle::Bottle;
use protocol::{
    error::{ErrorCode, RpcError},
    ids::{IssueNumber, RepoName},
    operator::Subject,
};
use url::Url;

use super::{Operator, internal, invalid, unknown};

impl Operator {
    /// The bottle that is meant: the live one of an issue, or else its last one.
    pub(super) async fn bottle_of(&self, subject: &Subject) -> Result<Bottle, RpcError> {
        if let Subject::Bottle(slug) = subject {
            let wanted = slug.clone();
            let found = self.daemon.store.write(move |books| books.bottle(&wanted)).await;
            return found.map_err(internal)?.ok_or_else(|| unknown(slug));
        }
        let (repo, number) = self.item(subject).await?;
        let found = self.bottle_about(&repo, number).await?;
        found.ok_or_else(|| {
            RpcError::new(ErrorCode::NotFound, format!("{repo}#{number} has no bottle"))
                .hint(format!("orchestrate explain {repo}#{number}"))
        })
    }

    /// The last bottle of an issue or pull request, if it had one.
    pub(super) async fn bottle_about(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Option<Bottle>, RpcError> {
        let repo = repo.clone();
        let found = self.daemon.store.write(move |books| books.bottle_about(&repo, number)).await;
        found.map_err(internal)
    }

    /// The issue or pull request that is meant.
    pub(super) async fn item(
        &self,
        subject: &Subject,
    ) -> Result<(RepoName, IssueNumber), RpcError> {
        match subject {
            Subject::Item { repo, number } => Ok((self.repo(repo.clone())?, *number)),
            Subject::Address(url) => {
                let (repo, number) = item_at(&self.daemon.config.forge.access.url, url)
                    .map_err(|(what, hint)| invalid(format!("{url} {what}")).hint(hint))?;
                Ok((self.repo(Some(repo))?, number))
            }
            Subject::Bottle(slug) => {
                let wanted = slug.clone();
                let found = self.daemon.store.write(move |books| books.bottle(&wanted)).await;
                let bottle = found.map_err(internal)?.ok_or_else(|| unknown(slug))?;
                let number = bottle.looks_at().ok_or_else(|| {
                    invalid(format!("{slug} was started without an issue"))
                        .hint("see `orchestrate status`")
                })?;
                Ok((bottle.home.repo, number))
            }
        }
    }
}

/// The repository and number of an address on this forge: `<forge>/<owner>/<name>/issues/<number>`.
fn item_at(forge: &Url, url: &Url) -> Result<(RepoName, IssueNumber), (String, String)> {
    let place = |url: &Url| {
        (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default())
    };
    let path = url.path().strip_prefix(forge.path());
    let Some(path) = path.filter(|_| place(url) == place(forge)) else {
        return Err(("is not an address on our forge".to_owned(), format!("that is {forge}")));
    };
    let bad =
        || ("is no issue's address".to_owned(), "e.g. <forge>/owner/name/issues/7".to_owned());
    let parts: Vec<&str> = path.split('/').collect();
    let [owner, name, "issues" | "pulls", number] = parts.as_slice() else { return Err(bad()) };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|_| digits).ok_or_else(bad)?;
    Ok((format!("{owner}/{name}").parse().map_err(|_| bad())?, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    // CASES 226
    #[test]
    fn an_address_is_of_our_forge_and_of_an_issue_or_it_is_refused() {
        let forge: Url = "https://git.example.org/sub/".parse().unwrap();
        let read = |text: &str| item_at(&forge, &text.parse().unwrap());
        let item = |text: &str| read(text).map(|(repo, number)| format!("{repo}#{number}"));
        for good in [
            "https://git.example.org/sub/team/project/issues/7",
            "https://git.example.org:443/sub/team/project/pulls/7#issuecomment-3",
        ] {
            assert_eq!(item(good).unwrap(), "team/project#7");
        }
        for bad in [
            "https://git.example.com/sub/team/project/issues/7",
            "http://git.example.org/sub/team/project/issues/7",
            "https://git.example.org:8443/sub/team/project/issues/7",
            "https://git.example.org/team/project/issues/7",
            "https://git.example.org/sub/team/project/issues/7/edit",
            "https://git.example.org/sub/team/project/issues/",
            "https://git.example.org/sub/team/project/issues/7;rm",
            "https://git.example.org/sub/team/project/issues/+7",
            "https://git.example.org/sub/team/project/issues/%37",
            "https://git.example.org/sub/team/project/wiki/7",
            "https://git.example.org/sub/../team/project/issues/7",
            "https://git.example.org/sub/%2e%2e/project/issues/7",
        ] {
            assert!(item(bad).is_err(), "{bad}");
        }
    }
}
