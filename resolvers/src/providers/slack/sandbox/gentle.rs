//! The gentle traffic: an ordinary day in the workspace, one act after the other.

use serde_json::{Value, json};

use super::{
    model::{Channel, Kind, World},
    texts,
};

/// The day's rhythm: mostly talk.
const RHYTHM: [&str; 12] = [
    "post_message",
    "add_reaction",
    "reply",
    "post_message",
    "add_reaction",
    "edit_message",
    "post_message",
    "reply",
    "change_user",
    "post_message",
    "add_reaction",
    "set_topic",
];

const SAID: [&str; 10] = [
    "Deploying `api` now, shout if something looks odd.",
    "Canary is green, rolling out to everybody.",
    "Anybody else seeing slow builds?",
    "Docs for the new endpoint are up.",
    "Lunch?",
    "Customer confirmed the fix :tada:",
    "I will pair on the flaky test at 14:00, join if you like.",
    "Numbers of the week are in the sheet.",
    "Rebased and green, please have a last look.",
    "Thanks for the quick review!",
];
const ANSWERED: [&str; 6] =
    ["On it.", "Thanks!", "Works for me.", "Same here.", "Let me check.", "Done :white_check_mark:"];
const TOPICS: [&str; 3] =
    ["All clear :large_green_circle:", "API degraded :large_yellow_circle:", "Freeze until Friday"];

pub(super) fn gentle(world: &World, n: u64) -> (&'static str, Value) {
    let live =
        |channel: &&Channel| channel.kind == Kind::Public && !channel.archived && channel.newest_root().is_some();
    let channels: Vec<&Channel> = world.channels.iter().filter(live).collect();
    let Some(channel) = pick(&channels, n / 2) else {
        return ("create_channel", json!({ "name": format!("talk-{n}") }));
    };
    let people: Vec<&String> = channel.members.iter().filter(|id| is_person(world, id)).collect();
    let user = pick(&people, n.wrapping_mul(7) + n / 5);
    let name = &channel.id;
    let action = *pick(&RHYTHM, n).unwrap_or(&"post_message");
    let input = match action {
        "reply" => json!({ "channel": name, "user": user, "text": pick(&ANSWERED, n / 3) }),
        "edit_message" => json!({ "channel": name, "text": newest_text(channel) }),
        "add_reaction" => json!({ "channel": name, "user": user, "reaction": pick(&texts::REACTIONS, n / 4) }),
        "set_topic" => json!({ "channel": name, "user": user, "topic": pick(&TOPICS, n / 12) }),
        "change_user" => {
            let (text, emoji) = pick(&texts::STATUSES, n / 12).copied().unwrap_or_default();
            json!({ "user": user, "status_text": text, "status_emoji": emoji })
        }
        _ => json!({ "channel": name, "user": user, "text": pick(&SAID, n / 3 + n) }),
    };
    (action, input)
}

/// The newest message's text after its author's second thought.
fn newest_text(channel: &Channel) -> String {
    let newest = channel.newest_root().and_then(|ts| channel.messages.get(&ts));
    let text = newest.map(|message| message.text.as_str()).unwrap_or_default();
    match text.strip_suffix(" (edited: typo)") {
        Some(first) => first.to_owned(),
        None => format!("{text} (edited: typo)"),
    }
}

fn is_person(world: &World, id: &str) -> bool {
    world.user(id).is_some_and(|user| user.bot_id.is_none() && !user.deleted)
}

fn pick<T>(from: &[T], n: u64) -> Option<&T> {
    let length = u64::try_from(from.len()).ok().filter(|length| *length > 0)?;
    from.get(usize::try_from(n % length).ok()?)
}
