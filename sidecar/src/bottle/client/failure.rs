//! An error, for people and for programs.

use std::fmt;

use protocol::{
    error::{ErrorCode, RpcError},
    ids::IssueNumber,
};

use crate::bottle::client::escape::{Line, Text};

/// Shows as `error: what`, and `hint: what to do` in a second line where there is something to do.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a>(pub &'a RpcError);

impl Failure<'_> {
    /// `{"error": {"code", "kind", "message", "hint", "writable", "retry_after_s"}}`.
    pub fn json(&self) -> serde_json::Value {
        let RpcError { message, data } = self.0;
        serde_json::json!({ "error": {
            "code": data.kind.code(),
            "kind": data.kind,
            "message": message,
            "hint": self.hint(),
            "writable": data.writable,
            "retry_after_s": data.retry_after_s,
        }})
    }

    /// What to do, where the sidecar says nothing.
    fn hint(&self) -> Option<String> {
        let data = &self.0.data;
        let own = match data.kind {
            ErrorCode::OutOfScope => data.writable.as_deref().map(writable),
            ErrorCode::LimitReached | ErrorCode::ForgeUnavailable => {
                data.retry_after_s.map(|seconds| format!("try again in {seconds} s"))
            }
            ErrorCode::NotReady | ErrorCode::QueueFull => Some("try again in a moment".to_owned()),
            ErrorCode::Invalid
            | ErrorCode::NotFound
            | ErrorCode::Conflict
            | ErrorCode::ForgeRefused
            | ErrorCode::Internal => None,
        };
        data.hint.clone().or(own)
    }
}

fn writable(numbers: &[IssueNumber]) -> String {
    if numbers.is_empty() {
        return "this bottle may not write to any issue".to_owned();
    }
    let numbers: Vec<String> = numbers.iter().map(|number| format!("#{number}")).collect();
    format!("this bottle may write to {}", numbers.join(", "))
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.0.message.as_str();
        let refused = matches!(self.0.data.kind, ErrorCode::OutOfScope | ErrorCode::LimitReached);
        let prefix = if refused && !message.starts_with("refused") { "refused: " } else { "" };
        write!(f, "error: {prefix}{}", Text(message))?;
        match self.hint() {
            Some(hint) => write!(f, "\nhint: {}", Line(&hint)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::error::ErrorData;

    fn errors() -> Vec<RpcError> {
        let scope = ErrorData {
            kind: ErrorCode::OutOfScope,
            hint: None,
            writable: Some(vec![17.try_into().unwrap(), 42.try_into().unwrap()]),
            retry_after_s: None,
        };
        let mut limit = RpcError::new(ErrorCode::LimitReached, "30 writes in this minute");
        limit.data.retry_after_s = Some(20);
        vec![
            RpcError { message: "write to #500, writable 17, 42".to_owned(), data: scope.clone() },
            RpcError { message: "refused: write to #500".to_owned(), data: scope }.hint("ask"),
            limit,
            RpcError::new(ErrorCode::NotFound, "issue #7 \u{1b}[2J is not there"),
            RpcError::new(ErrorCode::NotReady, "no answer on /run/x.sock: refused"),
        ]
    }

    #[test]
    fn errors_for_people_are_as_recorded() {
        let shown: Vec<String> = errors().iter().map(|error| Failure(error).to_string()).collect();
        insta::assert_snapshot!("errors", shown.join("\n---\n"));
    }

    #[test]
    fn errors_for_programs_are_as_recorded() {
        let json: Vec<_> = errors().iter().map(|error| Failure(error).json()).collect();
        insta::with_settings!({ sort_maps => true }, {
            insta::assert_json_snapshot!("errors_json", json);
        });
    }
}
