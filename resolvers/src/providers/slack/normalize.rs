//! Slack's users, channels, messages and workspaces as node writes: the same for answers and for events.

use chrono::{DateTime, TimeDelta, Utc};
use mullion_schema::view::Body;
use serde_json::{Value, json};

use super::{
    message_text::message_text,
    names::{self, CHANNEL, LINK, MEMBERS, REACTIONS, THREAD, USER, WORKSPACE},
    values::{flag, list, millis, object, seconds, stamp, text, text_or_null, ts_of},
};
use crate::provider::{
    NodeRef,
    change::{NodeWrite, Version},
};

/// The workspace that things are in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Workspace<'a> {
    /// Its id.
    pub(super) team: &'a str,
    /// `https://acme.slack.com/`; `None`: not known, for events do not tell.
    pub(super) site: Option<&'a str>,
}

impl Workspace<'_> {
    /// The address of something: below the workspace's, or one that works for every workspace until that is known.
    fn link(&self, write: NodeWrite, path: &str, elsewhere: Option<&str>) -> NodeWrite {
        let (version, url) = match self.site {
            Some(site) => (1, Some(format!("{}/{path}", site.trim_end_matches('/')))),
            None => (0, elsewhere.map(|query| format!("https://slack.com/app_redirect?team={}&{query}", self.team))),
        };
        write.with(LINK, Version { at: version, rank: 0 }, body(json!({ "url": url })))
    }
}

/// How much a message's JSON says of its thread and its reactions, and when that was so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling {
    /// `None`: when the message was written.
    pub(super) at: Option<DateTime<Utc>>,
    /// Whether what is not mentioned is not there.
    pub(super) whole: bool,
}

/// A fetch knows nothing of the last seconds for certain: our clock may be ahead of Slack's.
const SKEW: TimeDelta = TimeDelta::seconds(10);

impl Telling {
    /// Slack tells the time of an edit in whole seconds. Where two edits fall in one second, the one that
    /// was told later is newer: the rank is the microseconds since then.
    fn rank(self, changed: DateTime<Utc>) -> i32 {
        let Some(at) = self.at else { return 0 };
        let at = if self.whole { at - SKEW } else { at };
        let micros = (at - changed).num_microseconds().unwrap_or(i64::MAX).max(0);
        i32::try_from(micros).unwrap_or(i32::MAX)
    }
}

fn body(value: Value) -> Body {
    match value {
        Value::Object(body) => body,
        _ => Body::new(),
    }
}

/// `SlackUser:U1`.
pub(super) fn user_reference(id: Option<&str>) -> Value {
    id.map_or(Value::Null, |id| format!("{USER}:{id}").into())
}

/// A user. `at`: the version where Slack tells none.
pub(super) fn user(value: &Value, workspace: Workspace<'_>, at: DateTime<Utc>) -> Option<NodeWrite> {
    let id = text(value, "id")?;
    let profile = object(value, "profile").unwrap_or(&Value::Null);
    let handle = text(value, "name");
    let real_name = text(value, "real_name").or_else(|| text(profile, "real_name"));
    let display_name = text(profile, "display_name").or(real_name).or(handle).unwrap_or(id);
    let sizes = ["image_512", "image_192", "image_72", "image_48", "image_original"];
    let avatar = sizes.iter().find_map(|size| text(profile, size));
    let updated = seconds(value, "updated");
    let fields = json!({
        "handle": handle,
        "displayName": display_name,
        "realName": real_name,
        "email": text_or_null(profile, "email"),
        "avatarUrl": avatar,
        "isBot": flag(value, "is_bot") || id == "USLACKBOT",
        "timezone": text_or_null(value, "tz"),
        "statusText": text_or_null(profile, "status_text"),
        "statusEmoji": text_or_null(profile, "status_emoji"),
        "isDeleted": flag(value, "deleted"),
        "createdAt": null,
        "updatedAt": stamp(updated),
    });
    let write = NodeWrite::core(NodeRef::new(USER, id), Version::at(updated.unwrap_or(at)), body(fields));
    Some(workspace.link(write, &format!("team/{id}"), None))
}

/// A channel as the API answers it. Direct messages are no channels.
pub(super) fn channel(value: &Value, workspace: Workspace<'_>, at: DateTime<Utc>) -> Option<NodeWrite> {
    if is_direct(value) {
        return None;
    }
    let (id, name) = (text(value, "id")?, text(value, "name")?);
    let note = |key| object(value, key).map_or(Value::Null, |note| text_or_null(note, "value"));
    let created = seconds(value, "created");
    let updated = millis(value, "updated").or(created);
    let fields = json!({
        "name": name,
        "topic": note("topic"),
        "description": note("purpose"),
        "isPrivate": flag(value, "is_private") || flag(value, "is_group"),
        "isArchived": flag(value, "is_archived"),
        "createdAt": stamp(created),
        "updatedAt": stamp(updated),
    });
    let mut write = NodeWrite::core(NodeRef::new(CHANNEL, id), Version::at(updated.unwrap_or(at)), body(fields));
    if let Some(count) = value.get("num_members").and_then(Value::as_u64) {
        write = write.with(MEMBERS, Version::at(at), body(json!({ "memberCount": count })));
    }
    Some(channel_link(write, workspace, id))
}

/// Whether a conversation is one of direct messages.
pub(super) fn is_direct(value: &Value) -> bool {
    flag(value, "is_im") || flag(value, "is_mpim")
}

/// Whether something else stands in the place of a channel's number of members.
pub(super) fn has_broken_count(value: &Value) -> bool {
    value.get("num_members").is_some_and(|count| !count.is_u64())
}

/// A channel with its address.
pub(super) fn channel_link(write: NodeWrite, workspace: Workspace<'_>, id: &str) -> NodeWrite {
    workspace.link(write, &format!("archives/{id}"), Some(&format!("channel={id}")))
}

/// A message. One that was deleted while its thread lives on is no message any more.
pub(super) fn message(value: &Value, workspace: Workspace<'_>, channel: &str, telling: Telling) -> Option<NodeWrite> {
    let ts = text(value, "ts")?;
    let sent = super::values::ts(ts)?;
    let node = names::message(workspace.team, channel, ts);
    let told = Version::at(telling.at.unwrap_or(sent));
    if text(value, "subtype") == Some("tombstone") {
        return Some(NodeWrite::tombstone(node, told));
    }
    let edited = object(value, "edited").and_then(|edited| ts_of(edited, "ts"));
    let thread = text(value, "thread_ts").filter(|root| *root != ts);
    let fields = json!({
        "text": message_text(value),
        "author": user_reference(author(value)),
        "ts": ts,
        "channel": format!("{CHANNEL}:{channel}"),
        "subtype": text_or_null(value, "subtype"),
        "editedAt": stamp(edited),
        "sentAt": stamp(Some(sent)),
        "createdAt": stamp(Some(sent)),
        "updatedAt": stamp(edited.or(Some(sent))),
    });
    let changed = edited.map_or(sent, |edited| edited.max(sent));
    let mut write = NodeWrite::core(node, Version::ranked(changed, telling.rank(changed)), body(fields));
    let mut in_thread = body(json!({ "threadTs": thread }));
    let replies = value.get("reply_count").and_then(Value::as_i64);
    if let Some(replies) = replies.or_else(|| (telling.whole || value.get("thread_ts").is_none()).then_some(0)) {
        in_thread.insert("replyCount".to_owned(), replies.into());
    }
    write = write.with(THREAD, told, in_thread);
    if telling.whole || value.get("reactions").is_some() {
        write = write.with(REACTIONS, told, body(json!({ "reactions": reactions(value) })));
    }
    let plain: String = ts.chars().filter(|letter| *letter != '.').collect();
    let asked = thread.map_or_else(String::new, |root| format!("?thread_ts={root}&cid={channel}"));
    let path = format!("archives/{channel}/p{plain}{asked}");
    Some(workspace.link(write, &path, Some(&format!("channel={channel}&message_ts={ts}"))))
}

/// The author of a message: apps of old have no user.
pub(super) fn author(value: &Value) -> Option<&str> {
    text(value, "user").or_else(|| text(object(value, "bot_profile")?, "user_id"))
}

fn reactions(value: &Value) -> Value {
    let reaction = |reaction: &Value| {
        let name = text(reaction, "name")?;
        let users: Vec<Value> =
            list(reaction, "users").iter().filter_map(Value::as_str).map(|id| user_reference(Some(id))).collect();
        let count = reaction.get("count").and_then(Value::as_u64).unwrap_or(users.len() as u64);
        Some(json!({ "name": name, "count": count, "users": users }))
    };
    list(value, "reactions").iter().filter_map(reaction).collect()
}

/// A workspace, which has no time of change.
pub(super) fn workspace(value: &Value, at: DateTime<Utc>) -> Option<NodeWrite> {
    let (id, name) = (text(value, "id")?, text(value, "name")?);
    let icon = object(value, "icon").unwrap_or(&Value::Null);
    let icon = ["image_230", "image_132", "image_102", "image_88", "image_68"].iter().find_map(|size| text(icon, size));
    let fields = json!({
        "name": name,
        "domain": text_or_null(value, "domain"),
        "iconUrl": icon,
        "url": text_or_null(value, "url"),
        "createdAt": null,
        "updatedAt": null,
    });
    Some(NodeWrite::core(NodeRef::new(WORKSPACE, id), Version::at(at), body(fields)))
}
