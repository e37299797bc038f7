//! Decides which requests are let in, from where. A web page must not reach a server on loopback by DNS rebinding or a cross-site request.

use std::{collections::HashSet, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request, uri::Authority};
use mullion_schema::error::ErrorCode;
use parking_lot::RwLock;
use url::Url;

use crate::{
    operation::errors::RequestError,
    transport::negotiate::{Media, Stream},
};

/// The rules of one server.
#[derive(Debug, Default)]
pub struct Guard {
    /// Whether only loopback names are answered, as in `dev`.
    loopback_only: bool,
    /// The host of the tunnel that may reach webhooks.
    public_host: Option<String>,
    /// Origins that may ask; they can change while the server runs.
    allowed: RwLock<HashSet<String>>,
}

impl Guard {
    /// For `dev` and the stand-ins: loopback names, and the tunnel's for webhooks.
    pub fn loopback(public_url: Option<&str>, allowed: &[String]) -> Self {
        let public_host = public_url.and_then(|url| Url::parse(url).ok()?.host_str().map(str::to_ascii_lowercase));
        Self { loopback_only: true, public_host, allowed: RwLock::new(allowed.iter().cloned().collect()) }
    }

    /// For `serve`: any name, the own origin and those that are listed.
    pub fn public(public_url: Option<&str>, allowed: &[String]) -> Self {
        let guard = Self::default();
        guard.set_public(public_url, allowed);
        guard
    }

    /// Lets the own origin and those that are listed ask, and no others any more.
    pub(crate) fn set_public(&self, public_url: Option<&str>, allowed: &[String]) {
        let own = public_url.and_then(|url| Some(Url::parse(url).ok()?.origin().ascii_serialization()));
        *self.allowed.write() = allowed.iter().cloned().chain(own).collect();
    }

    /// Whether a page of this origin may ask.
    pub fn allows_origin(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        if self.allowed.read().contains(origin) {
            return true;
        }
        let Some(url) = Url::parse(origin).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
            return false;
        };
        if self.loopback_only {
            return url.host_str().is_some_and(is_loopback);
        }
        // The own page: an origin whose host is the one that was asked.
        let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        asked.is_some_and(|host| origin.split_once("://").is_some_and(|(_, own)| own.eq_ignore_ascii_case(host)))
    }

    /// The answer to what the rules forbid.
    pub(super) fn refusal(&self, request: &request::Parts) -> Option<Response> {
        let message = self.verdict(request).err()?;
        let error = RequestError::new(ErrorCode::Forbidden, message);
        Some(Media::Json.with_status(StatusCode::FORBIDDEN, &error).into_response())
    }

    fn verdict(&self, request: &request::Parts) -> Result<(), &'static str> {
        let path = request.uri.path();
        if self.loopback_only {
            let host = host_of(request).unwrap_or_default();
            let tunnel = self.public_host.as_deref() == Some(host.as_str()) && path.starts_with("/webhooks/");
            if !is_loopback(&host) && !tunnel {
                return Err("this server answers to localhost, 127.0.0.1 and [::1] only; \
                    the host of --public-url may reach /webhooks/");
            }
        }
        if path.starts_with("/webhooks/") {
            return Ok(());
        }
        let origin = request.headers.get(header::ORIGIN);
        let allowed = origin.is_some_and(|origin| self.allows_origin(origin, &request.headers));
        if origin.is_some() && !allowed && is_guarded(request) {
            return Err("pages of this origin may not ask; list it in server.allowed_origins");
        }
        let cross_site = request.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        if cross_site && !allowed && path.starts_with("/graphql") {
            return Err("cross-site requests may not ask; list their origin in server.allowed_origins");
        }
        Ok(())
    }
}

/// Whether a browser asked the server first, before a page of another site could send this: such a page adds none of these headers
/// without a preflight (<https://fetch.spec.whatwg.org/#cors-safelisted-request-header>).
pub(super) fn shows_a_preflight(headers: &HeaderMap) -> bool {
    let proofs = ["apollo-require-preflight", "graphql-require-preflight", "x-requested-with"];
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json")
    });
    is_json || proofs.iter().any(|name| headers.contains_key(*name))
}

/// Whether a page could do harm with the request: it could with all but plain GETs, and with those that stream.
fn is_guarded(request: &request::Parts) -> bool {
    let path = request.uri.path();
    let reads = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    !reads
        || request.headers.contains_key(header::UPGRADE)
        || path.starts_with("/graphql/stream") && request.method != Method::OPTIONS
        || Stream::accepted(&request.headers).is_some()
        || path.starts_with("/_sandbox")
}

/// Refuses what the rules forbid. Use it with `middleware::from_fn_with_state`.
pub async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match guard.refusal(&parts) {
        None => next.run(Request::from_parts(parts, body)).await,
        Some(refused) => refused,
    }
}

/// The host that was asked for, without its port, in lower case. HTTP/2 has it in the address.
fn host_of(request: &request::Parts) -> Option<String> {
    let authority = match request.uri.authority() {
        Some(authority) => authority.clone(),
        None => request.headers.get(header::HOST)?.to_str().ok()?.parse::<Authority>().ok()?,
    };
    // Two hosts, or a name before one: whoever stands between may have read another.
    let one = request.headers.get_all(header::HOST).iter().count() <= 1 && !authority.as_str().contains('@');
    one.then(|| authority.host().to_ascii_lowercase())
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::Guard;

    /// Method, path, headers, and whether it passes.
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], bool);

    fn passes(guard: &Guard, method: &str, path: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard.verdict(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn loopback_answers_to_its_names_and_to_its_own_pages() {
        let guard = Guard::loopback(Some("https://tunnel.example"), &["https://ok.example".to_owned()]);
        let local = ("host", "localhost:4000");
        let upgrade = ("upgrade", "websocket");
        let rows: &[Row<'_>] = &[
            ("GET", "/graphql", &[local], true),
            ("GET", "/graphql", &[("host", "127.0.0.1:4000")], true),
            ("GET", "/graphql", &[("host", "[::1]:4000")], true),
            ("GET", "/graphql", &[("host", "LOCALHOST")], true),
            ("GET", "/graphql", &[("host", "evil.example")], false),
            ("GET", "/graphql", &[("host", "localhost.evil.example")], false),
            ("GET", "/graphql", &[("host", "127.0.0.2")], false),
            ("GET", "/graphql", &[("host", "evil@localhost")], false),
            ("GET", "/graphql", &[local, ("host", "evil.example")], false),
            ("GET", "/graphql", &[local, local], false),
            ("GET", "/", &[], false),
            ("POST", "/webhooks/github/github-dev", &[("host", "tunnel.example")], true),
            ("POST", "/webhooks/github/github-dev", &[("host", "evil.example")], false),
            ("POST", "/graphql", &[("host", "tunnel.example")], false),
            ("GET", "/health/ready", &[("host", "tunnel.example")], false),
            ("POST", "/graphql", &[local], true),
            ("POST", "/graphql", &[local, ("origin", "http://localhost:5173")], true),
            ("POST", "/graphql", &[local, ("origin", "https://ok.example")], true),
            ("POST", "/graphql", &[local, ("origin", "https://evil.example")], false),
            ("POST", "/graphql", &[local, ("origin", "http://localhost.evil.example")], false),
            ("POST", "/graphql", &[local, ("origin", "null")], false),
            ("GET", "/graphql", &[local, upgrade, ("origin", "https://evil.example")], false),
            ("GET", "/graphql", &[local, upgrade], true),
            ("GET", "/graphql/stream", &[local, ("origin", "https://evil.example")], false),
            (
                "GET",
                "/graphql?query=subscription{a}",
                &[local, ("origin", "https://evil.example"), ("accept", "text/event-stream")],
                false,
            ),
            ("GET", "/_sandbox/stats", &[local, ("origin", "https://evil.example")], false),
            ("GET", "/graphql?query={a}", &[local, ("sec-fetch-site", "cross-site")], false),
            ("GET", "/graphql?query={a}", &[local, ("sec-fetch-site", "same-origin")], true),
            ("GET", "/", &[local, ("sec-fetch-site", "cross-site")], true),
        ];
        for (method, path, headers, expected) in rows {
            assert_eq!(passes(&guard, method, path, headers), *expected, "{method} {path} {headers:?}");
        }
    }

    #[test]
    fn a_public_server_answers_to_any_name_and_to_listed_origins() {
        let guard = Guard::public(Some("https://mullion.example"), &["https://ok.example".to_owned()]);
        let host = ("host", "10.0.0.1:4000");
        for (origin, expected) in [
            ("https://mullion.example", true),
            ("https://ok.example", true),
            ("http://10.0.0.1:4000", true),
            ("http://10.0.0.1:4001", false),
            ("http://localhost:4000", false),
            ("https://evil.example", false),
        ] {
            assert_eq!(passes(&guard, "POST", "/graphql", &[host, ("origin", origin)]), expected, "{origin}");
        }
        assert!(passes(&guard, "POST", "/graphql", &[host]));
    }
}
