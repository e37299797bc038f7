//! The account that a token belongs to, and the webhooks that it may set up.

use http::Method;
use serde_json::{Value, json};
use url::Url;

use super::{Github, client, documents, error, names::USER, rest, runs::split, values::text, wire::Hook};
use crate::{
    provider::{Account, NodeRef, RegisteredWebhook},
    secret::Secret,
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

/// The events that are interpreted.
const EVENTS: &[&str] = &[
    "check_run",
    "check_suite",
    "create",
    "delete",
    "fork",
    "issue_comment",
    "issues",
    "label",
    "milestone",
    "public",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_review_thread",
    "push",
    "release",
    "repository",
    "star",
    "status",
    "watch",
    "workflow_run",
];

/// Asks who the token belongs to.
pub(super) async fn identify(api: &Connection) -> Result<Account, UpstreamError> {
    let response = client::rest(api, client::get(api, &["user"], &[])?).await.map_err(error::of_identifying)?;
    let user: Value = client::parse(&response.body).map_err(error::of_identifying)?;
    let login = text(&user, "login").unwrap_or_default().to_owned();
    let scopes = response.headers.get("x-oauth-scopes").and_then(|scopes| scopes.to_str().ok()).unwrap_or_default();
    let scopes = scopes.split(',').map(str::trim).filter(|scope| !scope.is_empty());
    Ok(Account {
        name: login.clone(),
        scopes: scopes.map(str::to_owned).collect(),
        user: rest::node(USER, &user),
        facts: serde_json::Map::from_iter([("login".to_owned(), login.into())]),
    })
}

/// Creates a webhook of a repository, or gives the one that is there already this secret.
pub(super) async fn register(
    github: &Github,
    api: &Connection,
    repository: &NodeRef,
    target: &Url,
    secret: &Secret,
) -> Result<RegisteredWebhook, UpstreamError> {
    let full_name = name_of(github, api, repository).await?;
    let (owner, name) = split(&full_name)?;
    let secret = secret.expose_text();
    let Some(secret) = secret.filter(|secret| !secret.is_empty()) else {
        return Err(UpstreamError::new(UpstreamErrorKind::Rejected, "the webhook's secret is no text"));
    };
    let config = json!({ "url": target, "content_type": "json", "secret": secret, "insecure_ssl": "0" });
    let body = json!({ "name": "web", "active": true, "events": EVENTS, "config": config });
    let hooks = ["repos", owner, name, "hooks"];
    let created = client::rest(api, client::write(api, Method::POST, &hooks, &body)?).await;
    let id = match created {
        Ok(response) => client::parse::<Hook>(&response.body)?.id,
        // GitHub keeps one webhook for each address.
        Err(error) if error.kind == UpstreamErrorKind::Rejected => {
            let existing = client::rest(api, client::get(api, &hooks, &[("per_page", "100")])?).await?;
            let existing: Vec<Hook> = client::parse(&existing.body)?;
            let Some(hook) = existing.into_iter().find(|hook| hook.config.url == target.as_str()) else {
                return Err(error);
            };
            let id = hook.id.to_string();
            let path = ["repos", owner, name, "hooks", &id];
            client::rest(api, client::write(api, Method::PATCH, &path, &body)?).await?;
            hook.id
        }
        Err(error) => return Err(error),
    };
    Ok(RegisteredWebhook { external_id: format!("{full_name}/{id}") })
}

/// Deletes a webhook. One that is gone already is as good.
pub(super) async fn unregister(api: &Connection, external_id: &str) -> Result<(), UpstreamError> {
    let (owner, name, id) = parts_of(external_id)?;
    let request = client::write(api, Method::DELETE, &["repos", owner, name, "hooks", id], &Value::Null)?;
    match client::rest(api, request).await {
        Err(error) if error.kind != UpstreamErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Owner, repository and number of a webhook.
pub(super) fn parts_of(external_id: &str) -> Result<(&str, &str, &str), UpstreamError> {
    let mut parts = external_id.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(owner), Some(name), Some(id)) => Ok((owner, name, id)),
        _ => Err(UpstreamError::new(UpstreamErrorKind::Rejected, "not the id of a webhook at GitHub")),
    }
}

async fn name_of(github: &Github, api: &Connection, repository: &NodeRef) -> Result<String, UpstreamError> {
    if let Some(name) = github.known_name(api, repository) {
        return Ok(name.as_ref().to_owned());
    }
    let (document, variables) =
        documents::assemble(std::iter::once(&documents::repository_names(&[&repository.native_id])));
    let answer = client::graphql(api, &document, variables).await?;
    let name = answer.data.pointer("/a0/0/nameWithOwner").and_then(Value::as_str);
    let unknown = || UpstreamError::new(UpstreamErrorKind::NotFound, "GitHub does not know the repository");
    name.map(str::to_owned).ok_or_else(unknown)
}
