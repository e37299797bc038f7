//! A Web API request: which method, with which arguments, whether with a token; and the answer's envelope.
//!
//! <https://docs.slack.dev/apis/web-api/>: GET or POST, arguments as query, form or JSON, `ok:false` with HTTP 200.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::{Value, json};

use super::{
    happen::Refused,
    model::{Channel, Ts, User, World},
};
use crate::sandbox::{ApiRequest, ApiResponse, fields::extend};

/// The scopes of the sandbox's tokens.
const SCOPES: &str = "channels:read,channels:history,groups:read,groups:history,im:read,im:history,users:read,\
    users:read.email,team:read,reactions:read,reactions:write,emoji:read,chat:write";

/// `ok:false`.
#[derive(Debug, PartialEq)]
pub(super) struct Fail {
    error: Cow<'static, str>,
    messages: Vec<String>,
}

impl From<&'static str> for Fail {
    fn from(error: &'static str) -> Self {
        Self { error: Cow::Borrowed(error), messages: Vec::new() }
    }
}

impl From<Refused> for Fail {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoChannel => "channel_not_found",
            Refused::NoMessage => "message_not_found",
            Refused::NoUser => "user_not_found",
            Refused::Archived => "is_archived",
            Refused::NameTaken => "name_taken",
            Refused::AlreadyIn => "already_in_channel",
            Refused::AlreadyReacted => "already_reacted",
            Refused::NoReaction => "no_reaction",
        }
        .into()
    }
}

pub(super) type Answer = Result<Value, Fail>;

/// The arguments of a call.
#[derive(Debug, Default)]
pub(super) struct Args(BTreeMap<String, String>);

impl Args {
    /// From query and body. A JSON body must be an object, as Slack's `json_not_object` says.
    pub(super) fn of(request: &ApiRequest) -> Result<Self, Fail> {
        let mut args = BTreeMap::new();
        let mut take = |bytes: &[u8]| {
            for (name, value) in form_urlencoded::parse(bytes) {
                args.insert(name.into_owned(), value.into_owned());
            }
        };
        take(request.uri().query().unwrap_or_default().as_bytes());
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("application/json") {
            take(request.body());
        } else if !request.body().is_empty() {
            let body: Value = serde_json::from_slice(request.body()).map_err(|_| Fail::from("invalid_json"))?;
            let Value::Object(body) = body else { return Err("json_not_object".into()) };
            for (name, value) in body {
                let text = match value {
                    Value::Null => continue,
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                args.insert(name, text);
            }
        }
        Ok(Self(args))
    }

    /// `api.test`: what was said comes back, and a wished error happens.
    pub(super) fn echo(&self) -> Answer {
        if let Some(error) = self.get("error") {
            return Err(Fail { error: Cow::Owned(error.to_owned()), messages: Vec::new() });
        }
        let said: BTreeMap<&String, &String> = self.0.iter().filter(|(name, _)| *name != "token").collect();
        Ok(json!({ "args": said }))
    }

    /// An argument that is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn need(&self, name: &str) -> Result<&str, Fail> {
        let missing = || Fail {
            error: Cow::Borrowed("invalid_arguments"),
            messages: vec![format!("[ERROR] missing required field: {name}")],
        };
        self.get(name).ok_or_else(missing)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    pub(super) fn ts(&self, name: &str) -> Result<Option<Ts>, Fail> {
        let wrong = |()| Fail {
            error: Cow::Borrowed("invalid_arguments"),
            messages: vec![format!("[ERROR] no timestamp: {name}")],
        };
        self.get(name).map(str::parse).transpose().map_err(wrong)
    }

    /// The page size; more than `most` is cut down to it, as Slack does.
    pub(super) fn limit(&self, default: usize, most: usize) -> Result<usize, Fail> {
        match self.get("limit").map(str::parse::<usize>) {
            None | Some(Ok(0)) => Ok(default),
            Some(Ok(limit)) => Ok(limit.min(most)),
            Some(Err(_)) => Err("invalid_limit".into()),
        }
    }

    pub(super) fn channel<'w>(&self, world: &'w World) -> Result<&'w Channel, Fail> {
        world.channel(self.need("channel")?).ok_or_else(|| "channel_not_found".into())
    }

    pub(super) fn user<'w>(&self, world: &'w World) -> Result<&'w User, Fail> {
        world.user(self.need("user")?).ok_or_else(|| "user_not_found".into())
    }
}

/// Whether the call has a token. Which one does not matter to most methods.
pub(super) fn has_token(request: &ApiRequest, args: &Args) -> bool {
    token(request, args).is_some()
}

/// The token, in the header or in the arguments.
pub(super) fn token<'a>(request: &'a ApiRequest, args: &'a Args) -> Option<&'a str> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bearer = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    bearer.map(|(_, token)| token.trim()).filter(|token| !token.is_empty()).or_else(|| args.get("token"))
}

/// The answer with the headers that Slack gives. `number` makes its request id.
pub(super) fn respond(answer: Answer, number: u64) -> ApiResponse {
    let body = match answer {
        Ok(mut body) => {
            // Real answers begin with it.
            let mut whole = json!({ "ok": true });
            extend(&mut whole, body.take());
            whole
        }
        Err(Fail { error, messages }) if messages.is_empty() => json!({ "ok": false, "error": error }),
        Err(Fail { error, messages }) => {
            json!({ "ok": false, "error": error, "response_metadata": { "messages": messages } })
        }
    };
    envelope(StatusCode::OK, &body, number)
}

/// 429 with `Retry-After`.
pub(super) fn rate_limited(retry_after: u64, number: u64) -> ApiResponse {
    let mut response = envelope(StatusCode::TOO_MANY_REQUESTS, &json!({ "ok": false, "error": "ratelimited" }), number);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after));
    response
}

/// Slack's 500.
pub(super) fn internal_error(number: u64) -> ApiResponse {
    envelope(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "ok": false, "error": "internal_error" }), number)
}

/// Slack's 403, which is of its edge and not of the method.
pub(super) fn refused(number: u64) -> ApiResponse {
    envelope(StatusCode::FORBIDDEN, &json!({ "ok": false, "error": "access_denied" }), number)
}

/// An error of a method, which comes with status 200.
pub(super) fn failed(error: &str, number: u64) -> ApiResponse {
    let mut body = json!({ "ok": false, "error": error });
    if error == "missing_scope" {
        extend(&mut body, json!({ "needed": "channels:read,groups:read", "provided": "chat:write" }));
    }
    envelope(StatusCode::OK, &body, number)
}

/// A socket's ticket that is none, or none any more.
pub(super) fn forbidden(number: u64) -> ApiResponse {
    envelope(StatusCode::FORBIDDEN, &json!({ "ok": false, "error": "invalid_ticket" }), number)
}

fn envelope(status: StatusCode, body: &Value, number: u64) -> ApiResponse {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert("cache-control", HeaderValue::from_static("private, no-cache, no-store, must-revalidate"));
    headers.insert("x-oauth-scopes", HeaderValue::from_static(SCOPES));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::try_from(format!("{number:032x}")) {
        headers.insert("x-slack-req-id", id);
    }
    response
}
