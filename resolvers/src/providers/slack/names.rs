//! The names of Slack's types, lists and aspects as the engine and the graph know them: written once.

use crate::provider::NodeRef;

pub(super) const WORKSPACE: &str = "SlackWorkspace";
pub(super) const CHANNEL: &str = "SlackChannel";
pub(super) const MESSAGE: &str = "SlackMessage";
pub(super) const USER: &str = "SlackUser";

pub(super) const CHANNELS: &str = "channels";
pub(super) const USERS: &str = "users";
pub(super) const MESSAGES: &str = "messages";
pub(super) const REPLIES: &str = "replies";

/// A message's reactions: its `edited` does not move with them.
pub(super) const REACTIONS: &str = "reactions";
/// The aspect of a message that its thread gives.
pub(super) const THREAD: &str = "thread";
/// A channel's `memberCount`.
pub(super) const MEMBERS: &str = "members";
/// The address of a thing, which events do not tell.
pub(super) const LINK: &str = "link";

/// A message: its `ts` is an id in its channel only.
pub(super) fn message(team: &str, channel: &str, ts: &str) -> NodeRef {
    NodeRef::new(MESSAGE, format!("{team}:{channel}:{ts}"))
}

/// A message's team, channel and ts.
pub(super) fn message_parts(native_id: &str) -> Option<(&str, &str, &str)> {
    let (team, rest) = native_id.split_once(':')?;
    let (channel, ts) = rest.split_once(':')?;
    let whole = !team.is_empty() && !channel.is_empty() && super::values::ts(ts).is_some();
    whole.then_some((team, channel, ts))
}
