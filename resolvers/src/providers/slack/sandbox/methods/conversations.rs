//! `conversations.list`, `.info` and `.members`.

use serde_json::{Value, json};

use super::super::{
    identity::BOT_USER,
    model::{Channel, Kind, World},
    page::Page,
    render,
    request::{Answer, Args, Fail},
};
use crate::sandbox::fields;

/// The channels of the kinds that `types` names (public ones if it names none), without archived ones if so wished. Private
/// ones are shown to their members only, and our bot is one of them.
pub(super) fn of_types<'w>(world: &'w World, args: &Args) -> Result<impl Iterator<Item = &'w Channel>, Fail> {
    let mut kinds = Vec::new();
    for name in args.get("types").unwrap_or("public_channel").split(',') {
        match name.trim() {
            "public_channel" => kinds.push(Kind::Public),
            "private_channel" => kinds.push(Kind::Private),
            "im" => kinds.push(Kind::Direct),
            // There are none in this workspace.
            "mpim" => {}
            _ => return Err("invalid_types".into()),
        }
    }
    let live_only = args.flag("exclude_archived");
    let wanted = move |channel: &&Channel| kinds.contains(&channel.kind) && !(live_only && channel.archived);
    let visible = |channel: &&Channel| channel.kind == Kind::Public || channel.has(BOT_USER);
    Ok(world.channels.iter().filter(wanted).filter(visible))
}

pub(super) fn list(world: &World, args: &Args) -> Answer {
    let page = Page::cut(of_types(world, args)?, |channel| channel.id.clone(), args, args.limit(100, 1_000)?)?;
    let channels: Vec<Value> = page.items.iter().map(|channel| render::channel(channel, true)).collect();
    Ok(json!({ "channels": channels, "response_metadata": page.metadata() }))
}

pub(super) fn info(world: &World, args: &Args) -> Answer {
    let channel = args.channel(world)?;
    let mut shown = render::channel(channel, args.flag("include_num_members"));
    if channel.kind != Kind::Direct {
        fields::set(&mut shown, "last_read", "0000000000.000000");
    }
    Ok(json!({ "channel": shown }))
}

pub(super) fn members(world: &World, args: &Args) -> Answer {
    let channel = args.channel(world)?;
    let page = Page::cut(channel.members.iter(), |member| (*member).clone(), args, args.limit(100, 1_000)?)?;
    Ok(json!({ "members": page.items, "response_metadata": page.metadata() }))
}
