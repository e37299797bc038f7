//! The meaning of Slack's events. Pure and total: every payload is interpreted or knowingly ignored, none is an error.

mod channels;
mod event;
mod messages;
mod people;

use serde_json::Value;

use self::event::Event;
pub(super) use self::{
    event::CHANNEL_PART,
    messages::{GONE, TEXT, edited_key, said_key},
};
use super::{
    names::{CHANNELS, USERS},
    values::text,
    webhook::SLASH_COMMAND,
};
use crate::{
    json::read_object,
    provider::{
        ListRef, StoredDelivery,
        change::{ActivityDraft, Change, Interpretation},
    },
};

/// The result of one event; `Err`: knowingly not used, and why.
type Outcome = Result<Change, &'static str>;

const LACKING: &str = "the payload lacks what the event is about";

/// Interprets a delivery.
pub(super) fn interpret(delivery: &StoredDelivery) -> Interpretation {
    let Some(envelope) = read_object(&delivery.document) else {
        return Interpretation::Ignored("the document is not JSON");
    };
    let outcome = match Event::new(&envelope, delivery.received_at) {
        Some(event) => changes(&event),
        None => without_event(&envelope, delivery),
    };
    match outcome {
        Ok(change) => Interpretation::Changes(vec![change]),
        Err(reason) => Interpretation::Ignored(reason),
    }
}

fn changes(event: &Event<'_>) -> Outcome {
    match event.name {
        "message" => messages::message(event),
        "app_mention" => messages::mention(event),
        "reaction_added" | "reaction_removed" => messages::reaction(event),
        "channel_created" => channels::created(event).ok_or(LACKING),
        "channel_rename" | "group_rename" => channels::renamed(event).ok_or(LACKING),
        "channel_archive" | "group_archive" => channels::archived(event, true).ok_or(LACKING),
        "channel_unarchive" | "group_unarchive" => channels::archived(event, false).ok_or(LACKING),
        "channel_deleted" | "group_deleted" => channels::deleted(event).ok_or(LACKING),
        "channel_left" | "group_left" | "channel_shared" | "channel_unshared" | "channel_convert_to_private" => {
            channels::unclear(event).ok_or(LACKING)
        }
        "channel_id_changed" => channels::id_changed(event).ok_or(LACKING),
        "channel_history_changed" | "group_history_changed" => channels::history_changed(event).ok_or(LACKING),
        "member_joined_channel" | "member_left_channel" => channels::member(event).ok_or(LACKING),
        "user_change" | "user_profile_changed" | "user_status_changed" | "user_huddle_changed" | "team_join" => {
            people::user(event).ok_or(LACKING)
        }
        "team_rename" | "team_domain_change" => people::workspace(event).ok_or(LACKING),
        "app_uninstalled" | "tokens_revoked" => Ok(people::access_ended(event)),
        name => Err(unused(name)),
    }
}

/// Documents that are about no event.
fn without_event(envelope: &Value, delivery: &StoredDelivery) -> Outcome {
    match text(envelope, "type") {
        Some("app_rate_limited") => Ok(rate_limited(envelope, delivery)),
        Some(SLASH_COMMAND) => Err("slash commands are answered by nobody here"),
        Some("url_verification") => Err("a handshake without a challenge"),
        Some(
            "block_actions"
            | "block_suggestion"
            | "message_action"
            | "shortcut"
            | "view_submission"
            | "view_closed"
            | "interactive_message"
            | "dialog_submission"
            | "dialog_cancellation"
            | "dialog_suggestion"
            | "workflow_step_edit",
        ) => Err("there is nothing to interact with"),
        _ => Err("the document is about no event"),
    }
}

/// Slack kept events back: what they would have told is read again when somebody looks.
fn rate_limited(envelope: &Value, delivery: &StoredDelivery) -> Change {
    let at = super::values::seconds(envelope, "minute_rate_limited").unwrap_or(delivery.received_at);
    let stale_lists = [CHANNELS, USERS].map(|name| ListRef { parent: None, name });
    let activity = ActivityDraft { kind: "app_rate_limited".to_owned(), occurred_at: at, ..ActivityDraft::default() };
    Change { stale_lists: stale_lists.into(), activity: Some(activity), ..Change::default() }
}

/// Why an event is not used.
fn unused(name: &str) -> &'static str {
    match name {
        "message_metadata_posted" | "message_metadata_updated" | "message_metadata_deleted" => {
            "metadata of messages is not in the graph"
        }
        "dnd_updated" | "dnd_updated_user" | "presence_change" => "presence is not in the graph",
        "emoji_changed" => "custom emoji are not in the graph",
        "email_domain_changed" => "the domain of addresses is not in the graph",
        "file_change"
        | "file_comment_added"
        | "file_comment_deleted"
        | "file_comment_edited"
        | "file_created"
        | "file_deleted"
        | "file_public"
        | "file_shared"
        | "file_unshared" => "files are not in the graph",
        "pin_added" | "pin_removed" => "pins are not in the graph",
        "star_added" | "star_removed" => "people's own bookmarks are not in the graph",
        "link_shared" => "links are not unfurled",
        "subteam_created"
        | "subteam_members_changed"
        | "subteam_self_added"
        | "subteam_self_removed"
        | "subteam_updated" => "user groups are not in the graph",
        "im_close" | "im_created" | "im_history_changed" | "im_open" => "direct messages are not in the graph",
        "group_close" | "group_open" => "tells only what somebody's own client shows",
        "grid_migration_finished" | "grid_migration_started" => "a migration of the workspace; reads tell its effects",
        "resources_added" | "resources_removed" | "scope_denied" | "scope_granted" => {
            "grants are seen when the token is used"
        }
        "app_home_opened" | "app_requested" | "app_installed" | "app_deleted" | "app_uninstalled_team" => {
            "the app's own matters are not in the graph"
        }
        "assistant_thread_started" | "assistant_thread_context_changed" => "assistants are not in the graph",
        "call_rejected" => "calls are not in the graph",
        "function_executed"
        | "workflow_step_execute"
        | "workflow_published"
        | "workflow_unpublished"
        | "workflow_deleted"
        | "workflow_step_deleted" => "workflows are not in the graph",
        "invite_requested"
        | "shared_channel_invite_received"
        | "shared_channel_invite_accepted"
        | "shared_channel_invite_approved"
        | "shared_channel_invite_declined"
        | "shared_channel_invite_requested"
        | "team_access_granted"
        | "team_access_revoked" => "invitations are not in the graph",
        _ => "not an event that Mullion knows",
    }
}
