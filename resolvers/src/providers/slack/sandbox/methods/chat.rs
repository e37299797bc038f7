//! `chat.*`: what our bot writes, changes and takes back.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::super::{
    happen::MessageRef,
    identity::BOT_USER,
    model::{Message, World},
    render,
    request::{Answer, Args, Fail},
};

/// Slack cuts longer texts off; refusing them shows the mistake.
const LONGEST: usize = 40_000;

fn text_of(args: &Args) -> Result<String, Fail> {
    let text = args.get("text").or(args.get("blocks").map(|_| "")).ok_or("no_text")?;
    if text.chars().count() > LONGEST {
        return Err("msg_too_long".into());
    }
    Ok(text.to_owned())
}

pub(super) fn post_message(world: &mut World, now: DateTime<Utc>, args: &Args) -> Answer {
    let channel = world.channel_by_name(args.need("channel")?).ok_or("channel_not_found")?;
    let text = text_of(args)?;
    let root = match args.ts("thread_ts").map_err(|_| Fail::from("invalid_thread_ts"))? {
        None => None,
        Some(ts) => {
            let parent = channel.messages.get(&ts).ok_or("thread_not_found")?;
            Some(parent.thread.unwrap_or(ts))
        }
    };
    let subtype = (root.is_some() && args.flag("reply_broadcast")).then_some("thread_broadcast");
    let id = channel.id.clone();
    let message = Message { user: BOT_USER.to_owned(), text, thread: root, subtype, ..Message::default() };
    let reference = world.post(now, &id, &message)?;
    let channel = world.channel(&id).ok_or("channel_not_found")?;
    let message = channel.messages.get(&reference.ts).ok_or("message_not_found")?;
    let shown = render::message(world, channel, reference.ts, message);
    Ok(json!({ "channel": id, "ts": reference.ts.to_string(), "message": shown }))
}

/// The message that `channel` and `ts` name, if it is our bot's.
fn own(world: &World, args: &Args, otherwise: &'static str) -> Result<MessageRef, Fail> {
    let channel = args.channel(world)?;
    args.need("ts")?;
    let ts = args.ts("ts")?.ok_or("message_not_found")?;
    let message = channel.messages.get(&ts).ok_or("message_not_found")?;
    if message.user != BOT_USER {
        return Err(otherwise.into());
    }
    Ok(MessageRef { channel: channel.id.clone(), ts })
}

pub(super) fn update(world: &mut World, now: DateTime<Utc>, args: &Args) -> Answer {
    let reference = own(world, args, "cant_update_message")?;
    let text = text_of(args)?;
    world.edit(now, &reference, &text)?;
    let channel = args.channel(world)?;
    let message = channel.messages.get(&reference.ts).ok_or("message_not_found")?;
    let shown = render::message(world, channel, reference.ts, message);
    Ok(json!({ "channel": reference.channel, "ts": reference.ts.to_string(), "text": text, "message": shown }))
}

pub(super) fn delete(world: &mut World, now: DateTime<Utc>, args: &Args) -> Answer {
    let reference = own(world, args, "cant_delete_message")?;
    world.delete(now, &reference)?;
    Ok(json!({ "channel": reference.channel, "ts": reference.ts.to_string() }))
}

pub(super) fn permalink(world: &World, args: &Args) -> Answer {
    let channel = args.channel(world)?;
    args.need("message_ts")?;
    let ts = args.ts("message_ts")?.ok_or("message_not_found")?;
    let message = channel.messages.get(&ts).ok_or("message_not_found")?;
    Ok(json!({ "channel": channel.id, "permalink": render::permalink(channel, ts, message.thread) }))
}
