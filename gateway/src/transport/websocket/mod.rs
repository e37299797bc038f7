//! `graphql-transport-ws` over WebSocket: the protocol as a state machine without I/O, and the socket that drives it.

mod message;
mod protocol;
mod socket;

use std::sync::Arc;

use axum::{
    extract::WebSocketUpgrade,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode};

use self::protocol::{Close, code};
use crate::http::{App, graphql::bearer};

/// The subprotocol.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";

/// Read in small steps: the buffer is allocated for each socket, and cleared for each read.
const READ_BUFFER: usize = 4 * 1024;
/// A frame must fit as a whole. The buffer never holds more than one: the next is sent when the last has left.
const MAX_FRAME: usize = 16 * 1024 * 1024;

/// Answers the upgrade.
pub fn accept(app: Arc<App>, headers: &HeaderMap, mut upgrade: WebSocketUpgrade) -> Response {
    let Ok(permit) = Arc::clone(&app.sockets).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many open sockets\n").into_response();
    };
    let spoken = upgrade.requested_protocols().any(|protocol| protocol == SUBPROTOCOL);
    if spoken {
        upgrade.set_selected_protocol(HeaderValue::from_static(SUBPROTOCOL));
    }
    let key = bearer(headers).map(str::to_owned);
    let limit = app.live.max_message_bytes;
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_FRAME)
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| async move {
            let tracker = app.tracker.clone();
            let _permit = permit;
            if spoken {
                tracker.track_future(socket::Socket::new(app, key).run(socket)).await;
            } else {
                socket::refuse(socket, Close::new(code::SUBPROTOCOL, "Subprotocol not acceptable")).await;
            }
        })
}

#[cfg(test)]
mod tests;
