//! The frames that wait to be written to a socket: pieces around bytes that all sockets share, written from where they lie.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use super::{
    close::Close,
    frame::{LONGEST_HEAD, Opcode, head},
};

/// Nothing more is taken from subscriptions while so much waits.
const HIGH_WATER: usize = 64 * 1024;
/// How a pong begins.
const PONG: u8 = 0x8a;
/// Written with one call of the system.
const SLICES: usize = 24;

/// A frame: what is this socket's own, and what it shares with others.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// The frame's head and the beginning of the text.
    own: Bytes,
    shared: Bytes,
    /// The end of the text.
    tail: &'static [u8],
}

impl Frame {
    /// A text: `beginning`, then the shared bytes, then the tail.
    pub(super) fn text(beginning: &[u8], shared: Bytes, tail: &'static [u8]) -> Self {
        let length = beginning.len() + shared.len() + tail.len();
        Self { own: with_head(Opcode::Text, length, beginning), shared, tail }
    }

    fn control(opcode: Opcode, payload: &[u8]) -> Self {
        Self { own: with_head(opcode, payload.len(), payload), shared: Bytes::new(), tail: b"" }
    }

    pub(super) fn pong(payload: &[u8]) -> Self {
        Self::control(Opcode::Pong, payload)
    }

    pub(super) fn close(close: &Close) -> Self {
        let mut payload = close.code.to_be_bytes().to_vec();
        payload.extend_from_slice(close.reason.as_bytes());
        Self::control(Opcode::Close, &payload)
    }

    /// A close frame without a code.
    pub(super) fn empty_close() -> Self {
        Self::control(Opcode::Close, b"")
    }

    /// All of it, for tests.
    #[cfg(test)]
    pub(super) fn to_vec(&self) -> Vec<u8> {
        self.rest(0).flatten().copied().collect()
    }

    fn is_pong(&self) -> bool {
        self.own.first().is_some_and(|first| *first == PONG)
    }

    fn len(&self) -> usize {
        self.own.len() + self.shared.len() + self.tail.len()
    }

    /// The parts that are left after so many bytes.
    fn rest(&self, mut skip: usize) -> impl Iterator<Item = &[u8]> {
        [&*self.own, &*self.shared, self.tail].into_iter().filter_map(move |part| {
            let rest = part.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(part.len());
            (!rest.is_empty()).then_some(rest)
        })
    }
}

fn with_head(opcode: Opcode, length: usize, beginning: &[u8]) -> Bytes {
    let (head, head_length) = head(opcode, length);
    let mut own = Vec::with_capacity(LONGEST_HEAD.min(head_length) + beginning.len());
    own.extend(head.iter().take(head_length));
    own.extend_from_slice(beginning);
    own.into()
}

/// The frames of one socket that wait.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Frame>,
    /// The bytes of the first frame that were written.
    written: usize,
    waiting: usize,
    /// The waiting bytes that are replies: the client asked for them, whatever it has read.
    replies: usize,
    /// All bytes that ever left.
    taken: u64,
}

impl Outbox {
    pub(super) fn push(&mut self, frame: Frame) {
        self.waiting += frame.len();
        self.frames.push_back(frame);
    }

    /// Adds a reply; false when too many of their bytes wait.
    pub(super) fn push_reply(&mut self, frame: Frame, max: usize) -> bool {
        self.replies += frame.len();
        self.push(frame);
        self.replies <= max
    }

    /// Adds a pong; false as above. One that waits behind everything is replaced: the answer to the last ping is enough.
    pub(super) fn push_pong(&mut self, frame: Frame, max: usize) -> bool {
        let untouched = self.frames.len() > 1 || self.written == 0;
        if let Some(last) = self.frames.pop_back_if(|last| untouched && last.is_pong()) {
            self.waiting -= last.len();
            self.replies = self.replies.saturating_sub(last.len());
        }
        self.push_reply(frame, max)
    }

    /// All bytes that ever left: a client that reads makes it grow.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether subscriptions may give more.
    pub(super) fn has_room(&self) -> bool {
        self.waiting < HIGH_WATER
    }

    /// Forgets what waits, but for a frame that has been begun.
    pub(super) fn forget_the_rest(&mut self) {
        self.frames.truncate(usize::from(self.written > 0));
        self.waiting = self.frames.front().map_or(0, Frame::len) - self.written;
    }

    /// Writes what can be written; ready when nothing waits.
    pub(super) fn poll_flush<W>(&mut self, cx: &mut Context<'_>, mut io: Pin<&mut W>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite,
    {
        while !self.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            let begun = self.frames.iter().take(1).flat_map(|frame| frame.rest(self.written));
            let others = self.frames.iter().skip(1).flat_map(|frame| frame.rest(0));
            for (slice, bytes) in slices.iter_mut().zip(begun.chain(others)) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            let written = ready!(io.as_mut().poll_write_vectored(cx, slices.get(..count).unwrap_or_default()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.took(written);
        }
        io.poll_flush(cx)
    }

    fn took(&mut self, written: usize) {
        self.waiting = self.waiting.saturating_sub(written);
        self.taken += written as u64;
        self.written += written;
        while let Some(first) = self.frames.front()
            && first.len() <= self.written
        {
            self.written -= first.len();
            self.frames.pop_front();
        }
        if self.frames.is_empty() {
            // Given back: a socket waits far longer than it writes.
            self.frames = VecDeque::new();
            self.replies = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use bytes::Bytes;
    use proptest::prelude::*;
    use tokio::io::AsyncWrite;

    use super::{Close, Frame, Outbox};

    /// Takes so many bytes at a time, and none now and then.
    struct Slow {
        taken: Vec<u8>,
        steps: Vec<usize>,
    }

    impl AsyncWrite for Slow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            match self.steps.pop() {
                None | Some(0) => Poll::Pending,
                Some(step) => {
                    let step = step.min(bytes.len());
                    self.taken.extend(&bytes[..step]);
                    Poll::Ready(Ok(step))
                }
            }
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            self.as_mut().poll_write(cx, &all)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn flush(outbox: &mut Outbox, io: &mut Slow) -> bool {
        outbox.poll_flush(&mut Context::from_waker(Waker::noop()), Pin::new(io)).is_ready()
    }

    proptest! {
        #[test]
        fn bytes_leave_in_order_however_few_are_taken(
            frames in prop::collection::vec((0usize..10, 0usize..300), 1..30),
            steps in prop::collection::vec(0usize..200, 0..60),
        ) {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            for (own, shared) in frames {
                let frame = Frame::text(&vec![b'o'; own], Bytes::from(vec![b's'; shared]), b"}");
                expected.extend(frame.to_vec());
                outbox.push(frame);
            }
            let mut io = Slow { taken: Vec::new(), steps };
            while !io.steps.is_empty() && !flush(&mut outbox, &mut io) {
                prop_assert_eq!(outbox.waiting() + io.taken.len(), expected.len());
            }
            io.steps = vec![usize::MAX; 100];
            prop_assert!(flush(&mut outbox, &mut io));
            prop_assert_eq!(io.taken, expected);
            prop_assert_eq!(outbox.waiting(), 0);
        }
    }

    #[test]
    fn of_pongs_only_the_last_waits_but_none_that_was_begun() {
        let mut outbox = Outbox::default();
        assert!(outbox.push_pong(Frame::pong(b"one"), 1000));
        let mut io = Slow { taken: Vec::new(), steps: vec![1] };
        flush(&mut outbox, &mut io);
        for payload in [b"two".as_slice(), b"three", b"four"] {
            assert!(outbox.push_pong(Frame::pong(payload), 1000));
        }
        outbox.push(Frame::text(b"ab", Bytes::new(), b""));
        assert!(outbox.push_pong(Frame::pong(b"five"), 1000));
        assert!(!outbox.push_pong(Frame::pong(b"six"), 15), "all but the text are replies");
        assert_eq!(outbox.waiting(), 4 + 6 + 4 + 5);
        io.steps = vec![usize::MAX; 9];
        assert!(flush(&mut outbox, &mut io));
        assert_eq!(io.taken, *b"\x8a\x03one\x8a\x04four\x81\x02ab\x8a\x03six");
    }

    #[test]
    fn a_frame_that_was_begun_is_finished_before_the_close() {
        for (begun, expected) in [(0, 0), (1, 7), (6, 7), (7, 7)] {
            let mut outbox = Outbox::default();
            for _ in 0..3 {
                outbox.push(Frame::text(b"ab", Bytes::from_static(b"cd"), b"}"));
            }
            let mut io = Slow { taken: Vec::new(), steps: vec![begun] };
            flush(&mut outbox, &mut io);
            outbox.forget_the_rest();
            outbox.push(Frame::close(&Close::new(1001, "bye")));
            io.steps = vec![usize::MAX; 3];
            assert!(flush(&mut outbox, &mut io));
            assert_eq!(io.taken[expected..], *b"\x88\x05\x03\xe9bye", "{begun}");
        }
    }
}
