//! The account that a token belongs to, and the webhooks that it may set up.

use http::Method;
use serde_json::{Value, json};
use url::Url;

use super::{
    client::{self, Get, workspaces_of},
    error::{no_api, of_identifying},
    names::{USER, WORKSPACES_FACT},
    values::{gid, is_gid, node, text},
};
use crate::{
    provider::{Account, NodeRef, RegisteredWebhook},
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

/// Asks who the token belongs to.
pub(super) async fn identify(api: &Connection) -> Result<Account, UpstreamError> {
    let get = Get::new("users", &["users", "me"]).fields(vec!["name", "email", "workspaces.name"]);
    let user = client::one(api, &get).await.map_err(of_identifying)?;
    let name = text(&user, "name").or_else(|| text(&user, "email")).unwrap_or_default().to_owned();
    let workspaces = workspaces_of(&user);
    Ok(Account {
        name,
        scopes: Vec::new(),
        user: Some(node(USER, &user).ok_or_else(no_api)?),
        facts: serde_json::Map::from_iter([(WORKSPACES_FACT.to_owned(), workspaces.into())]),
    })
}

/// The gids of the account's workspaces, as far as `identify` learnt them.
pub(super) fn known_workspaces(api: &Connection) -> Vec<String> {
    let known = api.facts.get(WORKSPACES_FACT).and_then(Value::as_array);
    known.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Creates a webhook of a project. Asana shows `target` its secret while this call is open.
pub(super) async fn register(
    api: &Connection,
    project: &NodeRef,
    target: &Url,
) -> Result<RegisteredWebhook, UpstreamError> {
    let data = json!({ "resource": project.native_id.as_ref(), "target": target, "filters": filters() });
    let hook = client::write(api, Method::POST, &["webhooks"], Some(data)).await?;
    let external_id = gid(&hook).ok_or_else(no_api)?.to_owned();
    Ok(RegisteredWebhook { external_id })
}

/// The tasks' own events tell the notes that Asana makes of tasks by itself.
fn filters() -> Value {
    json!([
        { "resource_type": "task" },
        { "resource_type": "story", "resource_subtype": "comment_added" },
        { "resource_type": "section" },
        { "resource_type": "project" },
    ])
}

/// Deletes a webhook. One that is gone already is as good.
pub(super) async fn unregister(api: &Connection, external_id: &str) -> Result<(), UpstreamError> {
    if !is_gid(external_id) {
        return Err(UpstreamError::new(UpstreamErrorKind::Rejected, "not the id of a webhook at Asana"));
    }
    match client::write(api, Method::DELETE, &["webhooks", external_id], None).await {
        Err(error) if error.kind != UpstreamErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
