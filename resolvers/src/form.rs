//! Webhook bodies that may be forms: which of the two types that providers send a request has.

use http::{HeaderMap, header::CONTENT_TYPE};

use crate::provider::Refusal;

/// Whether the body is a form; what is neither that nor JSON is refused.
pub(crate) fn is_form(headers: &HeaderMap) -> Result<bool, Refusal> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" => Ok(false),
        "application/x-www-form-urlencoded" => Ok(true),
        _ => Err(Refusal::UnsupportedType),
    }
}
