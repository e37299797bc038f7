//! Values as Asana writes them and as they stand in bodies. A missing or odd value is `None`, never an error.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::provider::NodeRef;

pub(super) use crate::json::{list, object, text};

/// Longer texts are no gids.
const GID: usize = 32;

/// Whether a text can be a gid: Asana's are digits, and nothing else may get into a path.
pub(super) fn is_gid(text: &str) -> bool {
    !text.is_empty() && text.len() <= GID && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The gid of a record.
pub(super) fn gid(record: &Value) -> Option<&str> {
    text(record, "gid").filter(|gid| is_gid(gid))
}

/// The node that a record is.
pub(super) fn node(type_name: &'static str, record: &Value) -> Option<NodeRef> {
    Some(NodeRef::new(type_name, gid(record)?))
}

/// A reference to the node that a record is, as it stands in bodies; null where it is none.
pub(super) fn reference(type_name: &'static str, record: &Value) -> Value {
    node(type_name, record).map_or(Value::Null, |node| node.to_string().into())
}

/// A time.
pub(super) fn time(value: &Value, key: &str) -> Option<DateTime<Utc>> {
    parse_time(value.get(key)?)
}

/// A time out of a body or an answer.
pub(super) fn parse_time(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|time| time.with_timezone(&Utc))
}

/// A time as it stands in bodies.
pub(super) fn stamp(value: &Value) -> Value {
    parse_time(value).map_or(Value::Null, written)
}

/// A time as text.
pub(super) fn written(time: DateTime<Utc>) -> Value {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()
}

/// A text, or null where it is empty.
pub(super) fn non_empty(value: &Value) -> Value {
    value.as_str().filter(|text| !text.is_empty()).map_or(Value::Null, Into::into)
}

/// Tags as labels, in one order.
pub(super) fn labels(tags: &[Value]) -> Value {
    let mut labels: Vec<(&str, Value)> = tags
        .iter()
        .filter_map(|tag| Some((text(tag, "name")?, non_empty(tag.get("color").unwrap_or(&Value::Null)))))
        .collect();
    labels.sort_by_key(|(name, _)| *name);
    labels.into_iter().map(|(name, color)| json!({ "name": name, "color": color })).collect()
}

/// Custom fields as they stand in bodies.
pub(super) fn custom_fields(fields: &[Value]) -> Value {
    let field = |field: &Value| {
        let kind = text(field, "type").or_else(|| text(field, "resource_subtype")).unwrap_or("unknown");
        let shown = non_empty(field.get("display_value").unwrap_or(&Value::Null));
        Some(json!({ "name": text(field, "name")?, "displayValue": shown, "type": kind }))
    };
    fields.iter().filter_map(field).collect()
}
