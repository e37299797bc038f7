//! The envelopes of GitHub's answers. Their contents are read by `keys` and `rest`.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

/// An answer of the GraphQL API.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Answer {
    /// By alias; missing parts are null.
    #[serde(default)]
    pub(super) data: Value,
    #[serde(default)]
    pub(super) errors: Vec<Problem>,
}

/// An error inside an answer.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Problem {
    /// `NOT_FOUND`, `FORBIDDEN`, `RATE_LIMITED`, …
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) path: Vec<Value>,
}

/// The quota, asked along with everything.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RateLimit {
    /// The points that this call used: one at least.
    #[serde(default = "one")]
    pub(super) cost: i64,
    pub(super) limit: i64,
    pub(super) remaining: i64,
    pub(super) reset_at: DateTime<Utc>,
}

fn one() -> i64 {
    1
}

/// A page's position.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    #[serde(default)]
    end_cursor: Option<String>,
    has_next_page: bool,
}

impl PageInfo {
    /// The cursor of the next page; an error where there is one that cannot be asked for.
    pub(super) fn next(self) -> Result<Option<String>, ()> {
        match (self.has_next_page, self.end_cursor) {
            (true, None) => Err(()),
            (has_next, cursor) => Ok(cursor.filter(|_| has_next)),
        }
    }
}

/// A webhook that was created.
#[derive(Debug, Deserialize)]
pub(super) struct Hook {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) active: bool,
    #[serde(default)]
    pub(super) config: HookConfig,
}

/// A line of a webhook's log.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct LoggedDelivery {
    /// Another one for each attempt.
    pub(super) id: u64,
    /// The same for each attempt: `X-GitHub-Delivery`.
    pub(super) guid: String,
    pub(super) delivered_at: DateTime<Utc>,
    pub(super) event: String,
}

/// Where a webhook sends to.
#[derive(Debug, Default, Deserialize)]
pub(super) struct HookConfig {
    #[serde(default)]
    pub(super) url: String,
}
