//! People, the workspace, and the app's access to it.

use serde_json::{Value, json};

use super::event::{Event, writing};
use crate::{
    provider::{
        NodeRef,
        change::Change,
        sentence::{ACTOR, Detail},
    },
    providers::slack::{
        names::WORKSPACE,
        normalize,
        values::{object, text},
    },
};

/// A user, whole.
pub(super) fn user(event: &Event<'_>) -> Option<Change> {
    let value = object(event.value, "user")?;
    let write = normalize::user(value, event.workspace(), event.at)?;
    let node = write.node.clone();
    let name = write.aspects.iter().find_map(|aspect| aspect.fields.get("displayName")?.as_str());
    let parts = name.map(|name| (ACTOR, Detail::named(&node, name)));
    let key = event_key(value);
    let change = writing(write);
    // Whether somebody is in a call is not in the graph; the user comes along all the same.
    if event.name == "user_huddle_changed" {
        return Some(change);
    }
    let mut change = event.told(change, Some(node.clone()), parts);
    if let Some(activity) = &mut change.activity {
        activity.actor = Some(node);
        activity.key = key.filter(|_| event.name != "team_join");
    }
    Some(change)
}

/// Several events tell of one change of a user: those of the user, of the profile and of the status.
fn event_key(user: &Value) -> Option<String> {
    Some(format!("user:{}:{}", text(user, "id")?, user.get("updated")?.as_i64()?))
}

/// The workspace has another name or address.
pub(super) fn workspace(event: &Event<'_>) -> Option<Change> {
    let node = NodeRef::new(WORKSPACE, Some(event.team).filter(|team| !team.is_empty())?);
    let (fields, name) = if event.name == "team_rename" {
        let name = event.text("name")?;
        (json!({ "name": name }), name)
    } else {
        let domain = event.text("domain")?;
        let url = event.text("url").map_or_else(|| format!("https://{domain}.slack.com"), str::to_owned);
        (json!({ "domain": domain, "url": url }), event.text("url").unwrap_or(domain))
    };
    Some(event.told(writing(event.write(node.clone(), &fields)), Some(node), [("name", name.into())]))
}

/// The app lost its access. Nothing is known to have changed; the next read tells that the token is not accepted.
pub(super) fn access_ended(event: &Event<'_>) -> Change {
    event.told(Change::default(), None, None)
}
