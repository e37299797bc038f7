//! Messages, their edits and deletions, and reactions to them.

use serde_json::{Value, json};

use super::{
    LACKING, Outcome,
    event::{CHANNEL_PART, Event, archived, writing},
};
use crate::{
    provider::{
        NodeRef,
        change::{Change, NodeWrite},
        sentence::Detail,
    },
    providers::slack::{
        message_text::{is_edit, message_text},
        names,
        normalize::{self, Telling},
        values::{excerpt, flag, object, text},
    },
};

/// The part of a sentence that says what was written.
pub(in super::super) const TEXT: &str = "text";

/// The part that says that the message is no more.
pub(in super::super) const GONE: &str = "gone";

const DIRECT: &str = "direct messages are not in the graph";

/// A message event of whatever subtype.
pub(super) fn message(event: &Event<'_>) -> Outcome {
    if matches!(event.text("channel_type"), Some("im" | "mpim" | "app_home")) {
        return Err(DIRECT);
    }
    match event.subtype {
        Some("message_changed") => changed(event).ok_or(LACKING),
        Some("message_deleted") => deleted(event).ok_or(LACKING),
        Some("message_replied") => replied(event).ok_or(LACKING),
        Some("ekm_access_denied") => Err("the workspace's key management withholds the message"),
        // Slack sometimes forgets to say so.
        None if object(event.value, "message").is_some() && event.text("user").is_none() => {
            replied(event).ok_or(LACKING)
        }
        None | Some("bot_message" | "me_message" | "file_share" | "thread_broadcast") => said(event).ok_or(LACKING),
        Some(_) if flag(event.value, "hidden") => Err("a hidden message, which only clients use"),
        Some(_) => noted(event).ok_or(LACKING),
    }
}

/// The same message comes as a message event too, where the app gets those: people are told of the first of them.
pub(super) fn mention(event: &Event<'_>) -> Outcome {
    let (change, message) = written(event).ok_or(LACKING)?;
    let told = event.told(change, Some(message), saying(event.value));
    let said = event.channel_id().zip(event.text("ts")).ok_or(LACKING)?;
    Ok(once(told, said_key(said.0, said.1)))
}

/// The message as it was just written.
fn written(event: &Event<'_>) -> Option<(Change, NodeRef)> {
    let telling = Telling { at: None, whole: true };
    let write = normalize::message(event.value, event.workspace(), event.channel_id()?, telling)?;
    let node = write.node.clone();
    let mut change = writing(write);
    // A reply adds to its thread, of which it does not tell how many replies it has.
    change.stale.extend(root(event.value, event));
    Some((change, node))
}

/// The message that began the thread, of a reply.
fn root(message: &Value, event: &Event<'_>) -> Option<NodeRef> {
    let root = text(message, "thread_ts").filter(|root| text(message, "ts") != Some(root))?;
    Some(names::message(event.team, event.channel_id()?, root))
}

fn said(event: &Event<'_>) -> Option<Change> {
    let (change, message) = written(event)?;
    let reply = event.text("thread_ts").filter(|root| event.text("ts") != Some(root));
    let parts = saying(event.value).into_iter().chain(reply.map(|_| ("reply", "yes".into())));
    let told = event.told(change, Some(message), parts);
    Some(once(told, said_key(event.channel_id()?, event.text("ts")?)))
}

/// The key by which a message is the same, however often and in what way Slack tells of it.
pub(in super::super) fn said_key(channel: &str, ts: &str) -> String {
    format!("said:{channel}:{ts}")
}

/// The key that makes an edit of a message the same: its time, which Slack tells in whole seconds, and the text that
/// it left. `None`: the message does not say that it was edited.
pub(in super::super) fn edited_key(channel: &str, message: &Value) -> Option<String> {
    let (ts, edited) = text(message, "ts").zip(text(object(message, "edited")?, "ts"))?;
    let said = blake3::hash(message_text(message).as_bytes()).to_hex();
    Some(format!("edited:{channel}:{ts}:{edited}:{}", said.get(..16).unwrap_or_default()))
}

/// People are told of it once.
fn once(mut change: Change, key: String) -> Change {
    if let Some(activity) = &mut change.activity {
        activity.key = Some(key);
    }
    change
}

/// A message that Slack itself writes into a channel: that it has another topic, that somebody came.
fn noted(event: &Event<'_>) -> Option<Change> {
    Some(once(note(event)?, said_key(event.channel_id()?, event.text("ts")?)))
}

fn note(event: &Event<'_>) -> Option<Change> {
    let (mut change, message) = written(event)?;
    let channel = event.channel()?;
    let fields = match event.subtype? {
        "channel_topic" | "group_topic" => Some(json!({ "topic": event.text("topic") })),
        "channel_purpose" | "group_purpose" => Some(json!({ "description": event.text("purpose") })),
        "channel_name" | "group_name" => event.text("name").map(|name| json!({ "name": name })),
        "channel_archive" | "group_archive" => Some(archived(true)),
        "channel_unarchive" | "group_unarchive" => Some(archived(false)),
        "channel_convert_to_private" => Some(json!({ "isPrivate": true })),
        "channel_convert_to_public" => Some(json!({ "isPrivate": false })),
        _ => None,
    };
    change.writes.extend(fields.map(|fields| event.write(channel.clone(), &fields)));
    let told = match event.subtype? {
        "channel_topic" | "group_topic" => event.text("topic"),
        "channel_purpose" | "group_purpose" => event.text("purpose"),
        // Each of these has an event of its own, which is told.
        "channel_join" | "group_join" | "channel_leave" | "group_leave" => {
            change.stale.push(channel);
            return Some(change);
        }
        "channel_name" | "group_name" | "channel_archive" | "group_archive" | "channel_unarchive"
        | "group_unarchive" => return Some(change),
        _ => {
            return Some(event.told(change, Some(message), saying(event.value)));
        }
    };
    Some(event.told(change, Some(channel), told.map(|text| (TEXT, excerpt(text).into()))))
}

fn changed(event: &Event<'_>) -> Option<Change> {
    let message = object(event.value, "message")?;
    let telling = Telling { at: Some(event.at), whole: false };
    let write = normalize::message(message, event.workspace(), event.channel_id()?, telling)?;
    if write.deleted.is_some() {
        return Some(forgotten(event, write.node, object(event.value, "previous_message")));
    }
    let node = write.node.clone();
    if !is_edit(message, object(event.value, "previous_message")) {
        return Some(writing(write));
    }
    let told = event.told(writing(write), Some(node), saying(message));
    Some(match edited_key(event.channel_id()?, message) {
        Some(key) => once(told, key),
        None => told,
    })
}

fn deleted(event: &Event<'_>) -> Option<Change> {
    let previous = object(event.value, "previous_message");
    let ts = event.text("deleted_ts").or_else(|| text(previous?, "ts"))?;
    crate::providers::slack::values::ts(ts)?;
    let node = names::message(event.team, event.channel_id()?, ts);
    Some(forgotten(event, node, previous))
}

fn forgotten(event: &Event<'_>, node: NodeRef, previous: Option<&Value>) -> Change {
    let mut change = writing(NodeWrite::tombstone(node.clone(), event.gone()));
    change.stale.extend(previous.and_then(|previous| root(previous, event)));
    // Its text is not repeated.
    event.told(change, Some(node), [(GONE, "yes".into())])
}

/// A thread grew: the message that began it comes along.
fn replied(event: &Event<'_>) -> Option<Change> {
    let message = object(event.value, "message")?;
    let telling = Telling { at: Some(event.at), whole: false };
    let write = normalize::message(message, event.workspace(), event.channel_id()?, telling)?;
    // The reply itself is told by its own event.
    Some(writing(write))
}

/// A reaction came or went: how many there are now, and whose, is not told.
pub(super) fn reaction(event: &Event<'_>) -> Outcome {
    let item = object(event.value, "item").ok_or(LACKING)?;
    if text(item, "type") != Some("message") {
        return Err("a reaction to a file; files are not in the graph");
    }
    let (channel, ts) = text(item, "channel").zip(text(item, "ts")).ok_or(LACKING)?;
    crate::providers::slack::values::ts(ts).ok_or(LACKING)?;
    // Direct conversations have ids of their own.
    if channel.starts_with('D') {
        return Err(DIRECT);
    }
    let message = names::message(event.team, channel, ts);
    let change = Change { stale: vec![message.clone()], ..Change::default() };
    let channel = NodeRef::new(names::CHANNEL, channel);
    let name = event.text("reaction").map(|name| ("reaction", excerpt(name).into()));
    let parts = [(CHANNEL_PART, Detail::node(&channel))].into_iter().chain(name);
    let mut change = event.told(change, Some(message), parts);
    if let Some(activity) = &mut change.activity {
        activity.containers = vec![channel];
    }
    Ok(change)
}

/// The text of a message, as a part of a sentence.
fn saying(message: &Value) -> Option<(&'static str, Detail)> {
    let text = excerpt(&message_text(message));
    (!text.is_empty()).then(|| (TEXT, text.into()))
}
