//! An event under interpretation: its parts, and the change that grows out of it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::super::{
    names::{CHANNEL, USER},
    normalize::{Workspace, author},
    values::{list, object, seconds, text, ts_of},
    webhook::event_name,
};
use crate::provider::{
    NodeRef,
    change::{ActivityDraft, Change, NodeWrite, Version},
    sentence::{ACTOR, Detail, Details},
};

/// An event with what all events have in common.
pub(super) struct Event<'a> {
    /// `message`.
    pub(super) name: &'a str,
    /// `message_changed`.
    pub(super) subtype: Option<&'a str>,
    /// The event itself.
    pub(super) value: &'a Value,
    /// The workspace that the app is installed in.
    pub(super) team: &'a str,
    /// When it happened, by Slack's clock.
    pub(super) at: DateTime<Utc>,
    received_at: DateTime<Utc>,
    /// `message.message_changed`.
    kind: String,
    /// The user that the app acts as.
    me: Option<&'a str>,
}

impl<'a> Event<'a> {
    /// `None`: the document is not about an event.
    pub(super) fn new(envelope: &'a Value, received_at: DateTime<Utc>) -> Option<Self> {
        let value = object(envelope, "event")?;
        // The `team_id` of a channel that is shared with another workspace may be the other's.
        let installed = list(envelope, "authorizations").first();
        let team = installed.and_then(|installed| text(installed, "team_id"));
        let team = team.or_else(|| text(envelope, "context_team_id")).or_else(|| text(envelope, "team_id"));
        let at = ts_of(value, "event_ts").or_else(|| seconds(envelope, "event_time"));
        Some(Self {
            name: text(value, "type")?,
            subtype: text(value, "subtype"),
            value,
            team: team.unwrap_or_default(),
            at: at.unwrap_or(received_at),
            received_at,
            kind: event_name(envelope),
            me: installed.and_then(|installed| text(installed, "user_id")),
        })
    }

    /// A text of the event.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        text(self.value, key)
    }

    pub(super) fn workspace(&self) -> Workspace<'a> {
        Workspace { team: self.team, site: None }
    }

    /// The id of the channel, which some events tell as a text and some as an object.
    pub(super) fn channel_id(&self) -> Option<&'a str> {
        self.text("channel").or_else(|| text(object(self.value, "channel")?, "id"))
    }

    pub(super) fn channel(&self) -> Option<NodeRef> {
        self.channel_id().map(|id| NodeRef::new(CHANNEL, id))
    }

    /// Whether it is about the app's own user.
    pub(super) fn is_about_me(&self) -> bool {
        self.me.is_some() && self.text("user") == self.me
    }

    /// The version of what the event brings.
    pub(super) fn version(&self) -> Version {
        Version::at(self.at)
    }

    /// The version of a deletion: what is deleted at Slack does not come back, and a fetch that ran meanwhile must not revive it.
    pub(super) fn gone(&self) -> Version {
        Version::at(self.at.max(self.received_at))
    }

    /// A node with some fields as they are since this event.
    pub(super) fn write(&self, node: NodeRef, fields: &Value) -> NodeWrite {
        let mut fields = fields.as_object().cloned().unwrap_or_default();
        fields.insert("updatedAt".to_owned(), super::super::values::stamp(Some(self.at)));
        NodeWrite::core(node, self.version(), fields)
    }

    /// Tells the change to people, with the parts of its sentence beside those that all have: who did it, and in which channel.
    pub(super) fn told(
        &self,
        mut change: Change,
        subject: Option<NodeRef>,
        parts: impl IntoIterator<Item = (&'static str, Detail)>,
    ) -> Change {
        let actor = text(self.value, "actor_id").or_else(|| author(self.value)).or_else(|| {
            let inner = object(self.value, "message").or_else(|| object(self.value, "channel"))?;
            author(inner).or_else(|| text(inner, "creator"))
        });
        let actor = actor.map(|id| NodeRef::new(USER, id));
        let mut details: Details = parts.into_iter().map(|(name, detail)| (name.to_owned(), detail)).collect();
        let named = actor.as_ref().map(Detail::node).or_else(|| self.app().map(Detail::from));
        details.extend(named.map(|actor| (ACTOR.to_owned(), actor)));
        details.extend(self.channel().map(|channel| (CHANNEL_PART.to_owned(), self.called(&channel))));
        change.activity = Some(ActivityDraft {
            kind: self.kind.clone(),
            actor,
            subject,
            details,
            occurred_at: self.at,
            containers: self.channel().into_iter().collect(),
            ..ActivityDraft::default()
        });
        change
    }

    /// The name under which an app writes that acts as no user.
    fn app(&self) -> Option<&'a str> {
        let message = object(self.value, "message").unwrap_or(self.value);
        text(message, "username").or_else(|| text(object(message, "bot_profile")?, "name"))
    }

    /// A channel by its present name; by the one that the event tells while no other is known.
    fn called(&self, channel: &NodeRef) -> Detail {
        let told = object(self.value, "channel").and_then(|channel| text(channel, "name"));
        told.map_or_else(|| Detail::node(channel), |name| Detail::named(channel, name))
    }
}

/// The part of a sentence that names the channel.
pub(in super::super) const CHANNEL_PART: &str = "channel";

/// A change of one write.
pub(super) fn writing(write: NodeWrite) -> Change {
    Change { writes: vec![write], ..Change::default() }
}

/// Fields of a channel that is gone to the archive, or back.
pub(super) fn archived(is: bool) -> Value {
    json!({ "isArchived": is })
}
