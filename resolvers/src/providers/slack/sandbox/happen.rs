//! The things that can happen in the workspace. Each function changes the world and tells the events that Slack would tell.
//! Acts (by people) and writing API calls (by our bot) both end here.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    identity::{BOT_USER, TEAM_ID},
    model::{Channel, Kind, Message, Note, Ts, World},
    render,
};
use crate::sandbox::fields;

/// Why something cannot happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    NoChannel,
    NoMessage,
    NoUser,
    Archived,
    NameTaken,
    AlreadyIn,
    AlreadyReacted,
    NoReaction,
}

/// Names a message: its channel and its ts there.
#[derive(Debug, Clone)]
pub(super) struct MessageRef {
    pub(super) channel: String,
    pub(super) ts: Ts,
}

impl World {
    /// Puts a message into a channel, at `now` or the next free ts.
    pub(super) fn post(&mut self, now: DateTime<Utc>, channel: &str, message: &Message) -> Result<MessageRef, Refused> {
        let target = self.channel_mut(channel).ok_or(Refused::NoChannel)?;
        if target.archived {
            return Err(Refused::Archived);
        }
        let ts = self.insert(now, channel, message)?;
        Ok(MessageRef { channel: channel.to_owned(), ts })
    }

    /// The same, also where people cannot write any more ("archived the channel").
    fn insert(&mut self, now: DateTime<Utc>, channel: &str, message: &Message) -> Result<Ts, Refused> {
        let target = self.channel_mut(channel).ok_or(Refused::NoChannel)?;
        let ts = target.free_ts(Ts::at(now));
        target.messages.insert(ts, message.clone());
        let mut event = render::bare_message(self, ts, message);
        let target = self.channel(channel).ok_or(Refused::NoChannel)?;
        if let Some(root) = message.thread {
            fields::extend(&mut event, render::reply_fields(target, root));
        }
        fields::extend(&mut event, in_channel(target));
        self.emit(now, ts, event);
        Ok(ts)
    }

    pub(super) fn edit(&mut self, now: DateTime<Utc>, reference: &MessageRef, text: &str) -> Result<(), Refused> {
        let previous = self.shown(reference)?;
        let at = Ts::at(now);
        let message = self.message_mut(reference)?;
        text.clone_into(&mut message.text);
        message.edited = Some((message.user.clone(), at.whole_seconds()));
        let message = self.shown(reference)?;
        self.emit_hidden(
            now,
            reference,
            json!({ "subtype": "message_changed", "message": message, "previous_message": previous }),
        )
    }

    /// A thread outlives its first message: that one becomes a tombstone.
    pub(super) fn delete(&mut self, now: DateTime<Utc>, reference: &MessageRef) -> Result<(), Refused> {
        let previous = self.shown(reference)?;
        let channel = self.channel_mut(&reference.channel).ok_or(Refused::NoChannel)?;
        if channel.replies(reference.ts).next().is_some() {
            let text = "This message was deleted.".to_owned();
            let user = super::identity::SLACKBOT.to_owned();
            let tombstone = Message { user, text, subtype: Some("tombstone"), ..Message::default() };
            channel.messages.insert(reference.ts, tombstone);
        } else {
            channel.messages.remove(&reference.ts);
        }
        let deleted = reference.ts.to_string();
        self.emit_hidden(
            now,
            reference,
            json!({ "subtype": "message_deleted", "deleted_ts": deleted, "previous_message": previous }),
        )
    }

    fn emit_hidden(&mut self, now: DateTime<Utc>, reference: &MessageRef, more: Value) -> Result<(), Refused> {
        let at = Ts::at(now);
        let mut event = json!({ "type": "message", "hidden": true, "ts": at.to_string() });
        fields::extend(&mut event, more);
        fields::extend(&mut event, in_channel(self.channel(&reference.channel).ok_or(Refused::NoChannel)?));
        self.emit(now, at, event);
        Ok(())
    }

    pub(super) fn react(
        &mut self,
        now: DateTime<Utc>,
        reference: &MessageRef,
        user: &str,
        name: &str,
    ) -> Result<(), Refused> {
        let message = self.message_mut(reference)?;
        match message.reactions.iter_mut().find(|(used, _)| used == name) {
            Some((_, users)) if users.iter().any(|each| each == user) => return Err(Refused::AlreadyReacted),
            Some((_, users)) => users.push(user.to_owned()),
            None => message.reactions.push((name.to_owned(), vec![user.to_owned()])),
        }
        self.emit_reaction(now, reference, ("reaction_added", user, name))
    }

    pub(super) fn unreact(
        &mut self,
        now: DateTime<Utc>,
        reference: &MessageRef,
        user: &str,
        name: &str,
    ) -> Result<(), Refused> {
        let message = self.message_mut(reference)?;
        let reaction = message.reactions.iter_mut().find(|(used, _)| used == name);
        let (_, users) = reaction.ok_or(Refused::NoReaction)?;
        let index = users.iter().position(|each| each == user).ok_or(Refused::NoReaction)?;
        users.remove(index);
        message.reactions.retain(|(_, users)| !users.is_empty());
        self.emit_reaction(now, reference, ("reaction_removed", user, name))
    }

    fn emit_reaction(
        &mut self,
        now: DateTime<Utc>,
        reference: &MessageRef,
        what: (&str, &str, &str),
    ) -> Result<(), Refused> {
        let (event, user, name) = what;
        let author = self.message_mut(reference)?.user.clone();
        let item = json!({ "type": "message", "channel": reference.channel, "ts": reference.ts.to_string() });
        let event = json!({ "type": event, "user": user, "reaction": name, "item": item, "item_user": author });
        self.emit(now, Ts::at(now), event);
        Ok(())
    }

    pub(super) fn create_channel(&mut self, now: DateTime<Utc>, name: &str, creator: &str) -> Result<String, Refused> {
        self.check_name(name)?;
        let id = self.next_channel_id();
        let created = now.timestamp();
        let channel = Channel {
            id: id.clone(),
            name: name.to_owned(),
            kind: Kind::Public,
            creator: creator.to_owned(),
            created,
            updated: now.timestamp_millis(),
            topic: Note::default(),
            purpose: Note::default(),
            members: vec![creator.to_owned(), BOT_USER.to_owned()],
            archived: false,
            previous_names: Vec::new(),
            messages: std::collections::BTreeMap::new(),
        };
        let mut described = named(&channel);
        let more = json!({ "creator": creator, "is_shared": false, "is_org_shared": false, "context_team_id": TEAM_ID, "updated": channel.updated });
        fields::extend(&mut described, more);
        self.channels.push(channel);
        self.emit(now, Ts::at(now), json!({ "type": "channel_created", "channel": described }));
        Ok(id)
    }

    pub(super) fn rename_channel(
        &mut self,
        now: DateTime<Utc>,
        id: &str,
        name: &str,
        user: &str,
    ) -> Result<(), Refused> {
        self.check_name(name)?;
        let channel = self.live_channel(id)?;
        let old = std::mem::replace(&mut channel.name, name.to_owned());
        channel.previous_names.insert(0, old.clone());
        channel.updated = now.timestamp_millis();
        let (described, private) = (named(channel), channel.kind == Kind::Private);
        let event = if private { "group_rename" } else { "channel_rename" };
        self.emit(now, Ts::at(now), json!({ "type": event, "channel": described }));
        let subtype = if private { "group_name" } else { "channel_name" };
        let text = format!("<@{user}> has renamed the channel from \"{old}\" to \"{name}\"");
        let extra = vec![("old_name", old), ("name", name.to_owned())];
        self.note(now, id, (subtype, user, text), extra)
    }

    pub(super) fn archive_channel(&mut self, now: DateTime<Utc>, id: &str, user: &str) -> Result<(), Refused> {
        let channel = self.live_channel(id)?;
        channel.archived = true;
        channel.updated = now.timestamp_millis();
        let private = channel.kind == Kind::Private;
        let event = if private { "group_archive" } else { "channel_archive" };
        self.emit(now, Ts::at(now), json!({ "type": event, "channel": id, "user": user, "is_moved": 0 }));
        self.note(now, id, (event, user, format!("<@{user}> archived the channel")), Vec::new())
    }

    pub(super) fn set_topic(&mut self, now: DateTime<Utc>, id: &str, topic: &str, user: &str) -> Result<(), Refused> {
        let channel = self.live_channel(id)?;
        channel.topic = Note { value: topic.to_owned(), creator: user.to_owned(), last_set: now.timestamp() };
        channel.updated = now.timestamp_millis();
        let subtype = if channel.kind == Kind::Private { "group_topic" } else { "channel_topic" };
        let text = format!("<@{user}> set the channel topic: {topic}");
        self.note(now, id, (subtype, user, text), vec![("topic", topic.to_owned())])
    }

    pub(super) fn join_channel(&mut self, now: DateTime<Utc>, id: &str, user: &str) -> Result<(), Refused> {
        let channel = self.live_channel(id)?;
        if channel.has(user) {
            return Err(Refused::AlreadyIn);
        }
        channel.members.push(user.to_owned());
        let private = channel.kind == Kind::Private;
        let kind = if private { "G" } else { "C" };
        let event = json!({ "type": "member_joined_channel", "user": user, "channel": id, "channel_type": kind, "team": TEAM_ID });
        self.emit(now, Ts::at(now), event);
        let (subtype, what) = if private { ("group_join", "group") } else { ("channel_join", "channel") };
        self.note(now, id, (subtype, user, format!("<@{user}> has joined the {what}")), Vec::new())
    }

    /// Tells that a user was changed; the caller changed it.
    pub(super) fn emit_user_change(&mut self, now: DateTime<Utc>, id: &str) -> Result<(), Refused> {
        let user = self.user_mut(id).ok_or(Refused::NoUser)?;
        user.updated = now.timestamp();
        let user = self.user(id).ok_or(Refused::NoUser)?;
        let described = render::user(self, user);
        self.emit(now, Ts::at(now), json!({ "type": "user_change", "user": described, "cache_ts": now.timestamp() }));
        Ok(())
    }

    fn note(
        &mut self,
        now: DateTime<Utc>,
        channel: &str,
        (subtype, user, text): (&'static str, &str, String),
        extra: Vec<(&'static str, String)>,
    ) -> Result<(), Refused> {
        let message = Message { user: user.to_owned(), text, subtype: Some(subtype), extra, ..Message::default() };
        self.insert(now, channel, &message).map(|_| ())
    }

    fn check_name(&self, name: &str) -> Result<(), Refused> {
        let taken = self.channels.iter().any(|channel| channel.kind != Kind::Direct && channel.name == name);
        if taken { Err(Refused::NameTaken) } else { Ok(()) }
    }

    fn live_channel(&mut self, id: &str) -> Result<&mut Channel, Refused> {
        let channel = self.channel_mut(id).filter(|channel| channel.kind != Kind::Direct).ok_or(Refused::NoChannel)?;
        if channel.archived { Err(Refused::Archived) } else { Ok(channel) }
    }

    fn message_mut(&mut self, reference: &MessageRef) -> Result<&mut Message, Refused> {
        let channel = self.channel_mut(&reference.channel).ok_or(Refused::NoChannel)?;
        channel.messages.get_mut(&reference.ts).ok_or(Refused::NoMessage)
    }

    /// The message as events wrap it.
    fn shown(&self, reference: &MessageRef) -> Result<Value, Refused> {
        let channel = self.channel(&reference.channel).ok_or(Refused::NoChannel)?;
        let message = channel.messages.get(&reference.ts).ok_or(Refused::NoMessage)?;
        Ok(render::message(self, channel, reference.ts, message))
    }
}

fn in_channel(channel: &Channel) -> Value {
    let kind = match channel.kind {
        Kind::Public => "channel",
        Kind::Private => "group",
        Kind::Direct => "im",
    };
    json!({ "channel": channel.id, "channel_type": kind })
}

/// A channel as the events about its name carry it.
fn named(channel: &Channel) -> Value {
    let private = channel.kind == Kind::Private;
    json!({
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "created": channel.created,
        "is_channel": !private,
        "is_group": private,
        "is_mpim": false,
        "is_im": false,
        "is_private": private,
    })
}
