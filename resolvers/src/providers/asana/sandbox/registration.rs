//! The calls about webhooks. Making one is two steps of the same open call: Asana first shows the target a secret
//! (`X-Hook-Secret`), and the webhook exists only once the target has echoed it.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{ApiError, Reply};
use super::hooks;
use super::records::{Filter, Gid, Hook, Kind, Ref};
use super::session::Session;
use super::world::Origin;
use crate::sandbox::HandshakeAnswer;

type Answer = Result<Reply, ApiError>;

/// `POST /webhooks`.
pub(super) fn create(session: &mut Session<'_>) -> Answer {
    let resource = session.call.text("resource").ok_or_else(|| ApiError::missing("resource"))?;
    let target = session.call.text("target").ok_or_else(|| ApiError::missing("target"))?;
    let found = resource.parse().ok().and_then(|gid: Gid| session.world.find(gid));
    let resource = found.ok_or_else(|| ApiError::unknown("resource", &resource))?;
    let filters = filters(session, resource)?;
    if !(target.starts_with("https://") || target.starts_with("http://")) {
        return Err(ApiError::bad(format!("target: Not a valid URL: {target}")));
    }
    if session.world.hooks.values().any(|hook| hook.resource == Some(resource) && hook.target == target) {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "Duplicated webhook"));
    }
    let Some(answer) = session.answer.take() else {
        session.world.handshakes += 1;
        let secret = hooks::secret(session.world.seed, session.world.handshakes);
        session.handshake = Some(hooks::handshake(&target, &secret));
        // Never seen: the host answers only after the handshake.
        return Ok(Reply::empty());
    };
    let secret = echoed(&answer)?;
    let hook = Hook {
        resource: Some(resource),
        target,
        secret: secret.clone(),
        filters,
        active: true,
        created_at: Some(session.now),
        last_success_at: Some(session.now),
    };
    // The first heartbeat tells the target that events may come now.
    session.webhooks.push(hooks::heartbeat(&hook));
    let gid = session.world.mint(Origin::Hook);
    session.world.hooks.insert(gid, hook);
    let mut reply = Reply::created(session.record(Kind::Webhook, gid));
    if let Some(body) = reply.body.as_object_mut() {
        body.insert("X-Hook-Secret".to_owned(), json!(secret));
    }
    Ok(reply)
}

/// The secret, if the target has echoed it.
fn echoed(answer: &HandshakeAnswer) -> Result<String, ApiError> {
    let Some((status, headers)) = &answer.answer else {
        return Err(ApiError::bad("The remote server which is the target of the webhook could not be reached."));
    };
    if !status.is_success() {
        return Err(ApiError::bad(format!("The remote server responded with status {}.", status.as_u16())));
    }
    let sent = answer.sent.headers.get(hooks::SECRET_HEADER);
    let secret =
        sent.filter(|sent| headers.get(hooks::SECRET_HEADER) == Some(sent)).and_then(|sent| sent.to_str().ok());
    secret
        .map(str::to_owned)
        .ok_or_else(|| ApiError::bad("The remote server did not respond with the handshake secret."))
}

/// The filters; webhooks on what is above projects must have some, and these without `fields`.
fn filters(session: &Session<'_>, resource: Ref) -> Result<Vec<Filter>, ApiError> {
    let filters: Vec<Filter> = match session.call.data.get("filters") {
        None | Some(Value::Null) => Vec::new(),
        Some(given) => serde_json::from_value(given.clone()).map_err(|_| ApiError::bad("filters: Invalid filters"))?,
    };
    if matches!(resource.kind, Kind::Workspace | Kind::Team) {
        if filters.is_empty() {
            return Err(ApiError::bad("filters: Missing input; webhooks on higher-level resources require filters"));
        }
        if filters.iter().any(|filter| !filter.fields.is_empty()) {
            return Err(ApiError::bad("filters: fields are not supported on higher-level resources"));
        }
    }
    Ok(filters)
}

/// `GET /webhooks?workspace=…[&resource=…]`.
pub(super) fn list(session: &Session<'_>) -> Answer {
    let workspace = session.parameter(Kind::Workspace, "workspace")?.ok_or_else(|| ApiError::missing("workspace"))?;
    let resource: Option<Gid> = session.call.parameter("resource").and_then(|gid| gid.parse().ok());
    let listed = session.world.hooks.iter().filter(|(_, hook)| {
        hook.resource.is_some_and(|of| {
            resource.is_none_or(|gid| gid == of.gid) && workspace_of(session, of).is_none_or(|gid| gid == workspace)
        })
    });
    session.list(Kind::Webhook, &listed.map(|(gid, _)| *gid).collect::<Vec<_>>())
}

fn workspace_of(session: &Session<'_>, of: Ref) -> Option<Gid> {
    let world = &*session.world;
    let project = |gid: Gid| world.projects.get(&gid).map(|project| project.workspace);
    match of.kind {
        Kind::Workspace => Some(of.gid),
        Kind::Team => world.teams.get(&of.gid).map(|team| team.workspace),
        Kind::Project => project(of.gid),
        Kind::Section => world.sections.get(&of.gid).and_then(|section| project(section.project)),
        Kind::Task => world.tasks.get(&of.gid).map(|task| task.workspace),
        _ => None,
    }
}

/// `PUT /webhooks/{gid}`: replaces the filters.
pub(super) fn update(session: &mut Session<'_>, gid: &str) -> Answer {
    let gid = session.find(Kind::Webhook, "webhook", gid)?;
    if let Some(resource) = session.world.hooks.get(&gid).and_then(|hook| hook.resource) {
        let filters = filters(session, resource)?;
        if let Some(hook) = session.world.hooks.get_mut(&gid) {
            hook.filters = filters;
        }
    }
    session.one(Kind::Webhook, Ok(gid))
}

/// `DELETE /webhooks/{gid}`.
pub(super) fn delete(session: &mut Session<'_>, gid: &str) -> Answer {
    let gid = session.find(Kind::Webhook, "webhook", gid)?;
    session.world.hooks.remove(&gid);
    Ok(Reply::empty())
}
