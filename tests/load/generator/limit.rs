//! The limit: what the same runtime, sockets and disk do when nothing is between them. A process of its own, as Mullion is.
//! WebSockets get a pre-built frame, cloned as `Bytes`; webhooks are appended to a file and flushed in groups.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write as _},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Query, State,
        ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::Response,
    routing::{get, post},
    serve::ListenerExt as _,
};
use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc, oneshot},
};

use crate::target::{GRAPHQL, WEBHOOK};

/// Where the pre-built frame comes from.
pub(crate) const PUBLISH: &str = "/publish";
/// The frame that subscribers get first.
pub(crate) const SNAPSHOT: &str = "/snapshot";
/// Sockets that no event touches.
pub(crate) const UNTOUCHED: &str = "/graphql?untouched=1";
/// Frames that a slow socket may be behind; what it misses then it never gets, as with any state of which the latest counts.
const RING: usize = 16;
const END: &str = r#"{"id":"1","type":"next","payload":{"data":{"widgetUpdated":{"reason":"SNAPSHOT_END","cursor":"AAAAAAAAAApKmWBrwSkaPkqvslQ","widget":null}},"extensions":{"cursor":"AAAAAAAAAApKmWBrwSkaPkqvslQ"}}}"#;

struct Limit {
    frames: broadcast::Sender<Utf8Bytes>,
    snapshot: Mutex<Utf8Bytes>,
    read_buffer: usize,
    inbox: mpsc::Sender<(Bytes, oneshot::Sender<()>)>,
}

/// Serves until the process is ended.
pub(crate) async fn serve(address: SocketAddr, log: &Path, read_buffer: usize) -> anyhow::Result<()> {
    let (inbox, deliveries) = mpsc::channel(1_024);
    let file = File::create(log)?;
    std::thread::spawn(move || commit(file, deliveries));
    let snapshot = Mutex::new(Utf8Bytes::from_static(END));
    let limit = Arc::new(Limit { frames: broadcast::Sender::new(RING), snapshot, read_buffer, inbox });
    let routes = Router::new()
        .route("/health", get(async || "ready"))
        .route(GRAPHQL, get(upgrade))
        .route(PUBLISH, post(publish))
        .route(SNAPSHOT, post(snapshot_is))
        .route(WEBHOOK, post(deliver))
        .layer(DefaultBodyLimit::disable())
        .with_state(limit);
    let listener = TcpListener::bind(address).await?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, routes).await?)
}

async fn publish(State(limit): State<Arc<Limit>>, body: Bytes) -> StatusCode {
    let Ok(frame) = Utf8Bytes::try_from(body) else { return StatusCode::BAD_REQUEST };
    // Nobody may listen.
    let _ = limit.frames.send(frame);
    StatusCode::NO_CONTENT
}

async fn snapshot_is(State(limit): State<Arc<Limit>>, body: Bytes) -> StatusCode {
    let Ok(frame) = Utf8Bytes::try_from(body) else { return StatusCode::BAD_REQUEST };
    *limit.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = frame;
    StatusCode::NO_CONTENT
}

async fn upgrade(
    State(limit): State<Arc<Limit>>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let touched = !query.contains_key("untouched");
    upgrade.protocols(["graphql-transport-ws"]).read_buffer_size(limit.read_buffer).write_buffer_size(0).on_upgrade(
        async move |socket| {
            // A broken socket is the client's end of it.
            let _ = attend(&limit, socket, touched).await;
        },
    )
}

async fn attend(limit: &Limit, mut socket: WebSocket, touched: bool) -> Result<(), axum::Error> {
    let mut frames = limit.frames.subscribe();
    let mut subscribed = false;
    loop {
        tokio::select! {
            frame = frames.recv(), if subscribed && touched => match frame {
                Ok(frame) => socket.send(Message::Text(frame)).await?,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) if text.contains("connection_init") => {
                    socket.send(Message::Text(Utf8Bytes::from_static(r#"{"type":"connection_ack"}"#))).await?;
                }
                Some(Ok(Message::Text(text))) if text.contains(r#""subscribe""#) => {
                    subscribed = true;
                    frames = frames.resubscribe();
                    let snapshot = limit.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    socket.send(Message::Text(snapshot)).await?;
                    socket.send(Message::Text(Utf8Bytes::from_static(END))).await?;
                }
                Some(Ok(Message::Text(text))) if text.contains(r#""complete""#) => subscribed = false,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
        }
    }
}

async fn deliver(State(limit): State<Arc<Limit>>, body: Bytes) -> StatusCode {
    let (done, committed) = oneshot::channel();
    if limit.inbox.send((body, done)).await.is_err() || committed.await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    StatusCode::NO_CONTENT
}

/// Group commit: what has come meanwhile goes into one write and one flush.
fn commit(mut file: File, mut deliveries: mpsc::Receiver<(Bytes, oneshot::Sender<()>)>) {
    let mut group = Vec::new();
    while let Some(first) = deliveries.blocking_recv() {
        group.push(first);
        while let Ok(next) = deliveries.try_recv() {
            group.push(next);
        }
        if append(&mut file, group.iter().map(|(body, _)| body)).is_err() {
            return;
        }
        for (_, done) in group.drain(..) {
            // The sender may be gone.
            let _ = done.send(());
        }
    }
}

/// One write, one flush.
pub(crate) fn append<'a>(file: &mut File, bodies: impl Iterator<Item = &'a Bytes>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for body in bodies {
        bytes.extend_from_slice(body);
    }
    file.write_all(&bytes)?;
    file.sync_data()
}
