//! Why an issue runs or does not.

use orchestrator_core::policy::{Check, Finding, Why};
use protocol::{
    error::{ErrorCode, RpcError},
    operator::{Condition, Explanation, Outcome, Subject},
};

use super::{Operator, forge, internal, no_issue, row};
use crate::{daemon::LookError, store::Listed};

impl Operator {
    /// Every condition, by what the forge says now.
    pub(super) async fn explanation(&self, subject: &Subject) -> Result<Explanation, RpcError> {
        let (repo, number) = self.item(subject).await?;
        let seen = self.daemon.explain(&repo, number).await.map_err(|error| match error {
            LookError::Forge(error) => forge(error),
            LookError::Store(error) => internal(error),
            LookError::Changed => {
                RpcError::new(ErrorCode::Conflict, error.to_string()).hint("ask again")
            }
        })?;
        let gone = |mut check: Condition| {
            if check.code.as_deref() == Some(Why::Gone.code()) {
                check.sentence = no_issue(&repo, number);
            }
            check
        };
        let bottle = match seen.bottle {
            Some(slug) => Some(self.bottle_of(&Subject::Bottle(slug)).await?),
            None => None,
        };
        let failed = seen.checks.iter().find(|check| check.finding == Finding::Fail);
        Ok(Explanation {
            runs: failed.is_none(),
            code: failed.and_then(|check| check.code.clone()),
            bottle: bottle.as_ref().map(|bottle| row(Listed::from(bottle), &self.daemon.laws())),
            checks: seen.checks.into_iter().map(condition).map(gone).collect(),
            repo,
            number,
        })
    }
}

fn condition(check: Check) -> Condition {
    let Check { rule, finding, code, sentence } = check;
    let outcome = match finding {
        Finding::Pass => Outcome::Pass,
        Finding::Fail => Outcome::Fail,
        Finding::Unknown => Outcome::Unknown,
    };
    Condition { rule, outcome, code, sentence }
}
