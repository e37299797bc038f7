//! `POST /batch`: up to ten calls in one, answered in their order, each with its own status.

use http::Method;
use serde_json::{Map, Value, json};

use super::answer::{ApiError, Reply};
use super::request::{Call, text};
use super::session::Session;

const MOST: usize = 10;

/// Runs the actions one after the other; `answer` answers each.
pub(super) fn run(
    session: &mut Session<'_>,
    answer: fn(&mut Session<'_>) -> Result<Reply, ApiError>,
) -> Result<Reply, ApiError> {
    let Some(Value::Array(actions)) = session.call.data.get("actions").cloned() else {
        return Err(ApiError::missing("actions"));
    };
    if actions.len() > MOST {
        return Err(ApiError::bad(format!("actions: Must not have more than {MOST} actions")));
    }
    let whole = session.call.clone();
    let mut answers = Vec::with_capacity(actions.len());
    for action in &actions {
        let outcome = read(action).and_then(|call| {
            session.call = call;
            answer(session)
        });
        let (status, body) = match outcome {
            Ok(reply) => (reply.status, reply.body),
            Err(error) => (error.status, error.body),
        };
        answers.push(json!({ "status_code": status.as_u16(), "headers": {}, "body": body }));
    }
    session.call = whole;
    Ok(Reply::ok(Value::Array(answers)))
}

fn read(action: &Value) -> Result<Call, ApiError> {
    let path = action.get("relative_path").and_then(Value::as_str).ok_or_else(|| ApiError::missing("relative_path"))?;
    let method = action.get("method").and_then(Value::as_str).unwrap_or("get").to_uppercase();
    let method: Method = method.parse().map_err(|_| ApiError::bad("method: Not a recognized method"))?;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    // As with Asana, some calls cannot be part of a batch; a handshake could not be waited for here.
    if ["/batch", "/webhooks", "/events"].iter().any(|refused| path.starts_with(refused)) {
        return Err(ApiError::bad(format!("relative_path: {path} is not allowed in a batch request")));
    }
    let object = |name: &str| action.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let (mut data, options) = (object("data"), object("options"));
    let mut parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    if method == Method::GET {
        parameters.extend(data.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))));
        data = Map::new();
    }
    Ok(Call::new(method, path, parameters, data, &options))
}
