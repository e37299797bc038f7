//! Faults on order: a provider that is slow, over its limit, broken, silent or that takes no token any more.

use std::time::Duration;

use http::Method;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Rejection;

/// The longest wait that a fault may ask for.
const MAX_WAIT_MS: u64 = 600_000;
/// How many faults may be active at once.
const MAX_FAULTS: usize = 100;
const DEFAULT_TIMEOUT_MS: u64 = 60_000;
const DEFAULT_RETRY_AFTER: u64 = 30;

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Answers, but only after `latencyMs`.
    Latency,
    /// Does not answer until the faults are cleared, and then as ever.
    Hang,
    /// Refuses as over the rate limit, with `retryAfter` seconds.
    RateLimit,
    /// Refuses with the provider's internal error, status 500.
    ServerError,
    /// Answers as the proxy before the provider does when it cannot reach it: 502 and a page of HTML.
    BadGateway,
    /// Does not answer within `latencyMs` (default one minute), then gives up with 504.
    Timeout,
    /// Refuses the token.
    Unauthorized,
    /// Accepts the token, but not for this: status 403.
    Forbidden,
    /// Answers, but the answer ends in its middle.
    Malformed,
    /// Refuses with the provider's error `code`. GitHub: the type of a GraphQL error (`RESOURCE_LIMITS_EXCEEDED`, `INTERNAL`,
    /// `FORBIDDEN`), or `SOMETHING_WENT_WRONG` and `TIMED_OUT`, which come without type and data. Slack: any error word, such as
    /// `missing_scope`. Asana: a status, such as `402`, `409`.
    Error,
    /// Does not accept the token of a further page any more. First pages are answered as ever.
    InvalidPageToken,
    /// Loses webhooks on their way; calls are answered as ever. `path` is then looked for in "POST" and the target's URL.
    Drop,
}

/// The body of `POST /_sandbox/faults`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultInput {
    /// The key of the provider that fails.
    pub provider: String,
    /// How it fails.
    pub kind: FaultKind,
    /// Only calls whose "POST /graphql" contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only calls whose body contains this: a field of a GraphQL document, a part of a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Only calls for pages behind the first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub further_pages: bool,
    /// How many calls it hits before it is over; without it, all until the faults are cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Milliseconds to wait (`latency`, `timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Seconds that `rate_limit` asks the caller to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The code of an `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A call that faults may hit.
pub struct Called<'a> {
    /// The provider's key.
    pub provider: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The path, relative to the provider's mount.
    pub path: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// Whether it asks for a page behind the first; only looked at where a fault wants to know.
    pub is_further_page: &'a dyn Fn() -> bool,
}

/// A fault that is in force; `times` counts down.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    /// Counted from 1.
    pub id: u64,
    /// The fault that was asked for.
    #[serde(flatten)]
    pub input: FaultInput,
}

/// The effect of the active faults on one call.
#[derive(Debug, Default)]
pub struct Effect {
    /// Wait until this changes,
    pub release: Option<watch::Receiver<u64>>,
    /// and so long.
    pub delay: Duration,
    /// Then refuse with this,
    pub rejection: Option<Rejection>,
    /// or give up with 504,
    pub timed_out: bool,
    /// or answer as a proxy does,
    pub bad_gateway: bool,
    /// or cut the answer off.
    pub malformed: bool,
}

/// The faults in force, in the order in which they were asked for.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
    /// How often the faults were cleared: it releases calls that hang.
    cleared: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    faults: Vec<Fault>,
}

impl FaultInput {
    fn check(&self) -> Result<(), String> {
        if self.times == Some(0) {
            return Err("`times` must be at least 1".to_owned());
        }
        if self.latency_ms.is_some_and(|ms| ms > MAX_WAIT_MS) {
            return Err(format!("`latencyMs` must be at most {MAX_WAIT_MS}"));
        }
        if self.kind == FaultKind::Latency && self.latency_ms.is_none() {
            return Err("`latencyMs` is required for the kind `latency`".to_owned());
        }
        if self.code.is_some() != (self.kind == FaultKind::Error) {
            return Err("`code` is required for the kind `error`, and for no other".to_owned());
        }
        Ok(())
    }

    /// Counts one hit; whether there are more to come.
    fn goes_on(&mut self) -> bool {
        let Some(left) = &mut self.times else { return true };
        *left = left.saturating_sub(1);
        *left > 0
    }

    fn hits(&self, provider: &str, call: &str) -> bool {
        self.provider == provider && self.path.as_deref().is_none_or(|path| call.contains(path))
    }

    fn hits_call(&self, called: &Called<'_>, line: &str) -> bool {
        let in_body = |text: &str| String::from_utf8_lossy(called.body).contains(text);
        let further = self.further_pages || self.kind == FaultKind::InvalidPageToken;
        self.hits(called.provider, line)
            && self.body.as_deref().is_none_or(in_body)
            && (!further || (called.is_further_page)())
    }
}

impl Faults {
    /// Puts a fault in force; the message of a refusal names the field.
    pub fn add(&self, input: FaultInput) -> Result<Fault, String> {
        input.check()?;
        let mut state = self.state.lock();
        if state.faults.len() >= MAX_FAULTS {
            return Err(format!("there are {MAX_FAULTS} faults already: clear them first"));
        }
        state.last_id += 1;
        let fault = Fault { id: state.last_id, input };
        state.faults.push(fault.clone());
        Ok(fault)
    }

    /// The faults in force.
    pub fn list(&self) -> Vec<Fault> {
        self.state.lock().faults.clone()
    }

    /// Ends all faults, and lets calls go on that hang; says how many faults there were.
    pub fn clear(&self) -> usize {
        let mut state = self.state.lock();
        self.cleared.send_modify(|times| *times += 1);
        std::mem::take(&mut state.faults).len()
    }

    /// The effect on a call: all fitting latencies add up, the first other fitting fault decides the answer.
    pub fn strike(&self, called: &Called<'_>) -> Effect {
        let mut effect = Effect::default();
        let mut state = self.state.lock();
        if state.faults.is_empty() {
            return effect;
        }
        let line = format!("{} {}", called.method, called.path);
        let mut decided = false;
        state.faults.retain_mut(|fault| {
            let input = &mut fault.input;
            let latency = input.kind == FaultKind::Latency;
            if input.kind == FaultKind::Drop || (decided && !latency) || !input.hits_call(called, &line) {
                return true;
            }
            decided |= !latency;
            effect.add(input, || self.cleared.subscribe());
            input.goes_on()
        });
        effect
    }

    /// Whether a webhook is lost on its way.
    pub fn loses(&self, provider: &str, url: &str) -> bool {
        let sending = format!("POST {url}");
        let mut lost = false;
        self.state.lock().faults.retain_mut(|fault| {
            let input = &mut fault.input;
            if lost || input.kind != FaultKind::Drop || !input.hits(provider, &sending) {
                return true;
            }
            lost = true;
            input.goes_on()
        });
        lost
    }
}

impl Effect {
    fn add(&mut self, fault: &FaultInput, release: impl FnOnce() -> watch::Receiver<u64>) {
        let wait = |default| Duration::from_millis(fault.latency_ms.unwrap_or(default));
        self.delay += wait(if fault.kind == FaultKind::Timeout { DEFAULT_TIMEOUT_MS } else { 0 });
        match fault.kind {
            FaultKind::Latency | FaultKind::Drop => {}
            FaultKind::Hang => self.release = Some(release()),
            FaultKind::Timeout => self.timed_out = true,
            FaultKind::BadGateway => self.bad_gateway = true,
            FaultKind::Malformed => self.malformed = true,
            FaultKind::ServerError => self.rejection = Some(Rejection::ServerError),
            FaultKind::Unauthorized => self.rejection = Some(Rejection::Unauthorized),
            FaultKind::Forbidden => self.rejection = Some(Rejection::Forbidden),
            FaultKind::InvalidPageToken => self.rejection = Some(Rejection::InvalidPageToken),
            FaultKind::Error => {
                self.rejection = Some(Rejection::Error { code: fault.code.clone().unwrap_or_default() });
            }
            FaultKind::RateLimit => {
                let retry_after = fault.retry_after.unwrap_or(DEFAULT_RETRY_AFTER);
                self.rejection = Some(Rejection::RateLimited { retry_after });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn strike(faults: &Faults, provider: &str, method: &Method, path: &str) -> Effect {
        faults.strike(&Called { provider, method, path, body: b"", is_further_page: &|| false })
    }

    fn add(faults: &Faults, input: serde_json::Value) -> Result<Fault, String> {
        faults.add(serde_json::from_value(input).unwrap())
    }

    #[test]
    fn a_fault_hits_its_provider_and_path_as_often_as_asked() {
        let faults = Faults::default();
        let input = json!({"provider": "notes", "kind": "rate_limit", "path": "/graphql", "times": 2, "retryAfter": 7});
        assert_eq!(add(&faults, input).unwrap().id, 1);
        let limited = Some(Rejection::RateLimited { retry_after: 7 });
        let table = [("other", "/graphql", None), ("notes", "/user", None), ("notes", "/graphql", limited.clone())];
        for (provider, path, expected) in table {
            assert_eq!(strike(&faults, provider, &Method::POST, path).rejection, expected, "{provider} {path}");
        }
        assert_eq!(strike(&faults, "notes", &Method::POST, "/graphql").rejection, limited);
        assert_eq!(strike(&faults, "notes", &Method::POST, "/graphql").rejection, None, "its two times are over");
        assert!(faults.list().is_empty());
    }

    #[test]
    fn a_fault_can_be_kept_to_what_a_body_says_and_to_further_pages() {
        let faults = Faults::default();
        add(&faults, json!({"provider": "notes", "kind": "forbidden", "body": "issues("})).unwrap();
        add(&faults, json!({"provider": "notes", "kind": "server_error", "furtherPages": true})).unwrap();
        add(&faults, json!({"provider": "notes", "kind": "invalid_page_token"})).unwrap();
        for (body, further, expected) in [
            ("{ issues(first: 1) }", false, Some(Rejection::Forbidden)),
            ("{ pulls }", true, Some(Rejection::ServerError)),
            ("{ pulls }", false, None),
        ] {
            let method = Method::POST;
            let called = Called {
                provider: "notes",
                method: &method,
                path: "/graphql",
                body: body.as_bytes(),
                is_further_page: &|| further,
            };
            assert_eq!(faults.strike(&called).rejection, expected, "{body} {further}");
        }
    }

    #[test]
    fn a_call_hangs_until_the_faults_are_cleared() {
        let faults = Faults::default();
        add(&faults, json!({"provider": "notes", "kind": "hang"})).unwrap();
        let release = strike(&faults, "notes", &Method::GET, "/user").release.unwrap();
        assert!(!release.has_changed().unwrap());
        faults.clear();
        assert!(release.has_changed().unwrap());
    }

    #[test]
    fn latencies_add_up_and_the_first_refusal_decides() {
        let faults = Faults::default();
        add(&faults, json!({"provider": "other", "kind": "latency", "latencyMs": 20})).unwrap();
        add(&faults, json!({"provider": "other", "kind": "server_error", "times": 1})).unwrap();
        add(&faults, json!({"provider": "other", "kind": "unauthorized", "times": 1})).unwrap();
        add(&faults, json!({"provider": "other", "kind": "latency", "latencyMs": 5})).unwrap();
        let effect = strike(&faults, "other", &Method::GET, "/users.list");
        assert_eq!(effect.delay, Duration::from_millis(25));
        assert_eq!(effect.rejection, Some(Rejection::ServerError));
        assert_eq!(strike(&faults, "other", &Method::GET, "/users.list").rejection, Some(Rejection::Unauthorized));
        assert_eq!(faults.clear(), 2);
    }

    #[test]
    fn webhooks_are_lost_as_often_as_asked_and_calls_are_not() {
        let faults = Faults::default();
        add(&faults, json!({"provider": "notes", "kind": "drop", "path": "/hooks/a", "times": 1})).unwrap();
        assert!(strike(&faults, "notes", &Method::POST, "/hooks/a").rejection.is_none());
        assert!(!faults.loses("notes", "http://x/hooks/b") && !faults.loses("other", "http://x/hooks/a"));
        assert!(faults.loses("notes", "http://x/hooks/a"));
        assert!(!faults.loses("notes", "http://x/hooks/a"), "its one time is over");
    }

    #[test]
    fn senseless_faults_are_refused_by_field() {
        let table = [
            (json!({"provider": "other", "kind": "latency"}), "latencyMs"),
            (json!({"provider": "other", "kind": "timeout", "latencyMs": MAX_WAIT_MS + 1}), "latencyMs"),
            (json!({"provider": "other", "kind": "timeout", "times": 0}), "times"),
            (json!({"provider": "other", "kind": "error"}), "code"),
            (json!({"provider": "other", "kind": "timeout", "code": "x"}), "code"),
        ];
        for (input, field) in table {
            assert!(add(&Faults::default(), input).unwrap_err().contains(field));
        }
    }
}
