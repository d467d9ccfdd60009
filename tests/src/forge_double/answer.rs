//! What the API answers: JSON documents, pages of them, and the refusals of Gitea.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::git::GitError;

/// Gitea writes the content type without a space; some clients compare it.
pub(crate) const JSON: &str = "application/json;charset=utf-8";

/// A request that Gitea refuses, in the shapes it uses for that.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// 401: no token, or one nobody has.
    #[error("token is required")]
    Unauthorized,
    /// 403 without a body.
    #[error("forbidden")]
    Forbidden,
    /// 403 that says why.
    #[error("forbidden: {0}")]
    ForbiddenSaying(String),
    /// 404; `errors` is null for a plain "Not Found".
    #[error("not found: {message}")]
    NotFound {
        /// What Gitea looked for.
        message: String,
        /// What the look-up said.
        errors: Option<Vec<String>>,
    },
    /// 404 of the router, in plain text.
    #[error("no such page")]
    NoSuchPage,
    /// 405, for merges that cannot be done.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// 409.
    #[error("conflict: {0}")]
    Conflict(String),
    /// 423, for changes to an archived repository.
    #[error("locked: {0}")]
    Locked(String),
    /// 412, for changes that come too late.
    #[error("too late: {0}")]
    TooLate(String),
    /// 422.
    #[error("unprocessable: {0}")]
    Unprocessable(String),
    /// 500 with an empty message, as Gitea answers to those who are not site admins.
    #[error("internal server error: {0}")]
    Internal(String),
}

impl From<GitError> for Refusal {
    fn from(error: GitError) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "git said no");
        Self::Internal(error.to_string())
    }
}

impl Refusal {
    /// The plain 404.
    pub(crate) fn not_found() -> Self {
        Self::NotFound { message: "Not Found".to_owned(), errors: None }
    }

    /// The 404 for a user nobody knows.
    pub(crate) fn no_user(login: &str) -> Self {
        let error = format!("user does not exist [uid: 0, name: {login}, keyid: 0]");
        Self::NotFound { message: "GetUserByName".to_owned(), errors: Some(vec![error]) }
    }

    /// The 404 for an organisation nobody knows.
    pub(crate) fn no_org(name: &str) -> Self {
        let error = format!("user redirect does not exist [name: {name}]");
        Self::NotFound { message: "GetOrgByName".to_owned(), errors: Some(vec![error]) }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::ForbiddenSaying(_) => StatusCode::FORBIDDEN,
            Self::NotFound { .. } | Self::NoSuchPage => StatusCode::NOT_FOUND,
            Self::NotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Locked(_) => StatusCode::LOCKED,
            Self::TooLate(_) => StatusCode::PRECONDITION_FAILED,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The whole answer; it names the server, so it needs its address.
    pub(crate) fn response(&self, base_url: &str) -> Response {
        let swagger = format!("{base_url}/api/swagger");
        let saying = |message: &str| json!({ "message": message, "url": swagger });
        let body = match self {
            Self::Forbidden => return self.status().into_response(),
            Self::NoSuchPage => return (self.status(), "404 page not found\n").into_response(),
            Self::NotFound { message, errors } => {
                json!({ "documentation_url": swagger, "errors": errors, "message": message })
            }
            Self::Unauthorized => saying("token is required"),
            // The cause of a 500 is shown to site admins only.
            Self::Internal(_) => saying(""),
            Self::ForbiddenSaying(text)
            | Self::NotAllowed(text)
            | Self::Conflict(text)
            | Self::Locked(text)
            | Self::TooLate(text)
            | Self::Unprocessable(text) => saying(text),
        };
        Answer::new(self.status(), body).into_response()
    }
}

impl IntoResponse for Refusal {
    /// Leaves the refusal in the extensions; `server` writes the body, knowing the address.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: Option<Value>,
    headers: Vec<(&'static str, String)>,
}

impl Answer {
    /// A status with a document.
    pub(crate) fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body: Some(body), headers: Vec::new() }
    }

    /// 200 with a document.
    pub(crate) fn ok(body: Value) -> Self {
        Self::new(StatusCode::OK, body)
    }

    /// 201 with a document (Gitea also uses it for edits of issues).
    pub(crate) fn created(body: Value) -> Self {
        Self::new(StatusCode::CREATED, body)
    }

    /// A status and nothing else.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, body: None, headers: Vec::new() }
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        if let Some(body) = self.body {
            *response.body_mut() = Body::from(format!("{body}\n"));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

/// What a handler gives back.
pub(crate) type Outcome = Result<Answer, Refusal>;
