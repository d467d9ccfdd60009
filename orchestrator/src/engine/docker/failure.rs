//! What an answer of Docker's means, told apart once.

use bollard::errors::Error as DockerError;

use super::{EngineError, Role};

/// The HTTP status of an answer, if the daemon answered.
pub(super) fn status(error: &DockerError) -> Option<u16> {
    match error {
        DockerError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Counts one status as success: it is already as it should be.
pub(super) fn already(result: Result<(), DockerError>, code: u16) -> Result<(), DockerError> {
    match result {
        Err(error) if status(&error) == Some(code) => Ok(()),
        other => other,
    }
}

/// For what a container is made of: the answer 404 has a name of its own.
pub(super) fn missing(what: &str, role: Role) -> impl FnOnce(DockerError) -> EngineError + use<> {
    let what = what.to_owned();
    move |error| match error {
        DockerError::DockerResponseServerError { status_code: 404, message } => {
            EngineError::Missing { what, message, role }
        }
        other => failed(&what)(other),
    }
}

/// For everything else.
pub(super) fn failed(what: &str) -> impl FnOnce(DockerError) -> EngineError + use<> {
    let what = what.to_owned();
    move |error| match error {
        DockerError::DockerResponseServerError { status_code, message } => {
            // A bad request stays so; a server's fault (a full disk) may pass.
            EngineError::Refused { what, message, transient: status_code >= 500 }
        }
        other => EngineError::Unreachable { what, source: Box::new(other) },
    }
}
