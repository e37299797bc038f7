//! People, the workspace, and the app's access to it.

use serde_json::json;

use super::event::{Event, writing};
use crate::{
    change::{Change, NodeRef},
    providers::slack::{
        names::{USER, WORKSPACE},
        normalize,
        values::{excerpt, object, text},
    },
};

/// A user, whole.
pub(super) fn user(event: &Event<'_>) -> Option<Change> {
    let value = object(event.value, "user")?;
    let write = normalize::user(value, event.place(), event.at)?;
    let node = write.node.clone();
    let name = write.aspects.iter().find_map(|aspect| aspect.fields.get("displayName")?.as_str());
    let name = excerpt(name.unwrap_or("Somebody"));
    let summary = match event.name {
        "team_join" => format!("{name} joined the workspace"),
        "user_status_changed" => format!("{name} changed their status"),
        _ => format!("{name} changed their profile"),
    };
    let change = writing(write);
    // Whether somebody is in a call is not in the graph; the user comes along all the same.
    if event.name == "user_huddle_changed" {
        return Some(change);
    }
    let mut change = event.told(change, Some(node.clone()), summary);
    if let Some(activity) = &mut change.activity {
        activity.actor = Some(NodeRef::new(USER, text(value, "id")?));
    }
    Some(change)
}

/// The workspace has another name or address.
pub(super) fn workspace(event: &Event<'_>) -> Option<Change> {
    let node = NodeRef::new(WORKSPACE, Some(event.team).filter(|team| !team.is_empty())?);
    let (fields, summary) = if event.name == "team_rename" {
        let name = event.text("name")?;
        (json!({ "name": name }), format!("Workspace renamed: {}", excerpt(name)))
    } else {
        let domain = event.text("domain")?;
        let summary = format!("Workspace moved to {}", excerpt(event.text("url").unwrap_or(domain)));
        let url = event.text("url").map_or_else(|| format!("https://{domain}.slack.com"), str::to_owned);
        (json!({ "domain": domain, "url": url }), summary)
    };
    Some(event.told(writing(event.write(node.clone(), &fields)), Some(node), summary))
}

/// The app lost its access. Nothing is known to have changed; the next read tells that the token is not accepted.
pub(super) fn access_ended(event: &Event<'_>) -> Change {
    let summary = match event.name {
        "app_uninstalled" => "The app was removed from the workspace",
        _ => "Tokens of the app were revoked",
    };
    event.told(Change::default(), None, summary.to_owned())
}
