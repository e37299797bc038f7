//! The acts of the control API: what people do in the workspace.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    happen::MessageRef,
    input::Input,
    model::{Message, World},
};
use crate::sandbox::ActError;

type Result = std::result::Result<Value, ActError>;

/// The acts with an example of each.
pub(super) fn list() -> Vec<(&'static str, Value)> {
    vec![
        ("post_message", json!({ "channel": "general", "text": "Hello everybody", "user": "gracelin" })),
        ("reply", json!({ "channel": "general", "text": "Hello Grace" })),
        ("edit_message", json!({ "channel": "general", "text": "Hello *everybody*" })),
        ("delete_message", json!({ "channel": "general" })),
        ("add_reaction", json!({ "channel": "general", "reaction": "tada", "user": "benokafor" })),
        ("remove_reaction", json!({ "channel": "general", "reaction": "tada", "user": "benokafor" })),
        ("create_channel", json!({ "name": "project-borealis", "user": "elenarossi" })),
        ("rename_channel", json!({ "channel": "random", "name": "off-topic" })),
        ("archive_channel", json!({ "channel": "watercooler" })),
        ("set_topic", json!({ "channel": "incidents", "topic": "API degraded" })),
        ("change_user", json!({ "user": "gracelin", "status_text": "At lunch", "status_emoji": ":ramen:" })),
        ("join_channel", json!({ "channel": "leads", "user": "gracelin" })),
        ("verify_url", json!({ "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" })),
        ("disconnect_sockets", json!({ "reason": "refresh_requested" })),
        ("lose_acknowledgements", json!({ "count": 1 })),
    ]
}

pub(super) fn act(world: &mut World, now: DateTime<Utc>, action: &str, input: &Value) -> Result {
    match action {
        "post_message" => post_message(world, now, input),
        "reply" => reply(world, now, input),
        "edit_message" => edit_message(world, now, input),
        "delete_message" => delete_message(world, now, input),
        "add_reaction" => add_reaction(world, now, input),
        "remove_reaction" => remove_reaction(world, now, input),
        "create_channel" => create_channel(world, now, input),
        "rename_channel" => rename_channel(world, now, input),
        "archive_channel" => archive_channel(world, now, input),
        "set_topic" => set_topic(world, now, input),
        "change_user" => change_user(world, now, input),
        "join_channel" => join_channel(world, now, input),
        "disconnect_sockets" => disconnect_sockets(world, now, input),
        "lose_acknowledgements" => {
            let count = Input::of(input, &["count"])?.count("count")?.unwrap_or(1);
            world.sockets.lose(count);
            Ok(json!({ "count": count }))
        }
        "verify_url" => {
            let challenge = Input::of(input, &["challenge"])?.text("challenge")?.unwrap_or("mullion-sandbox-challenge");
            world.emit_url_verification(now, challenge);
            Ok(json!({ "challenge": challenge }))
        }
        other => Err(ActError::Unknown(other.to_owned())),
    }
}

fn shown(reference: &MessageRef) -> Value {
    json!({ "channel": reference.channel, "ts": reference.ts.to_string() })
}

fn post_message(world: &mut World, now: DateTime<Utc>, input: &Value) -> Result {
    let input = Input::of(input, &["channel", "text", "user"])?;
    let channel = input.channel(world)?;
    let (id, user) = (channel.id.clone(), input.actor(world, Some(channel))?);
    let message = Message { user: user.clone(), text: input.need("text")?.to_owned(), ..Message::default() };
    let reference = world.post(now, &id, &message)?;
    Ok(json!({ "channel": reference.channel, "ts": reference.ts.to_string(), "user": user }))
}

fn reply(world: &mut World, now: DateTime<Utc>, input: &Value) -> Result {
    let input = Input::of(input, &["channel", "thread_ts", "text", "user"])?;
    let channel = input.channel(world)?;
    let parent = input.message_ref(channel, "thread_ts")?;
    let root = channel.messages.get(&parent.ts).and_then(|message| message.thread).unwrap_or(parent.ts);
    let (id, user) = (channel.id.clone(), input.actor(world, Some(channel))?);
    let text = input.need("text")?.to_owned();
    let message = Message { user: user.clone(), text, thread: Some(root), ..Message::default() };
    let reference = world.post(now, &id, &message)?;
    Ok(
        json!({ "channel": reference.channel, "ts": reference.ts.to_string(), "thread_ts": root.to_string(), "user": user }),
    )
}

fn edit_message(world: &mut World, now: DateTime<Utc>, input: &Value) -> Result {
    let input = Input::of(input, &["channel", "ts", "text"])?;
    let reference = input.message_ref(input.channel(world)?, "ts")?;
    world.edit(now, &reference, input.need("text")?)?;
    Ok(shown(&reference))
}

fn delete_message(world: &mut World, now: DateTime<Utc>, input: &Value) -> Result {
    let input = Input::of(input, &["channel", "ts"])?;
    let reference = input.message_ref(input.channel(world)?, "ts")?;
    world.delete(now, &reference)?;
    Ok(shown(&reference))
}

/// Where, who and with what.
fn reaction(world: &World, input: &Value) -> std::result::Result<(MessageRef, String, String), ActError> {
    let input = Input::of(input, &["channel", "ts", "reaction", "user"])?;
    let channel = input.channel(world)?;
    Ok((input.message_ref(channel, "ts")?, input.actor(world, Some(channel))?, input.emoji("reaction")?))
}

fn add_reaction(world: &mut World, now: DateTime<Utc>, input: &Value) -> Result {
    let (reference, user, name) = reaction(world, input)?;
    world.react(now, &reference, &user, &name)?;
    Ok(json!({ "channel": reference.channel, "ts": reference.ts.to_string(), "reaction": name, "user": user }))
}

fn remove_reaction(world: &mut World, now: DateTime<Utc>, input: &Value) -> Result {
    let (reference, user, name) = reaction(world, input)?;
    world.unreact(now, &reference, &user, &name)?;
    Ok(json!({ "channel": reference.channel, "ts": reference.ts.to_string(), "reaction": name, "user": user }))
}

fn create_channel(world: &mut World, now: DateTime<Utc>, input: &Value) -> Result {
    let input = Input::of(input, &["name", "user"])?;
    let (name, user) = (input.channel_name()?, input.actor(world, None)?);
    let id = world.create_channel(now, name, &user)?;
    Ok(json!({ "channel": id, "name": name, "user": user }))
}

fn rename_channel(world: &mut World, now: DateTime<Utc>, input: &Value) -> Result {
    let input = Input::of(input, &["channel", "name", "user"])?;
    let channel = input.channel(world)?;
    let (id, user, name) = (channel.id.clone(), input.actor(world, Some(channel))?, input.channel_name()?);
    world.rename_channel(now, &id, name, &user)?;
    Ok(json!({ "channel": id, "name": name }))
}

fn archive_channel(world: &mut World, now: DateTime<Utc>, input: &Value) -> Result {
    let input = Input::of(input, &["channel", "user"])?;
    let channel = input.channel(world)?;
    let (id, user) = (channel.id.clone(), input.actor(world, Some(channel))?);
    world.archive_channel(now, &id, &user)?;
    Ok(json!({ "channel": id }))
}

fn set_topic(world: &mut World, now: DateTime<Utc>, input: &Value) -> Result {
    let input = Input::of(input, &["channel", "topic", "user"])?;
    let channel = input.channel(world)?;
    let (id, user) = (channel.id.clone(), input.actor(world, Some(channel))?);
    let topic = input.text("topic")?.ok_or_else(|| ActError::BadInput("`topic` is required".to_owned()))?;
    world.set_topic(now, &id, topic, &user)?;
    Ok(json!({ "channel": id, "topic": topic }))
}

fn change_user(world: &mut World, now: DateTime<Utc>, input: &Value) -> Result {
    let known = ["user", "real_name", "display_name", "title", "status_text", "status_emoji", "deleted"];
    let input = Input::of(input, &known)?;
    let mut user = input.needed_user(world)?.clone();
    let id = user.id.clone();
    let fields = [
        ("real_name", &mut user.real_name),
        ("display_name", &mut user.display_name),
        ("title", &mut user.title),
        ("status_text", &mut user.status_text),
        ("status_emoji", &mut user.status_emoji),
    ];
    for (name, field) in fields {
        if let Some(text) = input.text(name)? {
            text.clone_into(field);
        }
    }
    user.deleted = input.flag("deleted")?.unwrap_or(user.deleted);
    if let Some(known) = world.user_mut(&id) {
        *known = user;
    }
    world.emit_user_change(now, &id)?;
    Ok(json!({ "user": id }))
}

fn join_channel(world: &mut World, now: DateTime<Utc>, input: &Value) -> Result {
    let input = Input::of(input, &["channel", "user"])?;
    let channel = input.channel(world)?;
    let (id, user) = (channel.id.clone(), input.needed_user(world)?.id.clone());
    world.join_channel(now, &id, &user)?;
    Ok(json!({ "channel": id, "user": user }))
}

/// The words of Slack to the app's sockets; without a reason they are cut off without a word.
fn disconnect_sockets(world: &World, now: DateTime<Utc>, input: &Value) -> Result {
    const REASONS: [&str; 3] = ["warning", "refresh_requested", "link_disabled"];
    let sockets = match Input::of(input, &["reason"])?.text("reason")? {
        None => world.sockets.cut(),
        Some(reason) if REASONS.contains(&reason) => world.sockets.disconnect(now, reason),
        Some(_) => return Err(ActError::BadInput(format!("`reason` must be one of {}", REASONS.join(", ")))),
    };
    Ok(json!({ "sockets": sockets }))
}
