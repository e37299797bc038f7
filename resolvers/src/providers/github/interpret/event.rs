//! An event under interpretation: its parts, and the change that grows out of it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::super::{
    names::{REPOSITORY, USER},
    rest,
    values::{login, object, text, time},
};
use crate::provider::{
    ListRef, NodeRef,
    change::{ActivityDraft, Change, NodeWrite},
    sentence::{ACTOR, Detail, Details},
};

/// Labels, people and milestones that a thing is given as it is made come in deliveries of their own within this time.
const AT_ONCE: TimeDelta = TimeDelta::seconds(2);

/// A payload with what all payloads have in common.
pub(super) struct Event<'a> {
    pub(super) name: &'a str,
    pub(super) action: Option<&'a str>,
    pub(super) payload: &'a Value,
    pub(super) received_at: DateTime<Utc>,
}

impl<'a> Event<'a> {
    pub(super) fn new(name: &'a str, payload: &'a Value, received_at: DateTime<Utc>) -> Self {
        Self { name, action: text(payload, "action"), payload, received_at }
    }

    /// Whether the action is one of these.
    pub(super) fn is(&self, actions: &[&str]) -> bool {
        self.action.is_some_and(|action| actions.contains(&action))
    }

    /// A member of the payload that is an object.
    pub(super) fn part(&self, name: &str) -> Option<&'a Value> {
        object(self.payload, name)
    }

    /// The repository.
    pub(super) fn repository(&self) -> Option<&'a Value> {
        self.part("repository")
    }

    /// The repository as a node.
    pub(super) fn repository_node(&self) -> Option<NodeRef> {
        rest::node(REPOSITORY, self.repository()?)
    }

    /// A list of the repository.
    pub(super) fn list(&self, name: &'static str) -> Option<ListRef> {
        Some(ListRef { parent: Some(self.repository_node()?), name })
    }

    /// A change with everyone who is mentioned, and the repository.
    pub(super) fn change(&self) -> Change {
        let mut writes = rest::people(self.payload);
        writes.extend(self.repository().and_then(rest::repository));
        Change { writes, ..Change::default() }
    }

    /// Tells the change to people, with the parts of its sentence beside those that all have: who did it, and where.
    pub(super) fn told(
        &self,
        mut change: Change,
        subject: Option<NodeRef>,
        at: Option<DateTime<Utc>>,
        parts: impl IntoIterator<Item = (&'static str, Detail)>,
    ) -> Change {
        let kind = match self.action {
            Some(action) => format!("{}.{action}", self.name),
            None => self.name.to_owned(),
        };
        let sender = self.part("sender");
        let place = self.repository().and_then(|repository| called(repository, REPOSITORY, "full_name"));
        let mut details: Details = parts.into_iter().map(|(name, detail)| (name.to_owned(), detail)).collect();
        details.extend(sender.and_then(person).map(|person| (ACTOR.to_owned(), person)));
        details.extend(place.map(|place| ("in".to_owned(), place)));
        change.activity = Some(ActivityDraft {
            kind,
            actor: sender.and_then(|sender| rest::node(USER, sender)),
            subject,
            details,
            occurred_at: at.unwrap_or(self.received_at),
            containers: self.repository_node().into_iter().collect(),
            ..ActivityDraft::default()
        });
        change
    }

    /// Whether an issue or a pull request gets what this event tells as it is opened, by the one who opens it.
    pub(super) fn is_opening(&self, item: &Value) -> bool {
        let by = |value: Option<&Value>| value.and_then(|value| value.get("id")?.as_i64());
        let opener = by(object(item, "user"));
        let times = time(item, "created_at").zip(time(item, "updated_at"));
        opener.is_some()
            && opener == by(self.part("sender"))
            && times.is_some_and(|(created, updated)| updated - created <= AT_ONCE)
    }
}

/// Somebody, by the login as long as no other name is known.
pub(super) fn person(value: &Value) -> Option<Detail> {
    let login = login(value)?;
    Some(rest::node(USER, value).map_or_else(|| login.into(), |node| Detail::named(&node, login)))
}

/// A thing by its present name; by the one that the event tells while no other is known.
fn called(value: &Value, type_name: &'static str, key: &str) -> Option<Detail> {
    let told = text(value, key)?;
    Some(rest::node(type_name, value).map_or_else(|| told.into(), |node| Detail::named(&node, told)))
}

/// The title of an issue or a pull request, as a part of a sentence.
pub(super) fn titled(value: &Value, type_name: &'static str) -> Option<(&'static str, Detail)> {
    Some(("title", called(value, type_name, "title")?))
}

/// A text of an object as a part of a sentence.
pub(super) fn said(part: &'static str, value: &Value, key: &str) -> Option<(&'static str, Detail)> {
    Some((part, text(value, key)?.into()))
}

/// The activity is told only if none of this key was; and not after those to which it adds nothing. Without a key it always is.
pub(super) fn once(mut change: Change, key: Option<String>, unless: Vec<String>) -> Change {
    if let (Some(activity), Some(_)) = (&mut change.activity, &key) {
        (activity.key, activity.unless) = (key, unless);
    }
    change
}

/// GitHub's id of an object, for keys.
pub(super) fn id(value: &Value) -> Option<&str> {
    text(value, "node_id")
}

/// Adds a write, last: what it refers to was written before.
pub(super) fn write(change: &mut Change, write: NodeWrite) -> NodeRef {
    let node = write.node.clone();
    change.writes.push(write);
    node
}
