//! A loaded node as the graph's fields see it: normalised body, freshness, references to other nodes.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value};

use crate::{error::PortError, id::NodeKey};

/// A node's normalised fields by body key. Body keys are our own camelCase names, mostly those of the GraphQL fields.
///
/// Conventions: times are RFC 3339 strings in UTC, dates `2026-11-22`; a reference to a node of the same integration is the
/// string `Type:nativeId` (`"GithubUser:U_kg…"`), a list of references an array of those; enums are the GraphQL names;
/// an absent key is unknown, `null` is known to be empty.
pub type Body = Map<String, Value>;

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, async_graphql::Enum)]
pub enum FreshnessSource {
    /// Fetched from the provider for this answer.
    Provider,
    /// Brought by a webhook.
    Webhook,
    /// Fetched earlier, and nothing is known to have changed since.
    Cache,
    /// The last known value: the provider could not be asked, or refused to answer.
    Stale,
}

/// Why the last known value is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, async_graphql::Enum)]
pub enum StaleReason {
    /// The provider's quota is used up.
    RateLimited,
    /// The credential is no longer accepted: reconnect the integration.
    AuthExpired,
    /// The provider answers with errors or not at all.
    ProviderDown,
    /// Calls are paused after repeated failures.
    CircuitOpen,
    /// The provider did not answer in time.
    Timeout,
    /// The provider refuses to give this to the integration's token.
    Refused,
    /// Something failed in Mullion itself; the provider is not to blame. The server's log tells the cause.
    Internal,
}

/// How fresh a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreshnessView {
    /// When the newest part of it was read or brought.
    pub fetched_at: DateTime<Utc>,
    /// From where.
    pub source: FreshnessSource,
    /// Set when `source` is `STALE`.
    pub stale_because: Option<StaleReason>,
}

impl FreshnessView {
    /// The value is only the last known one.
    pub fn outdate(&mut self, reason: StaleReason) {
        self.source = FreshnessSource::Stale;
        self.stale_because = Some(reason);
    }
}

/// A node, loaded with at least the fields that were wanted where the provider knows them.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// Which node.
    pub key: NodeKey,
    /// Its normalised fields.
    pub body: Arc<Body>,
    /// How fresh it is.
    pub freshness: FreshnessView,
    /// Why a field that is missing from the body is missing, where the provider was asked for it and did not give it.
    pub failure: Option<Arc<PortError>>,
}

impl NodeView {
    /// The value of a body key; `None` when absent or null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.body.get(key).filter(|value| !value.is_null())
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(Value::as_str).map(str::to_owned)
    }

    /// An integer that fits GraphQL's `Int`.
    pub fn int(&self, key: &str) -> Option<i32> {
        self.get(key).and_then(Value::as_i64).and_then(|value| i32::try_from(value).ok())
    }

    /// A flag.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(Value::as_bool)
    }

    /// A time.
    pub fn time(&self, key: &str) -> Option<DateTime<Utc>> {
        let text = self.get(key)?.as_str()?;
        DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
    }

    /// A date.
    pub fn date(&self, key: &str) -> Option<NaiveDate> {
        self.get(key)?.as_str()?.get(..10)?.parse().ok()
    }

    /// The `Type:nativeId` reference under a key, split.
    pub fn reference(&self, key: &str) -> Option<(&str, &str)> {
        self.get(key)?.as_str()?.split_once(':')
    }

    /// The references under a key; `None` when the key is unknown or null.
    pub fn references(&self, key: &str) -> Option<Vec<(&str, &str)>> {
        let list = self.get(key)?.as_array()?;
        Some(list.iter().filter_map(|item| item.as_str()?.split_once(':')).collect())
    }

    /// A value that a non-null field needs; the error says which is missing.
    pub fn required<T>(&self, key: &str, value: Option<T>) -> Result<T, PortError> {
        value.ok_or_else(|| {
            PortError::new(
                crate::error::ErrorCode::ProviderError,
                format!("the provider did not send `{key}` of this {}", self.key.type_name),
            )
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, Utc};
    use serde_json::Value;

    use super::{FreshnessSource, FreshnessView, NodeView};
    use crate::id::NodeKey;

    /// A node with this body.
    pub(crate) fn view(type_name: &'static str, body: Value) -> NodeView {
        let Value::Object(body) = body else { panic!("a body is an object") };
        NodeView {
            key: NodeKey::new(&"i1".into(), type_name, "1"),
            body: Arc::new(body),
            freshness: FreshnessView {
                fetched_at: DateTime::<Utc>::UNIX_EPOCH,
                source: FreshnessSource::Cache,
                stale_because: None,
            },
            failure: None,
        }
    }
}
