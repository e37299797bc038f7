//! `[server]`: where Mullion listens, and who may ask from a browser.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::section::section;

/// Headers that the tools of pages add to requests: the names of clients, proofs that a preflight was made, traces.
fn allowed_headers() -> Vec<String> {
    let names = [
        "apollo-require-preflight",
        "apollographql-client-name",
        "apollographql-client-version",
        "baggage",
        "graphql-client-name",
        "graphql-client-version",
        "graphql-require-preflight",
        "sentry-trace",
        "traceparent",
        "tracestate",
        "x-apollo-operation-id",
        "x-apollo-operation-name",
        "x-graphql-client-name",
        "x-graphql-client-version",
        "x-requested-with",
    ];
    names.map(str::to_owned).to_vec()
}

/// The least role that may read the graph's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Everyone with a key.
    Viewer,
    /// Editors and admins.
    Editor,
    /// Admins.
    Admin,
    /// No one.
    Nobody,
}

section! {
    /// Where Mullion listens, and who may ask from a browser.
    Server in "server" {
        /// Address that `serve` binds; `dev` binds loopback whatever is said here.
        address: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
        /// Port of GraphQL, webhooks and GraphiQL.
        port: u16 = 4000, 0..=65_535;
        /// Address and port of `/metrics` and `/health` of `serve`; must not be reachable from outside.
        admin_address: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 4002));
        /// The address under which the providers and browsers reach this server: `https://mullion.example.com`.
        public_url: Option<String> = None;
        /// Origins of web pages that may ask, beside the server's own: `["https://dashboard.example.com"]`.
        allowed_origins: Vec<String> = Vec::new();
        /// Headers that pages of allowed origins may send, beside `Accept`, `Authorization`, `Content-Type`, `Last-Event-ID` and `X-Request-Id`.
        allowed_headers: Vec<String> = allowed_headers();
        /// Whether `serve` shows GraphiQL; `dev` always does.
        console: bool = false;
        /// Whether `serve` answers a plain GET on `/graphql`; otherwise it needs a header that pages of other sites cannot add unasked: `apollo-require-preflight`, `x-requested-with`, or `Content-Type: application/json`. `dev` always does, and `/graphql/stream` too.
        allow_get: bool = false;
        /// The least role that may read the graph's description, by introspection or from suggestions in errors: `"viewer"`, `"editor"`, `"admin"`, or `"nobody"`. In `dev` everyone may.
        introspection: Audience = Audience::Editor;
        /// Longest body of a GraphQL request.
        max_body_bytes: usize = 1_000_000, 1_000..=1_000_000_000;
        /// Bytes of GraphQL requests' bodies that arrive at a time, of all clients; beyond it, 503. Once half of it is taken, and for what bodies have beyond 64 KiB, a tenant may take a quarter.
        max_bytes_in_flight: usize = 64_000_000, 1_000..=1_000_000_000_000;
        /// How long a client may take to send a request's headers, and a connection may wait for its next request.
        header_timeout_seconds: u64 = 30, 1..=3_600;
        /// Longest time that a request may take; streams may take longer.
        request_timeout_seconds: u64 = 30, 1..=3_600;
        /// How long requests may go on after SIGTERM.
        shutdown_seconds: u64 = 20, 0..=3_600;
    }
}
