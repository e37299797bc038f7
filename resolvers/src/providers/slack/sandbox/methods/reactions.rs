//! `reactions.*`.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::super::{
    happen::MessageRef,
    identity::BOT_USER,
    model::World,
    render,
    request::{Answer, Args, Fail},
};
use crate::sandbox::fields;

/// The message that `channel` and `timestamp` name.
fn item(world: &World, args: &Args) -> Result<MessageRef, Fail> {
    if args.get("channel").is_none() || args.get("timestamp").is_none() {
        return Err("no_item_specified".into());
    }
    let channel = args.channel(world)?;
    let ts = args.ts("timestamp").map_err(|_| Fail::from("bad_timestamp"))?.ok_or("message_not_found")?;
    channel.messages.get(&ts).ok_or("message_not_found")?;
    Ok(MessageRef { channel: channel.id.clone(), ts })
}

pub(super) fn get(world: &World, args: &Args) -> Answer {
    let reference = item(world, args)?;
    let channel = args.channel(world)?;
    let message = channel.messages.get(&reference.ts).ok_or("message_not_found")?;
    let mut shown = render::message(world, channel, reference.ts, message);
    fields::set(&mut shown, "permalink", render::permalink(channel, reference.ts, message.thread));
    Ok(json!({ "type": "message", "channel": channel.id, "message": shown }))
}

pub(super) fn add(world: &mut World, now: DateTime<Utc>, args: &Args) -> Answer {
    let name = args.need("name")?.trim_matches(':').to_owned();
    if !valid_name(&name) {
        return Err("invalid_name".into());
    }
    let reference = item(world, args)?;
    world.react(now, &reference, BOT_USER, &name)?;
    Ok(json!({}))
}

/// An emoji's name: `+1`, `party-parrot`, `wave::skin-tone-3`.
pub(in super::super) fn valid_name(name: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "+-_':".contains(letter);
    !name.is_empty() && name.len() <= 100 && name.chars().all(allowed)
}
