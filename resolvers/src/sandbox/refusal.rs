//! Refusals of the sandbox port, and its answers as JSON.

use bytes::Bytes;
use http::{Response, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::fields;

/// A refusal of the control API: `{"error":{"code","message"}}`.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    acts: Option<Value>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), acts: None }
    }

    pub(super) fn bad_input(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_USER_INPUT", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    /// The same, with the names of the acts that there are.
    pub(super) fn with_acts(self, acts: &[&str]) -> Self {
        Self { acts: Some(json!(acts)), ..self }
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(acts) = self.acts {
            fields::set(&mut error, "acts", acts);
        }
        json_response(self.status, &json!({ "error": error }))
    }
}

/// An answer of the port itself, as opposed to one of a provider.
pub(super) fn json_response(status: StatusCode, value: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{value}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
