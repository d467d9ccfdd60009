//! The one table from errors of a forge to errors of the agent's socket.

use forge::ForgeError;
use protocol::{
    error::{ErrorCode, RpcError},
    event::OperationOutcome,
};

use crate::oplog::numbers;

/// What the agent reads. The forge's own words were cut and cleaned by the forge's client.
pub fn to_rpc(error: &ForgeError) -> RpcError {
    let new = RpcError::new;
    match error {
        ForgeError::OutOfScope { number, writable } => {
            let message = format!("refused: write to #{number}, writable {}", numbers(writable));
            let mut refused = new(ErrorCode::OutOfScope, message);
            refused.data.writable = Some(writable.clone());
            refused.hint("write to the assigned issue or to a pull request of this bottle")
        }
        ForgeError::BadToken { .. } => new(ErrorCode::ForgeRefused, error.to_string())
            .hint("an operator must renew the agent's token"),
        ForgeError::NoPermission { .. } => new(ErrorCode::ForgeRefused, error.to_string())
            .hint("trying again does not help: an operator must look at the account's permissions, and whether the repository is archived or the conversation locked"),
        ForgeError::Gone { .. } => new(ErrorCode::NotFound, error.to_string()),
        ForgeError::WrongKind { .. } => new(ErrorCode::Invalid, error.to_string())
            .hint("use read_pr for pull requests and read_issue for issues"),
        ForgeError::Conflict { .. } => new(ErrorCode::Conflict, error.to_string()),
        ForgeError::Rejected { .. } => new(ErrorCode::Invalid, error.to_string()),
        ForgeError::RateLimited { retry_after, .. } => {
            let mut limited = new(ErrorCode::ForgeUnavailable, error.to_string());
            limited.data.retry_after_s = Some(retry_after.as_secs());
            limited
        }
        ForgeError::Unreachable { .. } => new(ErrorCode::ForgeUnavailable, error.to_string())
            .hint("nothing was sent: go on with what needs no forge, and try again later"),
        ForgeError::Server { .. } => new(ErrorCode::ForgeUnavailable, error.to_string())
            .hint("whether it was done is not known: read before you try again"),
        ForgeError::BadAnswer { .. } => new(ErrorCode::ForgeUnavailable, error.to_string())
            .hint("whether it was done is not known; an operator should look at the forge"),
    }
}

/// Whether the forge was asked at all.
pub fn outcome(error: &ForgeError) -> OperationOutcome {
    match error {
        ForgeError::OutOfScope { .. } => OperationOutcome::Refused,
        ForgeError::BadToken { .. }
        | ForgeError::NoPermission { .. }
        | ForgeError::Gone { .. }
        | ForgeError::WrongKind { .. }
        | ForgeError::Conflict { .. }
        | ForgeError::Rejected { .. }
        | ForgeError::RateLimited { .. }
        | ForgeError::Unreachable { .. }
        | ForgeError::Server { .. }
        | ForgeError::BadAnswer { .. } => OperationOutcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_error_has_its_code() {
        let (what, message) = ("w".to_owned(), "m".to_owned());
        let number = "500".parse().unwrap();
        let writable = vec!["17".parse().unwrap(), "42".parse().unwrap()];
        let table = [
            (ForgeError::OutOfScope { number, writable }, ErrorCode::OutOfScope),
            (ForgeError::BadToken { what: what.clone() }, ErrorCode::ForgeRefused),
            (
                ForgeError::NoPermission { what: what.clone(), message: message.clone() },
                ErrorCode::ForgeRefused,
            ),
            (ForgeError::Gone { what: what.clone() }, ErrorCode::NotFound),
            (ForgeError::WrongKind { number, is: "an issue" }, ErrorCode::Invalid),
            (
                ForgeError::Conflict { what: what.clone(), message: message.clone() },
                ErrorCode::Conflict,
            ),
            (
                ForgeError::Rejected { what: what.clone(), message: message.clone() },
                ErrorCode::Invalid,
            ),
            (
                ForgeError::RateLimited { what: what.clone(), retry_after: Duration::from_secs(9) },
                ErrorCode::ForgeUnavailable,
            ),
            (
                ForgeError::Unreachable { what: what.clone(), message: message.clone() },
                ErrorCode::ForgeUnavailable,
            ),
            (
                ForgeError::Server { what: what.clone(), message: message.clone() },
                ErrorCode::ForgeUnavailable,
            ),
            (ForgeError::BadAnswer { what, message }, ErrorCode::ForgeUnavailable),
        ];
        for (error, code) in &table {
            assert_eq!(to_rpc(error).data.kind, *code, "{error}");
        }
        let [(refused, _), ..] = &table;
        assert_eq!(to_rpc(refused).message, "refused: write to #500, writable 17, 42");
    }
}
