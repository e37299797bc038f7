//! Slack's events as people read them.

use super::interpret::{CHANNEL_PART, GONE, TEXT};
use crate::{capitalized::capitalized, provider::sentence::SentenceParts};

/// An activity in words.
pub(super) fn sentence(parts: &SentenceParts<'_>) -> String {
    let (event, subtype) = parts.kind.split_once('.').unwrap_or((parts.kind, ""));
    match event {
        "message" => message(parts, subtype),
        "app_mention" => said(parts, "mentioned the app", "the app was mentioned"),
        "reaction_added" => reaction(parts, "added", "to"),
        "reaction_removed" => reaction(parts, "removed", "from"),
        "member_joined_channel" | "member_left_channel" | "channel_left" | "group_left" => member(parts, event),
        "team_join" => parts.by_actor("joined the workspace", "somebody joined the workspace"),
        "user_status_changed" => parts.by_actor("changed their status", "somebody changed their status"),
        "user_change" | "user_profile_changed" => {
            parts.by_actor("changed their profile", "somebody changed their profile")
        }
        "team_rename" => format!("The workspace was renamed to {}", parts.quoted("name", "another name")),
        "team_domain_change" => format!("The workspace moved to {}", parts.or("name", "another address")),
        "app_uninstalled" => "The app was removed from the workspace".to_owned(),
        "tokens_revoked" => "Tokens of the app were revoked".to_owned(),
        "app_rate_limited" => "Slack held events back: there were too many in an hour".to_owned(),
        _ => channel_event(parts, event),
    }
}

fn message(parts: &SentenceParts<'_>, subtype: &str) -> String {
    match subtype {
        "message_deleted" => unsaid(parts),
        // Slack leaves a mark where a thread goes on.
        "message_changed" if parts.has(GONE) => unsaid(parts),
        "message_changed" => said(parts, "edited a message", "a message was edited"),
        "channel_topic" | "group_topic" => about(parts, "topic"),
        "channel_purpose" | "group_purpose" => about(parts, "description"),
        _ if parts.has("reply") => said(parts, "replied", "a reply was written"),
        _ => said(parts, "wrote", "a message was written"),
    }
}

/// `Ada wrote in #general: ‘Ship it’`
fn said(parts: &SentenceParts<'_>, did: &str, happened: &str) -> String {
    let place = format!(" in {}{}", channel(parts), text(parts));
    parts.by_actor(&format!("{did}{place}"), &format!("{happened}{place}"))
}

/// `Ada deleted a message in #general`
fn unsaid(parts: &SentenceParts<'_>) -> String {
    let place = format!(" in {}", channel(parts));
    parts.by_actor(&format!("deleted a message{place}"), &format!("a message was deleted{place}"))
}

/// `: ‘Ship it’`, unless the message was deleted since.
fn text(parts: &SentenceParts<'_>) -> String {
    parts.get(TEXT).filter(|_| !parts.gone).map(|text| format!(": ‘{text}’")).unwrap_or_default()
}

/// `#general`
fn channel(parts: &SentenceParts<'_>) -> String {
    parts.get(CHANNEL_PART).map_or_else(|| "a channel".to_owned(), |name| format!("#{}", name.trim_start_matches('#')))
}

/// `Ada added the reaction :tada: to a message in #general`
fn reaction(parts: &SentenceParts<'_>, verb: &str, preposition: &str) -> String {
    let reaction =
        parts.get("reaction").map_or_else(|| "a reaction".to_owned(), |name| format!("the reaction :{name}:"));
    let place = format!("{preposition} a message in {}", channel(parts));
    parts.by_actor(&format!("{verb} {reaction} {place}"), &format!("{reaction} was {verb} {place}"))
}

/// A channel's topic or description.
fn about(parts: &SentenceParts<'_>, what: &str) -> String {
    let of = format!("the {what} of {}", channel(parts));
    if parts.has(TEXT) {
        parts.by_actor(&format!("set {of}{}", text(parts)), &format!("{of} was set{}", text(parts)))
    } else {
        parts.by_actor(&format!("cleared {of}"), &format!("{of} was cleared"))
    }
}

fn member(parts: &SentenceParts<'_>, event: &str) -> String {
    let channel = channel(parts);
    match event {
        "member_joined_channel" => parts.by_actor(&format!("joined {channel}"), &format!("somebody joined {channel}")),
        "member_left_channel" => parts.by_actor(&format!("left {channel}"), &format!("somebody left {channel}")),
        _ => format!("The app's user left {channel}"),
    }
}

/// An event that happens to channels.
fn channel_event(parts: &SentenceParts<'_>, event: &str) -> String {
    let channel = channel(parts);
    let act = |verb: &str, more: &str| {
        parts.by_actor(&format!("{verb} {channel}{more}"), &format!("{channel} was {verb}{more}"))
    };
    match event.split_once('_').map_or(event, |(_, event)| event) {
        "created" => act("created", ""),
        "rename" => {
            let name = parts.get("name").map(|name| format!(" to #{name}")).unwrap_or_default();
            parts.by_actor(&format!("renamed a channel{name}"), &format!("a channel was renamed{name}"))
        }
        "archive" => act("archived", ""),
        "unarchive" => act("brought", " back from the archive"),
        "deleted" => act("deleted", ""),
        "shared" => act("shared", " with another workspace"),
        "unshared" => parts.by_actor(
            &format!("stopped sharing {channel} with another workspace"),
            &format!("{channel} is no longer shared with another workspace"),
        ),
        "convert_to_private" => act("made", " private"),
        "id_changed" => capitalized(&format!("{channel} goes on under another id")),
        "history_changed" => format!("Many messages in {channel} changed"),
        _ => act("changed", ""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::sentence;
    use crate::provider::sentence::{Details, Names, SentenceParts};

    fn worded(kind: &str, parts: &Value, names: &Names) -> String {
        let mut details: Details = serde_json::from_value(parts.clone()).unwrap();
        details
            .insert("channel".to_owned(), serde_json::from_value(json!({ "node": "SlackChannel:C024BE91L" })).unwrap());
        sentence(&SentenceParts {
            gone: false,
            kind,
            details: &details,
            occurred_at: chrono::DateTime::UNIX_EPOCH,
            names,
        })
    }

    #[test]
    fn sentences_name_who_and_where() {
        let known = Names::of_bodies(&json!({
            "SlackUser:U024BE7LH": { "displayName": "Ada Lovelace" },
            "SlackChannel:C024BE91L": { "name": "general" },
        }));
        // A body whose name is the id has none.
        let nameless = Names::of_bodies(&json!({ "SlackUser:U024BE7LH": { "displayName": "U024BE7LH" } }));
        for (kind, parts, expected) in [
            ("message", json!({ "text": "Ship it" }), "wrote in #general: ‘Ship it’"),
            ("message.file_share", json!({}), "wrote in #general"),
            ("message", json!({ "text": "Yes", "reply": "yes" }), "replied in #general: ‘Yes’"),
            (
                "message.message_changed",
                json!({ "text": "Ship it now" }),
                "edited a message in #general: ‘Ship it now’",
            ),
            ("message.message_deleted", json!({ "text": "Ship it" }), "deleted a message in #general"),
            ("message.message_changed", json!({ "gone": "yes" }), "deleted a message in #general"),
            ("message.channel_topic", json!({ "text": "Releases" }), "set the topic of #general: ‘Releases’"),
            ("message.group_purpose", json!({}), "cleared the description of #general"),
            ("app_mention", json!({ "text": "Hello" }), "mentioned the app in #general: ‘Hello’"),
            ("reaction_added", json!({ "reaction": "tada" }), "added the reaction :tada: to a message in #general"),
            (
                "reaction_removed",
                json!({ "reaction": "tada" }),
                "removed the reaction :tada: from a message in #general",
            ),
            ("channel_created", json!({}), "created #general"),
            ("group_rename", json!({ "name": "all" }), "renamed a channel to #all"),
            ("channel_archive", json!({}), "archived #general"),
            ("channel_unarchive", json!({}), "brought #general back from the archive"),
            ("channel_deleted", json!({}), "deleted #general"),
            ("channel_shared", json!({}), "shared #general with another workspace"),
            ("channel_convert_to_private", json!({}), "made #general private"),
            ("member_joined_channel", json!({}), "joined #general"),
            ("member_left_channel", json!({}), "left #general"),
            ("team_join", json!({}), "joined the workspace"),
            ("user_status_changed", json!({}), "changed their status"),
            ("user_change", json!({}), "changed their profile"),
        ] {
            let mut parts = parts;
            parts["actor"] = json!({ "node": "SlackUser:U024BE7LH" });
            assert_eq!(worded(kind, &parts, &known), format!("Ada Lovelace {expected}"));
            for names in [&nameless, &Names::default()] {
                let sentence = worded(kind, &parts, names);
                assert!(sentence.starts_with("Somebody "), "{sentence}");
                assert!(!sentence.contains("024BE"), "{sentence}");
            }
        }
        for (kind, parts, expected) in [
            ("message.message_deleted", json!({}), "A message was deleted in #general"),
            ("channel_archive", json!({}), "#general was archived"),
            ("channel_left", json!({}), "The app's user left #general"),
            ("channel_id_changed", json!({}), "#general goes on under another id"),
            ("channel_history_changed", json!({}), "Many messages in #general changed"),
            ("team_rename", json!({ "name": "Acme" }), "The workspace was renamed to ‘Acme’"),
            ("team_domain_change", json!({ "name": "acme.slack.com" }), "The workspace moved to acme.slack.com"),
            ("app_uninstalled", json!({}), "The app was removed from the workspace"),
        ] {
            assert_eq!(worded(kind, &parts, &known), expected);
        }
    }

    #[test]
    fn what_a_message_said_is_not_shown_once_it_is_deleted() {
        let details: Details = serde_json::from_value(json!({
            "text": "The password is 1234",
            "channel": { "node": "SlackChannel:C024BE91L", "given": "general" },
        }))
        .unwrap();
        for (kind, expected) in [
            ("message", "A message was written in #general"),
            ("message.message_changed", "A message was edited in #general"),
            ("message.message_deleted", "A message was deleted in #general"),
        ] {
            let (occurred_at, names) = (chrono::DateTime::UNIX_EPOCH, &Names::default());
            let parts = SentenceParts { kind, details: &details, occurred_at, names, gone: true };
            assert_eq!(sentence(&parts), expected);
        }
    }
}
