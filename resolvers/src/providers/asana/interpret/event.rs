//! An event under interpretation: its parts, and the change that grows out of it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::super::{
    names::{COMPLETED, CORE, PROJECT, SECTION, TASK, USER, WORKSPACE},
    values::{node, object, text, time, written},
};
use crate::provider::{
    ListRef, NodeRef,
    change::{Act, ActivityDraft, Aspect, Change, NodeWrite, Version},
    sentence::{ACTOR, Detail, Details},
};

/// Longer words are none of Asana's.
const WORD: usize = 40;

/// The event of an empty delivery.
pub(in super::super) const HEARTBEAT: &str = "heartbeat";

/// An event with what all events have in common.
pub(super) struct Event<'a> {
    /// `task`.
    pub(super) resource_type: &'a str,
    /// `changed`.
    pub(super) action: &'a str,
    pub(super) received_at: DateTime<Utc>,
    document: &'a Value,
}

/// `task.changed`.
pub(in super::super) fn kind_of(event: &Value) -> String {
    format!("{}.{}", resource_type(event), action(event))
}

/// The key by which an event is the same, whether a webhook brought it or the log: Asana gives events no ids.
pub(in super::super) fn key_of(event: &Value) -> String {
    let gid = |name: &str| object(event, name).and_then(|named| text(named, "gid")).unwrap_or_default();
    let field = object(event, "change").and_then(|change| word(change, "field")).unwrap_or_default();
    let at = text(event, "created_at").unwrap_or_default();
    format!("{}|{}|{}|{}|{field}|{at}", kind_of(event), gid("resource"), gid("parent"), gid("user"))
}

fn resource_type(event: &Value) -> &str {
    let resource = object(event, "resource").and_then(|resource| word(resource, "resource_type"));
    resource.or_else(|| word(event, "type")).unwrap_or("unknown")
}

fn action(event: &Value) -> &str {
    word(event, "action").unwrap_or("unknown")
}

/// One of Asana's own words.
fn word<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    let plain = |word: &&str| word.len() <= WORD && word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
    text(value, key).filter(plain)
}

impl<'a> Event<'a> {
    pub(super) fn new(event: &'a Value, received_at: DateTime<Utc>) -> Self {
        Self { resource_type: resource_type(event), action: action(event), received_at, document: event }
    }

    /// Whether the action is one of these.
    pub(super) fn is(&self, actions: &[&str]) -> bool {
        actions.contains(&self.action)
    }

    /// The resource as a node of this type.
    pub(super) fn resource(&self, type_name: &'static str) -> Option<NodeRef> {
        node(type_name, object(self.document, "resource")?)
    }

    /// `comment_added`.
    pub(super) fn subtype(&self) -> Option<&'a str> {
        word(object(self.document, "resource")?, "resource_subtype")
    }

    /// The thing that the resource was added to or removed from, where it is in the graph.
    pub(super) fn parent(&self) -> Option<NodeRef> {
        let parent = object(self.document, "parent")?;
        let type_name = match word(parent, "resource_type")? {
            "project" => PROJECT,
            "section" => SECTION,
            "task" => TASK,
            "workspace" => WORKSPACE,
            _ => return None,
        };
        node(type_name, parent)
    }

    /// The parent, if it is of this type.
    pub(super) fn parent_of(&self, type_name: &'static str) -> Option<NodeRef> {
        self.parent().filter(|parent| parent.type_name == type_name)
    }

    /// The field that changed.
    pub(super) fn field(&self) -> Option<&'a str> {
        word(object(self.document, "change")?, "field")
    }

    /// The person that a field was set to.
    pub(super) fn new_person(&self) -> Option<NodeRef> {
        let value = object(object(self.document, "change")?, "new_value")?;
        node(USER, value).filter(|_| word(value, "resource_type") == Some("user"))
    }

    /// When it happened, by Asana's clock.
    pub(super) fn at(&self) -> DateTime<Utc> {
        time(self.document, "created_at").unwrap_or(self.received_at)
    }

    /// The node is gone. A node without times of its own was versioned by our clock, which may be ahead.
    pub(super) fn gone(&self, node: &NodeRef) -> NodeWrite {
        let at = if matches!(node.type_name, TASK | PROJECT) { self.at() } else { self.at().max(self.received_at) };
        NodeWrite::tombstone(node.clone(), Version::at(at))
    }

    /// The node is back: it is known again, and everything else of it is to be asked for.
    pub(super) fn back(&self, node: &NodeRef) -> NodeWrite {
        let fields = [("updatedAt".to_owned(), written(self.at()))].into_iter().collect();
        let aspect = Aspect { name: CORE, version: Version::at(self.at()), fields };
        NodeWrite { node: node.clone(), aspects: vec![aspect], deleted: None }
    }

    /// Tells the change to people: a sentence with these parts, and the acts that it may be part of.
    pub(super) fn told(&self, mut change: Change, subject: NodeRef, parts: Vec<(String, Detail)>, act: Act) -> Change {
        let parent = self.parent().filter(|parent| *parent != subject);
        let projects = [Some(subject.clone()), parent].into_iter().flatten();
        let actor = object(self.document, "user").and_then(|user| node(USER, user));
        let mut details: Details = parts.into_iter().collect();
        details.extend(actor.iter().map(|actor| (ACTOR.to_owned(), Detail::node(actor))));
        let by = actor.as_ref().map_or("", |actor| &actor.native_id);
        let Act { names, partial } = act;
        let names = names.into_iter().map(|name| format!("{name}|{}|{by}", subject.native_id)).collect();
        change.activity = Some(ActivityDraft {
            key: Some(key_of(self.document)),
            kind: kind_of(self.document),
            actor,
            details,
            occurred_at: self.at(),
            containers: projects.filter(|node| node.type_name == PROJECT).collect(),
            act: Act { names, partial },
            subject: Some(subject),
            ..ActivityDraft::default()
        });
        change
    }

    /// The fields that changed, as parts: several are one edit. Each time that a thing is completed or reopened, archived or unarchived
    /// is an act of its own.
    pub(super) fn edited(&self) -> (Vec<(String, Detail)>, Act) {
        let Some(field) = self.field().filter(|_| self.is(&["changed"])) else { return (Vec::new(), Act::default()) };
        let mut parts = vec![(format!("{FIELD}{field}"), field.into())];
        parts.extend(self.new_person().map(|person| (field.to_owned(), Detail::node(&person))));
        let is_alone = matches!(field, COMPLETED | "archived");
        (parts, if is_alone { Act::default() } else { act(&[EDITED]) })
    }
}

/// How parts begin that tell a field of.
pub(in super::super) const FIELD: &str = "field:";

/// The act of editing a thing.
pub(super) const EDITED: &str = "edited";

/// An act that its events tell whole.
pub(super) fn act(names: &[&str]) -> Act {
    Act { names: names.iter().map(|name| (*name).to_owned()).collect(), partial: false }
}

/// A node as a part of a sentence.
pub(super) fn part(name: &str, node: &NodeRef) -> (String, Detail) {
    (name.to_owned(), Detail::node(node))
}

/// A list that hangs on a node.
pub(super) fn list_of(parent: NodeRef, name: &'static str) -> ListRef {
    ListRef { parent: Some(parent), name }
}
