//! Events as Asana tells them: `GET /events` with its sync tokens, and the compact form that webhooks carry.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::event_log::Event;
use super::fields;
use super::node::{Group, Node, moment};
use super::records::{Gid, Kind, Ref};
use super::world::World;

/// Asana answers at most so many events at once.
const PAGE: usize = 100;
/// Sync tokens expire after a day.
const TOKEN_LIFE: TimeDelta = TimeDelta::hours(24);

/// The answer to "what happened since".
#[derive(Debug)]
pub(super) enum Since {
    /// The token is missing, foreign or too old; here is a fresh one.
    Fresh(String),
    /// These events, the next token, and whether there are more already.
    Events(Vec<Event>, String, bool),
}

/// The events of a resource (or below it) since the token was given.
pub(super) fn since(world: &World, resource: Gid, token: Option<&str>, now: DateTime<Utc>) -> Since {
    let log = &world.log;
    let from =
        token.and_then(|token| read_token(world.seed, resource, token, now)).filter(|from| *from >= log.forgotten);
    let Some(from) = from else { return Since::Fresh(write_token(world.seed, resource, log.head(), now)) };
    let mut next = from;
    let mut found = Vec::new();
    let skipped = usize::try_from(from - log.forgotten).unwrap_or(usize::MAX);
    for event in log.events.iter().skip(skipped) {
        if found.len() == PAGE {
            break;
        }
        next += 1;
        if event.scopes.contains(&resource) {
            found.push(event.clone());
        }
    }
    let more = next < log.head();
    Since::Events(found, write_token(world.seed, resource, next, now), more)
}

/// A token says when it was given and up to which event; it belongs to one resource. 32 hexadecimal digits, as Asana's.
fn write_token(seed: u64, resource: Gid, position: u64, now: DateTime<Utc>) -> String {
    let given = u32::try_from(now.timestamp()).unwrap_or_default();
    let position = u32::try_from(position).unwrap_or(u32::MAX);
    let stamp = (u64::from(given) << 32) | u64::from(position);
    format!("{stamp:016x}{:016x}", token_check(seed, resource, stamp))
}

fn read_token(seed: u64, resource: Gid, token: &str, now: DateTime<Utc>) -> Option<u64> {
    let (stamp, check) = token.split_at_checked(16)?;
    let stamp = u64::from_str_radix(stamp, 16).ok()?;
    let expected = format!("{:016x}", token_check(seed, resource, stamp));
    let given = DateTime::from_timestamp(i64::try_from(stamp >> 32).ok()?, 0)?;
    (check == expected && now.signed_duration_since(given) <= TOKEN_LIFE).then_some(stamp & 0xFFFF_FFFF)
}

fn token_check(seed: u64, resource: Gid, stamp: u64) -> u64 {
    let mut dice = Dice::new(seed ^ resource);
    Dice::new(dice.bits() ^ stamp).bits()
}

/// The event as `GET /events` shows it.
pub(super) fn shown(event: &Event) -> Group {
    let mut group = vec![
        ("user", Node::one(Kind::User, event.user)),
        ("created_at", Node::at(event.at)),
        ("type", Node::value(event.resource.kind.name())),
        ("action", Node::value(event.action)),
        ("resource", Node::One(Some(event.resource))),
        ("parent", Node::One(event.parent)),
    ];
    if let Some(change) = event.change {
        let mut what = vec![("field", Node::value(change.field)), ("action", Node::value("changed"))];
        if change.new_value.is_some() {
            what.push(("new_value", Node::One(change.new_value)));
        }
        group.push(("change", Node::Group(what)));
    }
    group
}

/// The event as a webhook carries it: ids only.
pub(super) fn wire(world: &World, event: &Event) -> Value {
    let mut written = Map::new();
    written.insert("user".to_owned(), bare(world, Ref { kind: Kind::User, gid: event.user }));
    written.insert("created_at".to_owned(), Value::String(moment(event.at)));
    written.insert("action".to_owned(), event.action.into());
    written.insert("resource".to_owned(), bare(world, event.resource));
    written.insert("parent".to_owned(), event.parent.map_or(Value::Null, |parent| bare(world, parent)));
    if let Some(change) = event.change {
        let mut what = json!({ "field": change.field, "action": "changed" });
        if let (Some(value), Some(what)) = (change.new_value, what.as_object_mut()) {
            what.insert(
                "new_value".to_owned(),
                json!({ "gid": value.gid.to_string(), "resource_type": value.kind.name() }),
            );
        }
        written.insert("change".to_owned(), what);
    }
    Value::Object(written)
}

fn bare(world: &World, of: Ref) -> Value {
    let mut written = json!({ "gid": of.gid.to_string(), "resource_type": of.kind.name() });
    if let (Some(subtype), Some(written)) = (subtype(world, of), written.as_object_mut()) {
        written.insert("resource_subtype".to_owned(), Value::String(subtype));
    }
    written
}

/// The `resource_subtype` of what has one.
pub(super) fn subtype(world: &World, of: Ref) -> Option<String> {
    match fields::field(world, of, "resource_subtype")? {
        Node::Value(Value::String(subtype)) => Some(subtype),
        _ => None,
    }
}
