//! Values as GitHub writes them and as they stand in bodies. A value that is missing or odd is `None`, never an error.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use super::names;
pub(super) use crate::json::{list, object, text};
use crate::provider::NodeRef;

/// The node that an object is.
pub(super) fn reference(object: &Value) -> Option<NodeRef> {
    let type_name = names::of_typename(text(object, "__typename")?)?;
    Some(NodeRef::new(type_name, text(object, "id")?))
}

/// A time: RFC 3339, or seconds since 1970 (GitHub's pushes).
pub(super) fn time(value: &Value, key: &str) -> Option<DateTime<Utc>> {
    parse_time(value.get(key)?)
}

fn parse_time(value: &Value) -> Option<DateTime<Utc>> {
    if let Some(seconds) = value.as_i64() {
        return DateTime::from_timestamp(seconds, 0);
    }
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|time| time.with_timezone(&Utc))
}

/// A time as it stands in bodies.
pub(super) fn stamp(value: &Value) -> Value {
    parse_time(value).map_or(Value::Null, |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into())
}

/// The day of a time as it stands in bodies.
pub(super) fn day(value: &Value) -> Value {
    value.as_str().and_then(|text| text.get(..10)).map_or(Value::Null, Into::into)
}

/// An enum's value under its GraphQL name.
pub(super) fn upper(value: &Value) -> Value {
    value.as_str().map_or(Value::Null, |text| text.to_ascii_uppercase().into())
}

/// A text, or null where it is empty.
pub(super) fn non_empty(value: &Value) -> Value {
    value.as_str().filter(|text| !text.is_empty()).map_or(Value::Null, Into::into)
}

/// A bot's login as GraphQL tells it: without REST's suffix.
pub(super) fn login(value: &Value) -> Option<&str> {
    text(value, "login").map(|login| login.strip_suffix("[bot]").unwrap_or(login))
}

/// Labels in one order, whichever API they came from.
pub(super) fn labels(items: &[Value]) -> Value {
    let mut labels: Vec<(&str, &Value)> = items
        .iter()
        .filter_map(|label| Some((text(label, "name")?, label.get("color").unwrap_or(&Value::Null))))
        .collect();
    labels.sort_by_key(|(name, _)| *name);
    labels.iter().map(|(name, color)| serde_json::json!({ "name": name, "color": color })).collect()
}

/// Texts, sorted.
pub(super) fn sorted(texts: impl Iterator<Item = String>) -> Value {
    let mut texts: Vec<String> = texts.collect();
    texts.sort_unstable();
    texts.dedup();
    texts.into()
}
