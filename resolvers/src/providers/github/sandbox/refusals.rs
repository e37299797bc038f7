//! How GitHub refuses and fails, when a fault asks for it: over GraphQL mostly with status 200.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{graphql, rest::reply::Reply, shapes::shape};
use crate::sandbox::{ApiRequest, Rejection};

/// The answer of GraphQL over the limit. It comes with status 200.
pub(super) fn over_limit() -> Value {
    json!({ "errors": [{ "type": "RATE_LIMITED", "message": "API rate limit exceeded for user ID 1150000037." }] })
}

/// The answer. `graphql` is the body of a call to GraphQL.
pub(super) fn reply(rejection: &Rejection, graphql: Option<&[u8]>) -> Reply {
    let Some(body) = graphql else { return over_rest(rejection) };
    match rejection {
        Rejection::RateLimited { .. } => Reply::ok(over_limit()),
        Rejection::ServerError => Reply::with(StatusCode::INTERNAL_SERVER_ERROR, without_data("SOMETHING_WENT_WRONG")),
        Rejection::Unauthorized => Reply::problem(StatusCode::UNAUTHORIZED, "Bad credentials"),
        Rejection::Forbidden => {
            Reply::problem(StatusCode::FORBIDDEN, "Resource not accessible by personal access token")
        }
        Rejection::InvalidPageToken => {
            let message = "`Y3Vyc29yOnYyOpHOAA==` does not appear to be a valid cursor.";
            Reply::ok(without_parts(body, "INVALID_CURSOR_ARGUMENTS", message))
        }
        Rejection::Error { code } => match code.as_str() {
            "SOMETHING_WENT_WRONG" | "TIMED_OUT" => Reply::ok(without_data(code)),
            "RESOURCE_LIMITS_EXCEEDED" => {
                Reply::ok(without_parts(body, code, "Resource limits for this query exceeded."))
            }
            "FORBIDDEN" => Reply::ok(without_parts(body, code, "Resource protected by organization SAML enforcement.")),
            code => Reply::ok(without_parts(body, code, "Something went wrong")),
        },
    }
}

fn over_rest(rejection: &Rejection) -> Reply {
    let forbidden = || Reply::problem(StatusCode::FORBIDDEN, "Resource not accessible by personal access token");
    match rejection {
        Rejection::RateLimited { .. } => {
            Reply::problem(StatusCode::TOO_MANY_REQUESTS, "API rate limit exceeded for user ID 1150000037.")
        }
        Rejection::Unauthorized => Reply::problem(StatusCode::UNAUTHORIZED, "Bad credentials"),
        Rejection::Forbidden => forbidden(),
        Rejection::InvalidPageToken => Reply::problem(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed"),
        Rejection::Error { code } if code == "FORBIDDEN" => forbidden(),
        Rejection::ServerError | Rejection::Error { .. } => {
            Reply::with(StatusCode::INTERNAL_SERVER_ERROR, shape! { "message": "Server Error" })
        }
    }
}

/// GitHub's own failures: no data, no type, no path.
fn without_data(code: &str) -> Value {
    let message = if code == "TIMED_OUT" {
        "We couldn't respond to your request in time. Sorry about that. Please try resubmitting your request and contact us if the \
         problem persists."
    } else {
        "Something went wrong while executing your query on 2026-11-30T12:00:00Z. Please include `ABCD:12E4:1:2:3` when reporting \
         this issue."
    };
    json!({ "data": null, "errors": [{ "message": message }] })
}

/// Every part of the answer is null, with an error at its path.
fn without_parts(body: &[u8], code: &str, message: &str) -> Value {
    let keys = graphql::top_keys(body);
    let error = |key: &String| json!({ "type": code, "path": [key], "message": message });
    let errors: Vec<Value> = keys.iter().map(error).collect();
    let data: Map<String, Value> = keys.into_iter().map(|key| (key, Value::Null)).collect();
    json!({ "data": data, "errors": errors })
}

/// Whether a variable has a cursor in it, or REST is asked for a page.
pub(super) fn is_further_page(request: &ApiRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    if query.split('&').any(|pair| pair.strip_prefix("page=").is_some_and(|page| page != "1")) {
        return true;
    }
    let Ok(body) = serde_json::from_slice::<Value>(request.body()) else { return false };
    let variables = body.get("variables").and_then(Value::as_object);
    variables
        .is_some_and(|variables| variables.iter().any(|(name, value)| name.ends_with("after") && value.is_string()))
}
