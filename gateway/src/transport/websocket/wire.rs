//! A connection: what comes out of it as messages, what goes into it from the outbox. Polled by the socket's one task.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::timeout,
};

use super::{
    close::Close,
    frame::{Decoded, Decoder},
    outbox::{Frame, Outbox},
};

/// Read at once, into the stack: an idle socket has no buffer.
const READ: usize = 4 * 1024;

/// An event of a connection.
#[derive(Debug)]
pub(super) enum Heard {
    Frame(Decoded),
    /// No WebSocket frame.
    Broken(Close),
    /// Nobody is there any more.
    Gone,
}

/// A connection with what waits to leave it.
pub(super) struct Wire<W> {
    io: W,
    decoder: Decoder,
    pub(super) outbox: Outbox,
    /// Shows what waits, of all sockets; and this one's part of it.
    waiting: Gauge,
    shown: i64,
}

impl<W: AsyncRead + AsyncWrite + Unpin> Wire<W> {
    pub(super) fn new(io: W, longest_message: usize, waiting: Gauge) -> Self {
        Self { io, decoder: Decoder::new(longest_message), outbox: Outbox::default(), waiting, shown: 0 }
    }

    /// Writes what can be written of what waits.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let flushed = self.outbox.poll_flush(cx, Pin::new(&mut self.io));
        self.show();
        if let Poll::Ready(flushed) = flushed { flushed } else { Ok(()) }
    }

    /// Reads. Nothing is lost when the wait is given up.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        loop {
            match self.decoder.next() {
                Ok(Some(frame)) => return Poll::Ready(Heard::Frame(frame)),
                Ok(None) => {}
                Err(close) => return Poll::Ready(Heard::Broken(close)),
            }
            let mut space = [const { MaybeUninit::uninit() }; READ];
            let mut read = ReadBuf::uninit(&mut space);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => self.decoder.feed(read.filled()),
                _ => return Poll::Ready(Heard::Gone),
            }
        }
    }

    /// Ends the connection: a close frame, then whatever the other side still sends is read away, so that the frame is not lost
    /// to a reset. A peer that does not answer in time is left.
    pub(super) async fn say_goodbye(mut self, last: Frame, patience: Duration) {
        self.outbox.forget_the_rest();
        self.outbox.push(last);
        let goodbye = async {
            std::future::poll_fn(|cx| self.poll_leave(cx)).await?;
            self.io.shutdown().await?;
            let mut away = [0; 512];
            while self.io.read(&mut away).await? > 0 {}
            io::Result::Ok(())
        };
        // A peer that is gone needs no goodbye.
        let _ = timeout(patience, goodbye).await;
    }

    /// Writes what waits, and reads away what comes: who sends without reading would otherwise wait for us, and we for it.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(left) = self.outbox.poll_flush(cx, Pin::new(&mut self.io)) {
            return Poll::Ready(left);
        }
        loop {
            let mut space = [const { MaybeUninit::uninit() }; READ];
            let mut read = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.io).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                // It sends no more, but may still read.
                Poll::Ready(Ok(())) => return self.outbox.poll_flush(cx, Pin::new(&mut self.io)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<W> Wire<W> {
    fn show(&mut self) {
        let waiting = i64::try_from(self.outbox.waiting()).unwrap_or(i64::MAX);
        if waiting != self.shown {
            self.waiting.inc_by(waiting - self.shown);
            self.shown = waiting;
        }
    }
}

impl<W> Drop for Wire<W> {
    fn drop(&mut self) {
        self.waiting.dec_by(self.shown);
    }
}
