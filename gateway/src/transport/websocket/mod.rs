//! `graphql-transport-ws` over WebSocket: handshake and frames of RFC 6455, the protocol as a state machine without I/O, and the
//! socket that drives it. Why all of it is our own: docs/adr/0008.

mod budget;
mod close;
mod frame;
mod handshake;
mod message;
mod operations;
mod outbox;
mod progress;
mod protocol;
mod signals;
mod socket;
mod wakers;
mod wire;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{extract::FromRequestParts, response::Response};
use http::{HeaderMap, request::Parts};
use hyper_util::rt::TokioIo;
use mullion_resolvers::trace_context::TraceContext;

use self::{
    close::{Close, code},
    handshake::{Refusal, Upgrade},
    outbox::Frame,
    socket::Socket,
    wire::Wire,
};
use super::{Connections, admission};
use crate::operation::authenticate::bearer;

/// The subprotocol.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";

/// How long the other side may take to answer a close frame.
const GOODBYE: Duration = Duration::from_secs(2);

/// Whether a request asks to become a WebSocket.
pub struct Asked(pub Option<Result<Upgrade, Refusal>>);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(Upgrade::take(parts)))
    }
}

/// Answers the upgrade, and serves the socket in one task.
pub fn accept(shared: Arc<Connections>, headers: &HeaderMap, upgrade: Upgrade, request_id: &str) -> Response {
    let Some(place) = shared.admission.enter("websocket") else { return admission::full(request_id) };
    let (key, trace) = (bearer(headers).map(str::to_owned), TraceContext::of_headers(headers));
    let spoken = upgrade.spoken;
    let (response, connection) = upgrade.accept();
    let tracker = shared.tracker.clone();
    tracker.spawn(async move {
        let Ok(connection) = connection.await else { return };
        let live = &shared.metrics.live;
        let wire = Wire::new(TokioIo::new(connection), shared.live.max_message_bytes, live.queued_bytes.clone());
        if spoken {
            Socket::new(shared, place).with_client(key, trace).run(wire).await;
        } else {
            live.closed(code::SUBPROTOCOL);
            let close = Close::new(code::SUBPROTOCOL, "Subprotocol not acceptable");
            wire.say_goodbye(Frame::close(&close), GOODBYE).await;
        }
    });
    response
}

#[cfg(test)]
mod tests;
