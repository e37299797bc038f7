//! A field's value before it is known how much of it is shown: references are kept as references, so that the selection
//! (`opt_fields`) decides how far they are followed.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

use super::records::{Gid, Kind, Ref};

/// One field's value.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Value(Value),
    One(Option<Ref>),
    Many(Vec<Ref>),
    /// An object without a record of its own (a membership, the value of a custom field).
    Group(Group),
    Groups(Vec<Group>),
}

/// The fields of such an object.
pub(super) type Group = Vec<(&'static str, Node)>;

impl Node {
    pub(super) fn null() -> Self {
        Self::Value(Value::Null)
    }

    pub(super) fn value(value: impl Into<Value>) -> Self {
        Self::Value(value.into())
    }

    pub(super) fn at(at: DateTime<Utc>) -> Self {
        Self::value(moment(at))
    }

    pub(super) fn maybe_at(at: Option<DateTime<Utc>>) -> Self {
        at.map_or_else(Self::null, Self::at)
    }

    pub(super) fn day(day: Option<NaiveDate>) -> Self {
        day.map_or_else(Self::null, |day| Self::value(day.to_string()))
    }

    pub(super) fn gid(gid: Gid) -> Self {
        Self::value(gid.to_string())
    }

    pub(super) fn one(kind: Kind, gid: Gid) -> Self {
        Self::One(Some(Ref { kind, gid }))
    }

    pub(super) fn maybe(kind: Kind, gid: Option<Gid>) -> Self {
        Self::One(gid.map(|gid| Ref { kind, gid }))
    }

    pub(super) fn many(kind: Kind, gids: &[Gid]) -> Self {
        Self::Many(gids.iter().map(|gid| Ref { kind, gid: *gid }).collect())
    }

    pub(super) fn flag(set: bool) -> Self {
        Self::Value(Value::Bool(set))
    }

    pub(super) fn count(number: usize) -> Self {
        Self::value(number)
    }

    pub(super) fn empty_list() -> Self {
        Self::Value(Value::Array(Vec::new()))
    }
}

/// Plain text in Asana's rich text: escaped, inside `<body>`.
pub(super) fn rich(text: &str) -> String {
    format!("<body>{}</body>", text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}

/// A moment as Asana writes it: UTC with milliseconds.
pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
