//! Accepts connections and serves them, with limits on what a client may make the server wait for: connections that send their
//! headers a byte a minute would otherwise be held for ever, and as many as there are open files. `axum::serve` has no such limits.
//!
//! HTTP/1.1 only: without TLS no browser speaks anything else, and proxies need not. Over HTTP/2 one connection is a hundred
//! requests, and a client that grants no window has their answers kept in memory for as long as it answers pings.

mod prompt;
mod waiting;

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::{
    server::conn::http1::Builder,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use mullion_resolvers::error_chain::chain;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    prompt::Prompt,
    waiting::{Answer, Seat, Waiting},
};
use crate::config::{Live, Server};

/// How long to wait when no connection can be accepted: file descriptors are used up.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of a request's headers, its address included.
const HEADERS: usize = 64 << 10;
/// Connections of one listener that wait for a request, at most: with all their headers but the end, a quarter of a gigabyte.
const WAITING: usize = 4096;
/// Connections of one listener beside its sockets and event streams.
const REQUESTS: usize = 8192;

/// How long the other side may keep a connection waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Within it a request's headers must have come, on a new connection and on one that waits for its next request.
    pub(crate) headers: Duration,
    /// A client that takes not a byte for so long is gone: an event stream that nobody reads would never end.
    pub(crate) unread: Duration,
}

impl Patience {
    /// As the settings say. WebSockets have a rule of their own and are told; this one comes after it.
    pub(crate) fn of(server: &Server, live: &Live) -> Self {
        Self {
            headers: Duration::from_secs(server.header_timeout_seconds),
            unread: Duration::from_secs(live.ping_seconds.saturating_mul(3)),
        }
    }
}

/// How many connections a listener has. Any more wait to be accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// In all.
    connections: usize,
    /// On which no request runs.
    waiting: usize,
}

impl Room {
    /// For so many sockets and event streams beside the requests, as far as open files allow: a quarter of these, or a thousand, is
    /// left to the database, the providers and the other listeners.
    pub(crate) fn of(sockets: usize, files: Option<u64>) -> Self {
        let wanted = sockets.saturating_add(REQUESTS);
        let files = files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
        let connections = wanted.min(files - (files / 4).min(1024)).max(2);
        Self { connections, waiting: WAITING.min(connections / 2) }
    }
}

/// The limits of a listener's connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long they may let the server wait.
    pub(crate) patience: Patience,
    /// How many there may be.
    pub(crate) room: Room,
}

/// Serves until `stop` fires, then finishes what runs.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let Limits { patience, room } = limits;
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience.headers).max_buf_size(HEADERS);
    let connections = TaskTracker::new();
    let (waiting, places) = (Waiting::new(room.waiting), Arc::new(Semaphore::new(room.connections)));
    loop {
        let place = async {
            waiting.room().await;
            Arc::clone(&places).acquire_owned().await
        };
        let accepted = tokio::select! {
            Ok(place) = place => tokio::select! {
                accepted = listener.accept() => accepted.map(|(stream, _)| (stream, place)),
                () = stop.cancelled() => break,
            },
            () = stop.cancelled() => break,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                tracing::error!(error = %chain(&error), "no connection can be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Frames are small and wait for nothing; where it cannot be set, they are only slower.
        let _ = stream.set_nodelay(true);
        let seat = Seat::new(&waiting);
        let must_leave = seat.must_leave();
        let service = TowerToHyperService::new(router.clone().into_service());
        let seated = service_fn(move |request| {
            let running = seat.asks();
            let answer = service.call(request);
            async move { answer.await.map(|response| response.map(|body| Answer::new(body, running))) }
        });
        let io = TokioIo::new(Prompt::new(stream, patience.unread, place));
        let connection = builder.serve_connection(io, seated).with_upgrades();
        let stop = stop.clone();
        connections.spawn(must_leave.run_until_cancelled_owned(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::trace!(%error, "a connection broke");
            }
        }));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]
mod tests {
    use std::time::Duration;

    use axum::{Router, body::Body, routing::get};
    use bytes::Bytes;
    use futures::{StreamExt, stream};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::mpsc,
    };
    use tokio_util::sync::CancellationToken;

    use super::{Limits, Patience, Room, serve};

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// A server of "Hello" with patience for everything, and little room.
    async fn small(room: Room) -> (std::net::SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Patience { headers: Duration::from_hours(1), unread: Duration::from_hours(1) };
        let stop = CancellationToken::new();
        let hello = Router::new().route("/", get(async || "Hello")).route("/never", get(std::future::pending::<()>));
        tokio::spawn(serve(listener, hello, Limits { patience, room }, stop.clone()));
        (address, stop)
    }

    async fn says_hello(stream: &mut TcpStream) -> bool {
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = vec![0; 1024];
        let read = stream.read(&mut answer).await.unwrap_or(0);
        String::from_utf8_lossy(&answer[..read]).ends_with("Hello")
    }

    #[tokio::test]
    async fn connections_that_say_half_of_what_they_want_make_room_for_those_that_say_it() {
        let (address, stop) = small(Room { connections: 100, waiting: 4 }).await;
        let mut asked = TcpStream::connect(address).await.unwrap();
        asked.write_all(b"GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut flood = Vec::new();
        for said in ["", "G", "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "].into_iter().cycle().take(12) {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            flood.push(stream);
        }
        let mut client = TcpStream::connect(address).await.unwrap();
        assert!(says_hello(&mut client).await);
        let mut driven_out = 0;
        for stream in &mut flood {
            let read = tokio::time::timeout(Duration::from_millis(10), stream.read(&mut [0; 16])).await;
            driven_out += usize::from(matches!(read, Ok(Ok(0) | Err(_))));
        }
        assert!(driven_out >= 8, "{driven_out}");
        let read = tokio::time::timeout(Duration::from_millis(10), asked.read(&mut [0; 16])).await;
        assert!(read.is_err(), "a request that runs is left alone");
        stop.cancel();
    }

    #[tokio::test]
    async fn no_more_connections_are_accepted_than_there_is_room_for() {
        let (address, stop) = small(Room { connections: 3, waiting: 2 }).await;
        let mut running = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            running.push(stream);
        }
        let mut client = TcpStream::connect(address).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(300), says_hello(&mut client)).await.is_err());
        drop(running.pop());
        let mut answer = [0; 1024];
        let read = client.read(&mut answer).await.unwrap();
        assert!(String::from_utf8_lossy(&answer[..read]).ends_with("Hello"));
        stop.cancel();
    }

    #[tokio::test]
    async fn http_2_is_refused_and_headers_that_are_too_long_are() {
        let (address, stop) = small(Room { connections: 10, waiting: 10 }).await;
        let long = format!("GET / HTTP/1.1\r\nX-Long: {}", "x".repeat(80 << 10));
        for (said, expected) in [("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""), (&long, "HTTP/1.1 431")] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // It may be refused before all of it is sent.
            let _ = stream.write_all(said.as_bytes()).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            assert!(answer.starts_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&answer));
        }
        stop.cancel();
    }

    #[test]
    fn room_is_for_all_that_is_wanted_or_three_quarters_of_the_open_files() {
        for (sockets, files, expected) in [
            (50_000, None, (58_192, 4096)),
            (50_000, Some(1_000_000), (58_192, 4096)),
            (50_000, Some(20_000), (18_976, 4096)),
            (50_000, Some(1_024), (768, 384)),
            (0, Some(4), (3, 1)),
        ] {
            let room = Room::of(sockets, files);
            assert_eq!((room.connections, room.waiting), expected);
        }
    }

    #[tokio::test]
    async fn a_stream_that_nobody_reads_ends() {
        let (held, mut dropped) = mpsc::channel::<()>(1);
        let endless = move || {
            let held = held.clone();
            let chunks = stream::repeat_with(move || {
                let _ = &held;
                Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 16_000]))
            });
            async move { Body::from_stream(chunks.boxed()) }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Patience { headers: Duration::from_mins(1), unread: Duration::from_millis(200) };
        let (room, stop) = (Room::of(10, None), CancellationToken::new());
        let server = tokio::spawn(serve(
            listener,
            Router::new().route("/", get(endless)),
            Limits { patience, room },
            stop.clone(),
        ));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        // The connection ends by itself, and so does the server, which waits for it; then nothing holds the channel.
        client.readable().await.unwrap();
        stop.cancel();
        server.await.unwrap();
        assert!(dropped.recv().await.is_none());
    }
}
