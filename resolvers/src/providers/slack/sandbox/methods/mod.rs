//! The Web API's methods: one table from a method's name to its function.

mod chat;
mod conversations;
mod history;
pub(super) mod reactions;
mod team;
mod users;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    model::World,
    request::{Answer, Args},
};

/// The methods that change the world. The sandbox's journal keeps calls of these only.
const WRITES: [&str; 4] = ["chat.postMessage", "chat.update", "chat.delete", "reactions.add"];

pub(super) fn writes(method: &str) -> bool {
    WRITES.contains(&method)
}

/// Answers a method that only reads.
pub(super) fn read(world: &World, method: &str, args: &Args) -> Answer {
    match method {
        "api.test" => args.echo(),
        "auth.test" => Ok(team::auth_test(world)),
        "team.info" => Ok(team::info(world)),
        "emoji.list" => Ok(team::emoji(world)),
        "bots.info" => team::bot_info(world, args),
        "conversations.list" => conversations::list(world, args),
        "conversations.info" => conversations::info(world, args),
        "conversations.members" => conversations::members(world, args),
        "conversations.history" => history::history(world, args),
        "conversations.replies" => history::replies(world, args),
        // Marks are the reader's own and change nothing that the sandbox shows.
        "conversations.mark" => args.channel(world).map(|_| json!({})),
        "users.list" => users::list(world, args),
        "users.info" => users::info(world, args),
        "users.conversations" => users::conversations(world, args),
        "users.getPresence" => users::presence(world, args),
        "users.lookupByEmail" => users::lookup_by_email(world, args),
        "users.profile.get" => users::profile(world, args),
        "reactions.get" => reactions::get(world, args),
        "chat.getPermalink" => chat::permalink(world, args),
        _ => Err("unknown_method".into()),
    }
}

/// Answers a method that changes the world, as our bot.
pub(super) fn write(world: &mut World, now: DateTime<Utc>, method: &str, args: &Args) -> Answer {
    match method {
        "chat.postMessage" => chat::post_message(world, now, args),
        "chat.update" => chat::update(world, now, args),
        "chat.delete" => chat::delete(world, now, args),
        "reactions.add" => reactions::add(world, now, args),
        _ => Err("unknown_method".into()),
    }
}
