//! The workspace as Slack writes it: users, channels, messages.

use serde_json::{Value, json};

use super::{
    identity::{BOT_USER, TEAM_ID},
    model::{Channel, Kind, Message, Note, Rank, Ts, User, World, id_of},
};
use crate::sandbox::fields::{extend, set};

pub(super) fn user(world: &World, user: &User) -> Value {
    let (zone, label, offset) = user.zone;
    let is_bot = user.bot_id.is_some();
    let mut answer = json!({
        "id": user.id,
        "team_id": TEAM_ID,
        "name": user.name,
        "deleted": user.deleted,
        "profile": profile(world, user),
        "is_bot": is_bot,
        "is_app_user": false,
        "updated": user.updated,
    });
    // Slack tells no more than that of those who have left.
    if !user.deleted {
        let more = json!({
            "color": user.color,
            "real_name": user.real_name,
            "tz": zone,
            "tz_label": label,
            "tz_offset": offset,
            "is_admin": user.rank >= Rank::Admin,
            "is_owner": user.rank >= Rank::Owner,
            "is_primary_owner": user.rank == Rank::PrimaryOwner,
            "is_restricted": user.rank == Rank::Guest,
            "is_ultra_restricted": false,
            "is_email_confirmed": user.email.is_some(),
            "has_2fa": !is_bot,
            "who_can_share_contact_card": "EVERYONE",
        });
        extend(&mut answer, more);
    }
    answer
}

pub(super) fn profile(world: &World, user: &User) -> Value {
    let (first, last) = user.real_name.split_once(' ').unwrap_or((&user.real_name, ""));
    let mut profile = json!({
        "title": user.title,
        "phone": "",
        "skype": "",
        "real_name": user.real_name,
        "real_name_normalized": user.real_name,
        "display_name": user.display_name,
        "display_name_normalized": user.display_name,
        "fields": null,
        "status_text": user.status_text,
        "status_emoji": user.status_emoji,
        "status_emoji_display_info": [],
        "status_expiration": 0,
        "avatar_hash": format!("g{}", user.color),
        "first_name": first,
        "last_name": last,
        "team": TEAM_ID,
    });
    if let Some(email) = &user.email {
        set(&mut profile, "email", email.as_str());
    }
    if let Some(bot) = &user.bot_id {
        set(&mut profile, "bot_id", bot.as_str());
        set(&mut profile, "api_app_id", super::seed::app_of(bot));
        set(&mut profile, "always_active", true);
    }
    for size in [24, 32, 48, 72, 192, 512] {
        set(&mut profile, format!("image_{size}"), avatar(world, user, size));
    }
    profile
}

pub(super) fn avatar(world: &World, user: &User, size: u32) -> String {
    format!("{}/avatars/{}_{size}.svg", world.api_root, user.id)
}

pub(super) fn channel(channel: &Channel, with_count: bool) -> Value {
    if channel.kind == Kind::Direct {
        return direct(channel);
    }
    let private = channel.kind == Kind::Private;
    let mut answer = json!({
        "id": channel.id,
        "name": channel.name,
        "is_channel": !private,
        "is_group": private,
        "is_im": false,
        "is_mpim": false,
        "is_private": private,
        "created": channel.created,
        "is_archived": channel.archived,
        "is_general": channel.is_general(),
        "unlinked": 0,
        "name_normalized": channel.name,
        "is_shared": false,
        "is_org_shared": false,
        "is_pending_ext_shared": false,
        "pending_shared": [],
        "context_team_id": TEAM_ID,
        "updated": channel.updated,
        "parent_conversation": null,
        "creator": channel.creator,
        "is_ext_shared": false,
        "shared_team_ids": [TEAM_ID],
        "pending_connected_team_ids": [],
        "is_member": channel.has(BOT_USER),
        "topic": note(&channel.topic),
        "purpose": note(&channel.purpose),
        "previous_names": channel.previous_names,
    });
    if with_count {
        set(&mut answer, "num_members", channel.members.len());
    }
    answer
}

fn direct(channel: &Channel) -> Value {
    json!({
        "id": channel.id,
        "created": channel.created,
        "is_archived": false,
        "is_im": true,
        "is_org_shared": false,
        "context_team_id": TEAM_ID,
        "updated": channel.updated,
        "user": channel.creator,
        "is_user_deleted": false,
        "priority": 0,
    })
}

fn note(note: &Note) -> Value {
    json!({ "value": note.value, "creator": note.creator, "last_set": note.last_set })
}

/// A message without what its thread says about it: as events carry it.
pub(super) fn bare_message(world: &World, ts: Ts, message: &Message) -> Value {
    let mut answer = json!({ "type": "message" });
    if let Some(subtype) = message.subtype {
        set(&mut answer, "subtype", subtype);
    }
    extend(&mut answer, json!({ "user": message.user, "text": message.text, "ts": ts.to_string() }));
    if matches!(message.subtype, None | Some("thread_broadcast")) {
        extend(&mut answer, author(world, ts, message));
    }
    for (name, value) in &message.extra {
        set(&mut answer, *name, value.as_str());
    }
    if let Some((user, at)) = &message.edited {
        set(&mut answer, "edited", json!({ "user": user, "ts": at.to_string() }));
    }
    if !message.reactions.is_empty() {
        set(&mut answer, "reactions", reactions(message));
    }
    answer
}

/// The fields that a client or an app adds to its messages.
fn author(world: &World, ts: Ts, message: &Message) -> Value {
    let bot = world.user(&message.user).and_then(|user| user.bot_id.as_ref().map(|bot| (user, bot)));
    match bot {
        Some((user, bot_id)) => json!({
            "bot_id": bot_id,
            "app_id": super::seed::app_of(bot_id),
            "team": TEAM_ID,
            "bot_profile": bot_profile(world, user, bot_id),
        }),
        None => json!({ "client_msg_id": client_message_id(ts), "team": TEAM_ID }),
    }
}

fn bot_profile(world: &World, user: &User, bot_id: &str) -> Value {
    json!({
        "id": bot_id,
        "app_id": super::seed::app_of(bot_id),
        "user_id": user.id,
        "name": user.real_name,
        "icons": { "image_36": avatar(world, user, 32), "image_48": avatar(world, user, 48), "image_72": avatar(world, user, 72) },
        "deleted": user.deleted,
        "updated": user.updated,
        "team_id": TEAM_ID,
    })
}

/// A random UUID in Slack; here it follows from the time, so that a replay gives the same.
fn client_message_id(ts: Ts) -> String {
    let mixed = u128::from(ts.0).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let hex = format!("{mixed:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default().to_owned();
    format!("{}-{}-4{}-a{}-{}", part(0..8), part(8..12), part(13..16), part(17..20), part(20..32))
}

fn reactions(message: &Message) -> Value {
    let reaction =
        |(name, users): &(String, Vec<String>)| json!({ "name": name, "users": users, "count": users.len() });
    message.reactions.iter().map(reaction).collect()
}

/// A message as `conversations.history` and `.replies` show it.
pub(super) fn message(world: &World, channel: &Channel, ts: Ts, message: &Message) -> Value {
    let mut answer = bare_message(world, ts, message);
    if let Some(root) = message.thread {
        extend(&mut answer, reply_fields(channel, root));
        return answer;
    }
    let replies: Vec<(Ts, &Message)> = channel.replies(ts).collect();
    let Some((latest, _)) = replies.last() else { return answer };
    let mut users: Vec<&str> = Vec::new();
    for (_, reply) in &replies {
        if !users.contains(&reply.user.as_str()) {
            users.push(&reply.user);
        }
    }
    let thread = json!({
        "thread_ts": ts.to_string(),
        "reply_count": replies.len(),
        "reply_users_count": users.len(),
        "latest_reply": latest.to_string(),
        // Slack names at most five.
        "reply_users": users.iter().take(5).collect::<Vec<_>>(),
        "is_locked": false,
        "subscribed": false,
    });
    extend(&mut answer, thread);
    answer
}

/// The fields that make a message a reply.
pub(super) fn reply_fields(channel: &Channel, root: Ts) -> Value {
    let parent = channel.messages.get(&root).map(|parent| parent.user.as_str());
    json!({ "thread_ts": root.to_string(), "parent_user_id": parent })
}

pub(super) fn permalink(channel: &Channel, ts: Ts, thread: Option<Ts>) -> String {
    let domain = super::identity::TEAM_DOMAIN;
    let plain = format!("https://{domain}.slack.com/archives/{}/p{:016}", channel.id, ts.0);
    match thread {
        Some(root) if root != ts => format!("{plain}?thread_ts={root}&cid={}", channel.id),
        _ => plain,
    }
}

/// `bots.info`.
pub(super) fn bot(world: &World, user: &User, bot_id: &str) -> Value {
    let mut bot = bot_profile(world, user, bot_id);
    if let Some(object) = bot.as_object_mut() {
        object.remove("team_id");
    }
    bot
}

/// A picture of somebody: a coloured square.
pub(super) fn avatar_svg(user: Option<&User>, size: &str) -> String {
    let color = user.map_or("4a154b", |user| &user.color);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 1 1"><rect width="1" height="1" fill="#{color}"/></svg>"##
    )
}

/// The event's id. It differs between worlds too (`at`), so that a gateway which outlives a sandbox takes no new event for an
/// old one.
pub(super) fn event_id(number: u64, at: Ts) -> String {
    format!("{}{}", id_of("Ev", number), id_of("", at.0))
}
