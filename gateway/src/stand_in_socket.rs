//! The sockets of the stand-ins: between a WebSocket of their port and a provider's end of it.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::{Message, WebSocket};
use mullion_resolvers::sandbox::{host::SandboxHost, socket::Conversation};
use tokio::time::{MissedTickBehavior, interval};

/// How often a stand-in is told that time has passed.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between signs of life that the client is asked for: real providers ask often.
const PING_TICKS: u32 = 50;

/// Carries texts both ways until one side closes.
pub(crate) async fn serve(host: Arc<SandboxHost>, mut socket: WebSocket, mut conversation: Conversation) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0;
    loop {
        let sent = tokio::select! {
            text = conversation.texts.recv() => match text {
                Some(text) => socket.send(Message::text(text)).await,
                None => break,
            },
            came = socket.recv() => match came {
                Some(Ok(Message::Text(text))) => {
                    conversation.stand_in.hear(host.now(), &text);
                    Ok(())
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => Ok(()),
            },
            _ = tick.tick() => {
                conversation.stand_in.tick(host.now());
                ticks = (ticks + 1) % PING_TICKS;
                if ticks == 0 { socket.send(Message::Ping("stand-in".into())).await } else { Ok(()) }
            }
            () = host.stopped() => break,
        };
        if sent.is_err() {
            break;
        }
    }
    conversation.stand_in.closed(host.now());
    // A client that is gone needs no goodbye.
    let _ = socket.send(Message::Close(None)).await;
}
