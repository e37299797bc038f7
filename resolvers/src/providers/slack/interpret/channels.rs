//! Channels: public ones (`channel_*`) and private ones (`group_*`).

use serde_json::json;

use super::event::{self, CHANNEL_PART, Event, writing};
use crate::{
    provider::{
        ListRef, NodeRef,
        change::{Change, NodeWrite},
        sentence::Detail,
    },
    providers::slack::{
        names::{CHANNEL, CHANNELS, MESSAGES},
        normalize,
        values::{flag, object, seconds, stamp, text},
    },
};

pub(super) fn created(event: &Event<'_>) -> Option<Change> {
    let channel = object(event.value, "channel")?;
    let (id, name) = (text(channel, "id")?, text(channel, "name")?);
    let node = NodeRef::new(CHANNEL, id);
    let fields = json!({
        "name": name,
        "topic": null,
        "description": null,
        "isPrivate": flag(channel, "is_private") || flag(channel, "is_group"),
        "isArchived": false,
        "createdAt": stamp(seconds(channel, "created").or(Some(event.at))),
    });
    let write = normalize::channel_link(event.write(node.clone(), &fields), event.workspace(), id);
    Some(event.told(writing(write), Some(node), None))
}

pub(super) fn renamed(event: &Event<'_>) -> Option<Change> {
    let channel = object(event.value, "channel")?;
    let (node, name) = (NodeRef::new(CHANNEL, text(channel, "id")?), text(channel, "name")?);
    let write = event.write(node.clone(), &json!({ "name": name }));
    Some(event.told(writing(write), Some(node), [("name", name.into())]))
}

pub(super) fn archived(event: &Event<'_>, is: bool) -> Option<Change> {
    let node = event.channel()?;
    let write = event.write(node.clone(), &event::archived(is));
    Some(event.told(writing(write), Some(node), None))
}

pub(super) fn deleted(event: &Event<'_>) -> Option<Change> {
    let node = event.channel()?;
    let write = NodeWrite::tombstone(node.clone(), event.gone());
    Some(event.told(writing(write), Some(node), None))
}

/// Slack does not say what became of the channel.
pub(super) fn unclear(event: &Event<'_>) -> Option<Change> {
    let node = event.channel()?;
    let lists = vec![ListRef { parent: None, name: CHANNELS }];
    let change = Change { stale: vec![node.clone()], stale_lists: lists, ..Change::default() };
    Some(event.told(change, Some(node), None))
}

/// A channel goes on under another id.
pub(super) fn id_changed(event: &Event<'_>) -> Option<Change> {
    let (old, new) = (event.text("old_channel_id")?, event.text("new_channel_id")?);
    let mut change = writing(NodeWrite::tombstone(NodeRef::new(CHANNEL, old), event.gone()));
    change.stale_lists.push(ListRef { parent: None, name: CHANNELS });
    let new = NodeRef::new(CHANNEL, new);
    let parts = [(CHANNEL_PART, Detail::node(&new))];
    Some(event.told(change, Some(new), parts))
}

/// Many messages changed at once.
pub(super) fn history_changed(event: &Event<'_>) -> Option<Change> {
    let node = event.channel()?;
    let lists = vec![ListRef { parent: Some(node.clone()), name: MESSAGES }];
    let change = Change { stale_lists: lists, ..Change::default() };
    Some(event.told(change, Some(node), None))
}

/// How many people are in the channel now is not told. Where it is the app's own user, other channels may be seen now.
pub(super) fn member(event: &Event<'_>) -> Option<Change> {
    let node = event.channel()?;
    let mut change = Change { stale: vec![node.clone()], ..Change::default() };
    if event.is_about_me() {
        change.stale_lists.push(ListRef { parent: None, name: CHANNELS });
    }
    Some(event.told(change, Some(node), None))
}
