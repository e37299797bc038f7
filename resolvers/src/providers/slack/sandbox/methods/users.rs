//! `users.*`.

use serde_json::{Value, json};

use super::{
    super::{
        identity::BOT_USER,
        model::World,
        page::Page,
        render,
        request::{Answer, Args},
    },
    conversations::of_types,
};

pub(super) fn list(world: &World, args: &Args) -> Answer {
    // Without a limit Slack tries to give all of them.
    let limit = args.limit(usize::MAX, 1_000)?;
    let page = Page::cut(world.users.iter(), |user| user.id.clone(), args, limit)?;
    let members: Vec<Value> = page.items.iter().map(|user| render::user(world, user)).collect();
    let newest = world.users.iter().map(|user| user.updated).max();
    Ok(json!({ "members": members, "cache_ts": newest, "response_metadata": page.metadata() }))
}

pub(super) fn info(world: &World, args: &Args) -> Answer {
    Ok(json!({ "user": render::user(world, args.user(world)?) }))
}

pub(super) fn profile(world: &World, args: &Args) -> Answer {
    let user = world.user(args.get("user").unwrap_or(BOT_USER)).ok_or("user_not_found")?;
    Ok(json!({ "profile": render::profile(world, user) }))
}

pub(super) fn presence(world: &World, args: &Args) -> Answer {
    let user = world.user(args.get("user").unwrap_or(BOT_USER)).ok_or("user_not_found")?;
    Ok(json!({ "presence": if user.active && !user.deleted { "active" } else { "away" } }))
}

pub(super) fn lookup_by_email(world: &World, args: &Args) -> Answer {
    let email = args.need("email")?;
    let has = |address: &String| address.eq_ignore_ascii_case(email);
    let user = world.users.iter().find(|user| !user.deleted && user.email.as_ref().is_some_and(has));
    Ok(json!({ "user": render::user(world, user.ok_or("users_not_found")?) }))
}

/// The channels that a user is in, of those that our bot sees.
pub(super) fn conversations(world: &World, args: &Args) -> Answer {
    let user = world.user(args.get("user").unwrap_or(BOT_USER)).ok_or("user_not_found")?;
    let theirs = of_types(world, args)?.filter(|channel| channel.has(&user.id));
    let page = Page::cut(theirs, |channel| channel.id.clone(), args, args.limit(100, 1_000)?)?;
    let channels: Vec<Value> = page.items.iter().map(|channel| render::channel(channel, false)).collect();
    Ok(json!({ "channels": channels, "response_metadata": page.metadata() }))
}
