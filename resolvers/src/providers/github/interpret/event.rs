//! An event under interpretation: its parts, and the change that grows out of it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::super::{
    names::{REPOSITORY, USER},
    rest,
    values::{login, object, text},
};
use crate::change::{ActivityDraft, Change, ListRef, NodeRef, NodeWrite};

/// Longer titles are cut in summaries.
const TITLE: usize = 120;

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

    /// `acme/web`.
    pub(super) fn repository_name(&self) -> &'a str {
        self.repository().and_then(|repository| text(repository, "full_name")).unwrap_or("a repository")
    }

    /// A list of the repository.
    pub(super) fn list(&self, name: &'static str) -> Option<ListRef> {
        Some(ListRef { parent: Some(self.repository_node()?), name })
    }

    /// Who did it, for summaries.
    pub(super) fn who(&self) -> &'a str {
        self.part("sender").and_then(login).unwrap_or("someone")
    }

    /// The action as a past tense, or another word where the action is none.
    pub(super) fn verb(&self) -> String {
        self.action.unwrap_or(self.name).replace('_', " ")
    }

    /// A change with everyone who is mentioned, and the repository.
    pub(super) fn change(&self) -> Change {
        let mut writes = rest::people(self.payload);
        writes.extend(self.repository().and_then(rest::repository));
        Change { writes, ..Change::default() }
    }

    /// Tells the change to people.
    pub(super) fn told(
        &self,
        mut change: Change,
        subject: Option<NodeRef>,
        summary: &str,
        at: Option<DateTime<Utc>>,
    ) -> Change {
        let kind = match self.action {
            Some(action) => format!("{}.{action}", self.name),
            None => self.name.to_owned(),
        };
        change.activity = Some(ActivityDraft {
            key: None,
            kind,
            actor: self.part("sender").and_then(|sender| rest::node(USER, sender)),
            subject,
            summary: one_line(summary),
            occurred_at: at.unwrap_or(self.received_at),
            containers: self.repository_node().into_iter().collect(),
        });
        change
    }
}

/// `acme/web#12: Title`.
pub(super) fn titled(repository: &str, item: &Value) -> String {
    let title = text(item, "title").unwrap_or("untitled");
    match item.get("number").and_then(Value::as_i64) {
        Some(number) => format!("{repository}#{number}: {}", shortened(title)),
        None => format!("{repository}: {}", shortened(title)),
    }
}

/// A text of people, cut.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(TITLE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Adds a write, last: what it refers to was written before.
pub(super) fn write(change: &mut Change, write: NodeWrite) -> NodeRef {
    let node = write.node.clone();
    change.writes.push(write);
    node
}
