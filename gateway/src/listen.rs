//! Accepts connections and serves them, with a limit on how long a client may take to say what it wants: connections that send
//! their headers a byte a minute would otherwise be held for ever. `axum::serve` has no such limit.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::Sleep,
};
use tokio_util::sync::CancellationToken;

use crate::config::{Live, Server};

/// How many bytes tell HTTP/1 from HTTP/2; until they are there, no limit of the library applies.
const PREFACE: usize = 24;
/// How long to wait when no connection can be accepted: file descriptors are used up.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the other side may keep a connection waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Within it a request's headers must have come, on a new connection and on one that waits for its next request.
    pub(crate) headers: Duration,
    /// Who takes not a byte of what is sent for so long is gone: an event stream that nobody reads would never end.
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

/// Serves until `stop` fires, then finishes what runs.
pub(crate) async fn serve(listener: TcpListener, router: Router, patience: Patience, stop: CancellationToken) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience.headers);
    builder.http2().timer(TokioTimer::new());
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Frames are small and wait for nothing; where it cannot be set, they are only slower.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone().into_service());
        let io = TokioIo::new(Prompt::new(stream, patience));
        let connection = connections.watch(builder.serve_connection_with_upgrades(io, service).into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(error, "a connection broke");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A stream whose first bytes must come in time, and whose last must be taken.
struct Prompt {
    stream: TcpStream,
    missing: usize,
    /// `None` when they are there.
    deadline: Option<Pin<Box<Sleep>>>,
    unread: Duration,
    /// While something waits to be written.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Prompt {
    fn new(stream: TcpStream, patience: Patience) -> Self {
        let deadline = Some(Box::pin(tokio::time::sleep(patience.headers)));
        Self { stream, missing: PREFACE, deadline, unread: patience.unread, stalled: None }
    }

    fn in_time(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let unread = self.unread;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(unread)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Prompt {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) else {
            let Some(deadline) = &mut self.deadline else { return Poll::Pending };
            ready!(deadline.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        self.missing = self.missing.saturating_sub(buffer.filled().len() - before);
        if self.missing == 0 {
            self.deadline = None;
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, body::Body, routing::get};
    use bytes::Bytes;
    use futures::{StreamExt, stream};
    use tokio::{
        io::AsyncWriteExt,
        net::{TcpListener, TcpStream},
        sync::mpsc,
    };
    use tokio_util::sync::CancellationToken;

    use super::{Patience, serve};

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
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, Router::new().route("/", get(endless)), patience, stop.clone()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        // The connection ends by itself, and so does the server, which waits for it; then nothing holds the channel.
        client.readable().await.unwrap();
        stop.cancel();
        server.await.unwrap();
        assert!(dropped.recv().await.is_none());
    }
}
