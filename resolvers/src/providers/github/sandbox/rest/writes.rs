//! Writes below `/repos/{owner}/{repo}`: translated into the acts that do the same, so that they send the same webhooks.

use serde_json::{Map, Value};

use super::{Call, hooks, reply::Reply};
use crate::{
    providers::github::sandbox::{acts, shapes::issues, world::World},
    sandbox::{ActError, OutgoingWebhook},
};

pub(super) fn write(
    world: &mut World,
    call: &Call,
    (at, rest): (usize, &[&str]),
    webhooks: &mut Vec<OutgoingWebhook>,
) -> Reply {
    match (call.method.as_str(), rest) {
        (_, ["hooks", rest @ ..]) => hooks::write(world, call, (at, rest), webhooks),
        ("POST", ["issues"]) => match call.body.get("title") {
            Some(_) => issue(world, (call, at), None, ("open_issue", webhooks)),
            None => Reply::invalid("Issue", "title", "missing_field"),
        },
        ("PATCH", ["issues", number]) => {
            let action = match call.body.get("state").and_then(Value::as_str) {
                Some("closed") => "close_issue",
                Some("open") => "reopen_issue",
                _ => "edit_issue",
            };
            issue(world, (call, at), number.parse().ok(), (action, webhooks))
        }
        ("POST", ["issues", number, "comments"]) => match call.body.get("body") {
            Some(_) => comment(world, (call, at), number.parse().ok(), webhooks),
            None => Reply::invalid("IssueComment", "body", "missing_field"),
        },
        _ => Reply::not_found(),
    }
}

/// The body as the input of an act.
fn input(world: &World, call: &Call, at: usize, number: Option<u64>) -> Value {
    let mut input: Map<String, Value> = call.body.as_object().cloned().unwrap_or_default();
    let name = world.repos.get(at).map(|repo| repo.full_name(world));
    input.insert("repository".to_owned(), name.into());
    if let Some(number) = number {
        input.insert("number".to_owned(), number.into());
    }
    if let Some(reason) = input.get("state_reason").cloned() {
        input.insert("reason".to_owned(), reason);
    }
    Value::Object(input)
}

fn refusal(error: &ActError) -> Reply {
    match error {
        ActError::BadInput(message) => Reply::problem(http::StatusCode::UNPROCESSABLE_ENTITY, message),
        _ => Reply::not_found(),
    }
}

fn issue(
    world: &mut World,
    (call, at): (&Call, usize),
    number: Option<u64>,
    (action, webhooks): (&str, &mut Vec<OutgoingWebhook>),
) -> Reply {
    let exists = number.is_none_or(|number| world.item(at, number).is_some());
    if !exists || (number.is_none() && action != "open_issue") {
        return Reply::not_found();
    }
    let input = input(world, call, at, number);
    let acted = match acts::act(world, call.now, action, &input) {
        Ok(acted) => acted,
        Err(error) => return refusal(&error),
    };
    webhooks.extend(acted.webhooks);
    let number = acted.result.get("number").and_then(Value::as_u64).unwrap_or(0);
    let Some((repo, item)) = world.item(at, number) else { return Reply::not_found() };
    let body = issues::whole(world, repo, item);
    if action == "open_issue" { Reply::created(body) } else { Reply::ok(body) }
}

fn comment(
    world: &mut World,
    (call, at): (&Call, usize),
    number: Option<u64>,
    webhooks: &mut Vec<OutgoingWebhook>,
) -> Reply {
    let Some(number) = number.filter(|number| world.item(at, *number).is_some()) else { return Reply::not_found() };
    let input = input(world, call, at, Some(number));
    let acted = match acts::act(world, call.now, "comment_issue", &input) {
        Ok(acted) => acted,
        Err(error) => return refusal(&error),
    };
    webhooks.extend(acted.webhooks);
    let made = world.item(at, number).and_then(|(repo, item)| {
        let comment = item.comments.last()?;
        Some(issues::comment(world, repo, item, comment))
    });
    made.map_or_else(Reply::not_found, Reply::created)
}
