//! The one table of RPC error codes.

use jsonrpsee::types::ErrorObjectOwned;
use serde::{Deserialize, Serialize};

use crate::ids::IssueNumber;

/// Why a call was not done. JSON-RPC keeps -32768..-32000 for itself; ours are -31000 and below it,
/// so that neither the library's nor a later JSON-RPC's codes can be taken for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A write to something else than the grant allows.
    OutOfScope,
    /// A value that breaks a rule; the message says which.
    Invalid,
    /// It is not there, or may not be seen: the two are not told apart (CASES 64).
    NotFound,
    /// It is there already or was changed meanwhile.
    Conflict,
    /// A budget is used up; the message says until when.
    LimitReached,
    /// The forge refuses the credential; an operator must act.
    ForgeRefused,
    /// The forge does not answer or answers wrongly; trying again later may help.
    ForgeUnavailable,
    /// The sidecar has no grant now: starting, frozen or ending.
    NotReady,
    /// The queue to the orchestrator is full or not writable.
    QueueFull,
    /// A fault of ours; the op log has more.
    Internal,
}

impl ErrorCode {
    /// All codes, for tables and tests.
    pub const ALL: [Self; 10] = [
        Self::OutOfScope,
        Self::Invalid,
        Self::NotFound,
        Self::Conflict,
        Self::LimitReached,
        Self::ForgeRefused,
        Self::ForgeUnavailable,
        Self::NotReady,
        Self::QueueFull,
        Self::Internal,
    ];

    /// The number on the wire.
    pub fn code(self) -> i32 {
        match self {
            Self::OutOfScope => -31001,
            Self::Invalid => -31002,
            Self::NotFound => -31003,
            Self::Conflict => -31004,
            Self::LimitReached => -31005,
            Self::ForgeRefused => -31006,
            Self::ForgeUnavailable => -31007,
            Self::NotReady => -31008,
            Self::QueueFull => -31009,
            Self::Internal => -31010,
        }
    }

    /// The code with this number.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }

    /// Exit code of the `bottle` and `orchestrate` commands for it. 0 is success, 1 any other
    /// failure, 2 a wrong command line.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::OutOfScope => 10,
            Self::Invalid => 11,
            Self::NotFound => 12,
            Self::Conflict => 13,
            Self::LimitReached => 14,
            Self::ForgeRefused => 15,
            Self::ForgeUnavailable => 16,
            Self::NotReady => 17,
            Self::QueueFull => 18,
            Self::Internal => 19,
        }
    }
}

/// What travels in an error's `data`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorData {
    /// The code in words.
    pub kind: ErrorCode,
    /// What to do about it.
    pub hint: Option<String>,
    /// What may be written to, for [`ErrorCode::OutOfScope`].
    pub writable: Option<Vec<IssueNumber>>,
    /// When it may be tried again, in seconds.
    pub retry_after_s: Option<u64>,
}

/// An error on its way out of a socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// What went wrong, on what. Never holds a secret or an internal address.
    pub message: String,
    /// More for programs.
    pub data: ErrorData,
}

impl RpcError {
    /// An error with a code and a message.
    pub fn new(kind: ErrorCode, message: impl Into<String>) -> Self {
        let data = ErrorData { kind, hint: None, writable: None, retry_after_s: None };
        Self { message: message.into(), data }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.data.hint = Some(hint.into());
        self
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        Self::owned(error.data.kind.code(), error.message, Some(error.data))
    }
}

impl From<&ErrorObjectOwned> for RpcError {
    /// Reads an error that came over a socket; foreign ones become [`ErrorCode::Internal`] or
    /// [`ErrorCode::Invalid`] (JSON-RPC's own codes for bad requests).
    fn from(object: &ErrorObjectOwned) -> Self {
        let message = object.message().to_owned();
        if let Some(Ok(data)) =
            object.data().map(|raw| serde_json::from_str::<ErrorData>(raw.get()))
        {
            return Self { message, data };
        }
        let bad_request = matches!(object.code(), -32700..=-32600 | -32010..=-32007);
        let detail = object.data().map(|raw| format!(": {}", raw.get())).unwrap_or_default();
        let kind = ErrorCode::from_code(object.code()).unwrap_or(if bad_request {
            ErrorCode::Invalid
        } else {
            ErrorCode::Internal
        });
        Self::new(kind, format!("{message}{detail}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_its_own_and_outside_json_rpcs_range() {
        let mut codes: Vec<i32> = ErrorCode::ALL.iter().map(|c| c.code()).collect();
        let mut exits: Vec<u8> = ErrorCode::ALL.iter().map(|c| c.exit_code()).collect();
        assert!(codes.iter().all(|c| !(-32768..=-32000).contains(c)));
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(code.code()), Some(code));
        }
        codes.dedup();
        exits.dedup();
        assert_eq!((codes.len(), exits.len()), (ErrorCode::ALL.len(), ErrorCode::ALL.len()));
    }

    #[test]
    fn an_error_survives_the_wire() {
        let error =
            RpcError::new(ErrorCode::NotFound, "issue #7 is not there").hint("check the number");
        let object = ErrorObjectOwned::from(error.clone());
        assert_eq!(RpcError::from(&object), error);
    }
}
