//! Stands where the sandbox goes until its module is there.

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::sandbox::{ActError, Acted, ApiRequest, ApiResponse, CallOutcome, Rejection, Sandbox};

/// Answers everything with an empty body.
#[derive(Debug)]
pub(super) struct NoSandbox;

#[async_trait]
impl Sandbox for NoSandbox {
    fn provider(&self) -> &'static str {
        "github"
    }

    fn mount(&self) -> &'static str {
        "/github"
    }

    async fn call(&self, _: DateTime<Utc>, _: ApiRequest) -> CallOutcome {
        CallOutcome::answer(ApiResponse::new(Bytes::new()))
    }

    fn act(&self, _: DateTime<Utc>, action: &str, _: &Value) -> Result<Acted, ActError> {
        Err(ActError::Unknown(action.to_owned()))
    }

    fn acts(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    fn gentle(&self, _: u64) -> (&'static str, Value) {
        ("", Value::Null)
    }

    fn rejection(&self, _: DateTime<Utc>, _: &ApiRequest, _: Rejection) -> ApiResponse {
        ApiResponse::new(Bytes::new())
    }

    fn add_webhook(&self, _: &str, _: &str) {}
}
