//! The control API (`/_sandbox`): acts, statistics, faults and deliveries, for tests, scripts and the curious.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    ActError,
    faults::FaultInput,
    fields,
    host::{Hosted, SandboxHost},
    refusal::{Refusal, json_response},
};

/// Its endpoints, as `GET /_sandbox` lists them.
const ENDPOINTS: &[(&str, &str, &str)] = &[
    ("GET", "/_sandbox", "this list"),
    ("POST", "/_sandbox/{provider}/{action}", "acts in a world; ?wait=true answers after its webhooks were sent"),
    (
        "POST",
        "/_sandbox/{provider}/webhooks",
        "sends webhooks to {url, secret}, as if set up in the provider's web pages; forgotten at the end of the process",
    ),
    ("GET", "/_sandbox/stats", "how often which API path was called"),
    ("POST", "/_sandbox/stats/reset", "counts from 0 again"),
    ("GET", "/_sandbox/faults", "the faults in force"),
    (
        "POST",
        "/_sandbox/faults",
        "adds a fault: {provider, kind, path?, body?, furtherPages?, times?, latencyMs?, retryAfter?, code?}; kind is latency, hang \
         (until the faults are cleared), rate_limit, server_error, bad_gateway, timeout, unauthorized, forbidden, malformed, error \
         (with the provider's code: RESOURCE_LIMITS_EXCEEDED, missing_scope, 402), invalid_page_token, or drop, which loses webhooks",
    ),
    ("DELETE", "/_sandbox/faults", "ends all faults (also POST /_sandbox/faults/reset)"),
    ("GET", "/_sandbox/deliveries", "the last 200 webhooks that were sent"),
    (
        "GET",
        "/_sandbox/{provider}/recorded",
        "what a provider noted: GitHub's distinct GraphQL documents, Slack's open sockets",
    ),
];

/// The body of `POST /_sandbox/{provider}/webhooks`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    url: url::Url,
    secret: String,
}

impl SandboxHost {
    /// Answers a request to `/_sandbox…`.
    pub(super) async fn control(&self, request: &Request<Bytes>) -> Response<Bytes> {
        match self.control_value(request).await {
            Ok(value) => json_response(StatusCode::OK, &value),
            Err(refusal) => refusal.into_response(),
        }
    }

    async fn control_value(&self, request: &Request<Bytes>) -> Result<Value, Refusal> {
        let path: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).skip(1).collect();
        let (method, body) = (request.method(), request.body());
        match (method.as_str(), path.as_slice()) {
            ("GET" | "HEAD", []) => Ok(self.listing()),
            ("GET" | "HEAD", ["stats"]) => Ok(self.stats()),
            ("POST", ["stats", "reset"]) => {
                self.providers.iter().for_each(|hosted| hosted.stats.reset());
                Ok(self.stats())
            }
            ("GET" | "HEAD", ["faults"]) => Ok(json!({ "faults": self.faults.list() })),
            ("POST", ["faults"]) => self.add_fault(body),
            ("DELETE", ["faults"]) | ("POST", ["faults", "reset"]) => Ok(json!({ "cleared": self.faults.clear() })),
            ("GET" | "HEAD", ["deliveries"]) => Ok(json!({ "deliveries": self.deliveries.to_json() })),
            ("GET" | "HEAD", [provider, "recorded"]) => {
                let hosted = self.provider(provider).ok_or_else(|| self.no_provider(provider))?;
                Ok(json!({ "recorded": hosted.sandbox.recorded() }))
            }
            ("POST", [provider, "webhooks"]) => self.add_webhook(provider, body),
            ("POST", [provider, action]) => {
                let wait = waits(request.uri().query())?;
                self.act_on_request(provider, action, body, wait).await
            }
            (_, [] | ["stats" | "faults" | "deliveries"] | [_, _]) => Err(wrong_method(method)),
            _ => Err(Refusal::not_found("no such path: `GET /_sandbox` lists what there is")),
        }
    }

    fn listing(&self) -> Value {
        let act = |provider: &str, (name, example): (&str, Value)| json!({ "name": name, "path": format!("/_sandbox/{provider}/{name}"), "example": example });
        let provider = |hosted: &Hosted| {
            let name = hosted.sandbox.provider();
            let acts: Vec<Value> = hosted.sandbox.acts().into_iter().map(|entry| act(name, entry)).collect();
            json!({ "name": name, "mount": hosted.sandbox.mount(), "acts": acts })
        };
        let endpoint = |(method, path, description): &(&str, &str, &str)| json!({ "method": method, "path": path, "description": description });
        json!({
            "providers": self.providers.iter().map(provider).collect::<Vec<_>>(),
            "endpoints": ENDPOINTS.iter().map(endpoint).collect::<Vec<_>>(),
        })
    }

    fn stats(&self) -> Value {
        let of = |hosted: &Hosted| (hosted.sandbox.provider().to_owned(), hosted.stats.to_json());
        Value::Object(self.providers.iter().map(of).collect())
    }

    fn add_fault(&self, body: &Bytes) -> Result<Value, Refusal> {
        let input: FaultInput = serde_json::from_value(Value::Object(object(body)?))
            .map_err(|error| Refusal::bad_input(format!("the fault is not understood: {error}")))?;
        if self.provider(&input.provider).is_none() {
            return Err(Refusal::bad_input(format!("`provider` must be one of {}", self.names())));
        }
        let fault = self.faults.add(input).map_err(Refusal::bad_input)?;
        Ok(json!(fault))
    }

    fn names(&self) -> String {
        self.providers.iter().map(|hosted| hosted.sandbox.provider()).collect::<Vec<_>>().join(", ")
    }

    fn add_webhook(&self, provider: &str, body: &Bytes) -> Result<Value, Refusal> {
        let hosted = self.provider(provider).ok_or_else(|| self.no_provider(provider))?;
        let target: Target = serde_json::from_value(Value::Object(object(body)?))
            .map_err(|error| Refusal::bad_input(format!("the webhook is not understood: {error}")))?;
        if !matches!(target.url.scheme(), "http" | "https") {
            return Err(Refusal::bad_input("`url` must begin with http:// or https://"));
        }
        hosted.sandbox.add_webhook(target.url.as_str(), &target.secret);
        Ok(json!({ "url": target.url.as_str() }))
    }

    fn no_provider(&self, name: &str) -> Refusal {
        Refusal::not_found(format!("no provider `{name}`: there are {}", self.names()))
    }

    async fn act_on_request(&self, provider: &str, action: &str, body: &Bytes, wait: bool) -> Result<Value, Refusal> {
        let hosted = self.provider(provider).ok_or_else(|| self.no_provider(provider))?;
        let input = Value::Object(object(body)?);
        let (result, sent) = self.act(hosted, action, input).await.map_err(|error| refused(hosted, &error))?;
        let mut answer = json!({ "result": result, "webhooks": sent.len() });
        if wait {
            let mut deliveries = Vec::new();
            for delivery in sent {
                // The queue is stopped when the process ends.
                let delivery = delivery.await.map_err(|_| {
                    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "SHUTTING_DOWN", "the sandbox is stopping")
                })?;
                deliveries.push(delivery.to_json());
            }
            fields::set(&mut answer, "deliveries", deliveries);
        }
        Ok(answer)
    }
}

fn refused(hosted: &Hosted, error: &ActError) -> Refusal {
    match error {
        ActError::Unknown(_) => {
            let acts: Vec<&str> = hosted.sandbox.acts().into_iter().map(|(name, _)| name).collect();
            Refusal::not_found(format!("{error}; there are {}", acts.join(", "))).with_acts(&acts)
        }
        ActError::BadInput(message) => Refusal::bad_input(message.clone()),
        ActError::NotFound(_) => Refusal::not_found(error.to_string()),
    }
}

fn wrong_method(method: &Method) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", format!("{method} means nothing here"))
}

fn waits(query: Option<&str>) -> Result<bool, Refusal> {
    let mut wait = false;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        wait = match (name.as_ref(), value.as_ref()) {
            ("wait", "true" | "1" | "") => true,
            ("wait", "false" | "0") => false,
            ("wait", _) => return Err(Refusal::bad_input("`wait` must be true or false")),
            _ => return Err(Refusal::bad_input(format!("unknown parameter `{name}`"))),
        };
    }
    Ok(wait)
}

/// The body as a JSON object; an empty body is an empty object.
fn object(body: &Bytes) -> Result<Map<String, Value>, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Refusal::bad_input("the body must be a JSON object")),
        Err(error) => Err(Refusal::bad_input(format!("the body is no JSON: {error}"))),
    }
}
