//! The meaning of Asana's events. Pure and total: every event is interpreted or knowingly ignored, none is an error.
//!
//! Events are compact: they say what changed, not how it is now. So they outdate what is known, and nothing is fetched before
//! somebody looks.

mod event;
mod places;
mod tasks;

use chrono::{DateTime, Utc};
use serde_json::Value;

use event::Event;
pub(super) use event::{FIELD, HEARTBEAT, key_of, kind_of};
pub(super) use places::SECTION_PART;

use crate::{
    json::read_object,
    provider::{
        StoredDelivery,
        change::{Change, Interpretation},
    },
};

/// Interprets a delivery.
pub(super) fn interpret(delivery: &StoredDelivery) -> Interpretation {
    let Some(document) = read_object(&delivery.document) else {
        return Interpretation::Ignored("the document is not JSON");
    };
    let Some(events) = document.get("events").and_then(Value::as_array) else {
        return Interpretation::Ignored("the document has no events");
    };
    if events.is_empty() {
        return Interpretation::Ignored(HEARTBEAT);
    }
    let mut changes: Vec<Change> = Vec::new();
    let mut ignored = None;
    for event in events {
        match changed(&Event::new(event, delivery.received_at)) {
            Ok(change) => changes.push(change),
            Err(reason) => ignored = ignored.or(Some(reason)),
        }
    }
    match ignored {
        Some(reason) if changes.is_empty() => Interpretation::Ignored(reason),
        _ => Interpretation::Changes(changes),
    }
}

/// Whether an event becomes an activity. The log also has events that become none: the stories that Asana writes about a change, and
/// what is not in the graph. The webhooks' filters leave them out, so nothing is missing where they were not delivered.
pub(super) fn is_told(event: &Value) -> bool {
    changed(&Event::new(event, DateTime::<Utc>::UNIX_EPOCH)).is_ok_and(|change| change.activity.is_some())
}

/// The changes of an event, or the reason why it is not used.
fn changed(event: &Event<'_>) -> Result<Change, &'static str> {
    let known = matches!(event.action, "added" | "changed" | "removed" | "deleted" | "undeleted");
    let change = match event.resource_type {
        _ if !known => None,
        "task" => tasks::task(event),
        "story" => return tasks::story(event).ok_or("what Asana notes by itself is told by the task's own events"),
        "project" => places::project(event),
        "section" => places::section(event),
        "workspace" => places::workspace(event),
        "user" => places::user(event),
        "project_status" | "status_update" => places::status(event),
        other => return Err(unused(other)),
    };
    change.ok_or("the event lacks what it is about, or is not one that Mullion knows")
}

/// Why a type of resources is not used.
fn unused(resource_type: &str) -> &'static str {
    match resource_type {
        "tag" => "tags are part of tasks, whose own events tell of them",
        "attachment" => "attachments are not in the graph",
        "custom_field" | "custom_field_setting" | "enum_option" => "definitions of custom fields are not in the graph",
        "team" | "team_membership" | "workspace_membership" | "project_membership" | "membership" => {
            "memberships are not in the graph"
        }
        "portfolio" | "portfolio_membership" | "goal" | "goal_relationship" | "goal_membership" => {
            "portfolios and goals are not in the graph"
        }
        "allocation" | "time_tracking_entry" | "budget" | "rate" => "the planning of time is not in the graph",
        "reaction" => "reactions are not in the graph",
        _ => "not a resource that Mullion knows",
    }
}
