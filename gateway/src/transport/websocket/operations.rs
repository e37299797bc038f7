//! The operations that run on one socket, and what they tell.
//!
//! Nearly every socket has one subscription, and a change tells it to thousands: what lies between the executor's stream and the
//! outbox is one list, without a task, a box or a look-up for each.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture};
use mullion_resolvers::live::Item;

use super::{
    message::{self, Beginning},
    outbox::Frame,
    progress::Progress,
    wakers::{self, Parts, Wakers},
};
use crate::operation::{
    errors::RequestError,
    subscribe::{Answers, Failure},
};

/// The message of an operation that is to be sent, before every ping that comes later.
pub(super) enum Outgoing {
    Next(Frame),
    Nothing,
    /// It has ended, and is not among those that run any more.
    Last(Arc<str>, Frame),
    /// The same for one that cannot go on here for now: the client is to be told when to come again.
    Interrupted(Arc<str>, RequestError),
}

/// The end of an operation.
enum Last {
    Message(Frame),
    Interrupted(RequestError),
}

/// Where an operation's answers come from.
pub(super) enum Source {
    /// Its document is asked for by its hash, or waits to be read.
    Finding(BoxFuture<'static, Result<Source, RequestError>>),
    /// A subscription that begins.
    Subscribing(BoxFuture<'static, Result<Answers, RequestError>>),
    Subscribed(Answers),
    /// A query or a mutation: one answer, then the end.
    Executing(BoxFuture<'static, Result<Bytes, RequestError>>),
    Executed,
    /// It was not begun.
    Refused(RequestError),
}

impl Source {
    /// Whether it is a subscription, or may turn out to be one.
    fn may_subscribe(&self) -> bool {
        matches!(self, Self::Finding(_) | Self::Subscribing(_) | Self::Subscribed(_))
    }
}

/// One that runs, and when it is polled.
struct Running {
    operation: Operation,
    /// Without one it is polled whenever the socket is, which costs nothing where there is no other.
    waker: Option<(Parts, Waker)>,
    /// It may have something to tell.
    due: bool,
}

/// An operation of the client.
struct Operation {
    id: Arc<str>,
    beginning: Beginning,
    source: Source,
    /// How far a subscription has come.
    progress: Option<Progress>,
}

impl Operation {
    /// The next message, or nothing where only its progress is noted; as an error, if it is the last one.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outgoing, Last>> {
        loop {
            let payload = match &mut self.source {
                Source::Finding(find) => {
                    self.source = ready!(find.as_mut().poll(cx)).unwrap_or_else(Source::Refused);
                    continue;
                }
                Source::Subscribing(begin) => match ready!(begin.as_mut().poll(cx)) {
                    Ok(answers) => {
                        self.source = Source::Subscribed(answers);
                        continue;
                    }
                    Err(error) => return Poll::Ready(Err(self.error(&error))),
                },
                Source::Subscribed(answers) => match ready!(answers.poll_next_unpin(cx)) {
                    Some(Ok(Item::Frame(frame))) => {
                        if let Some(progress) = &mut self.progress {
                            progress.event(&frame);
                        }
                        frame.payload
                    }
                    Some(Ok(Item::Watermark(watermark))) => {
                        if let Some(progress) = &mut self.progress {
                            progress.watermark(watermark);
                        }
                        return Poll::Ready(Ok(Outgoing::Nothing));
                    }
                    Some(Err(Failure::Over(error))) => error.to_body(),
                    Some(Err(Failure::Interrupted(error))) => return Poll::Ready(Err(Last::Interrupted(error))),
                    None => return Poll::Ready(Err(self.complete())),
                },
                Source::Executing(answer) => match ready!(answer.as_mut().poll(cx)) {
                    Ok(answer) => {
                        self.source = Source::Executed;
                        answer
                    }
                    Err(error) => return Poll::Ready(Err(self.error(&error))),
                },
                Source::Executed => return Poll::Ready(Err(self.complete())),
                Source::Refused(error) => {
                    let errors = error.to_list();
                    return Poll::Ready(Err(Last::Message(message::error(&self.id, errors))));
                }
            };
            return Poll::Ready(Ok(Outgoing::Next(self.beginning.next(payload))));
        }
    }

    fn error(&self, error: &RequestError) -> Last {
        Last::Message(message::error(&self.id, error.to_list()))
    }

    fn complete(&self) -> Last {
        Last::Message(message::complete(&self.id))
    }
}

/// All of one socket.
pub(super) struct Operations {
    wakers: Arc<Wakers>,
    running: Vec<Running>,
    /// The one that is asked first.
    next: usize,
    begun: u32,
}

impl Operations {
    pub(super) fn new(wakers: Arc<Wakers>) -> Self {
        Self { wakers, running: Vec::new(), next: 0, begun: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    pub(super) fn start(&mut self, id: Arc<str>, source: Source) {
        let alone = self.running.iter().all(|running| running.waker.is_some());
        let waker = (!alone).then(|| {
            self.begun = self.begun.wrapping_add(1);
            let part = wakers::operation(self.begun);
            (part, self.wakers.waker(part))
        });
        let (beginning, progress) = (Beginning::of(&id), source.may_subscribe().then(Progress::default));
        // Most sockets never have a second one.
        self.running.reserve_exact(usize::from(self.running.is_empty()));
        let operation = Operation { id, beginning, source, progress };
        self.running.push(Running { operation, waker, due: true });
    }

    /// Ends one; whether it ran.
    pub(super) fn stop(&mut self, id: &str) -> bool {
        let found = self.running.iter().position(|running| *running.operation.id == *id);
        found.map(|at| self.running.swap_remove(at)).is_some()
    }

    /// The socket is polled, since these were woken.
    pub(super) fn wake(&mut self, woken: Parts) {
        for running in &mut self.running {
            running.due |= running.waker.as_ref().is_none_or(|(part, _)| woken & part != 0);
        }
    }

    /// Whether one may have something to tell.
    pub(super) fn is_due(&self) -> bool {
        self.running.iter().any(|running| running.due)
    }

    /// The next message of one of them, each in turn.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Option<Outgoing> {
        for step in 0..self.running.len() {
            let at = (self.next + step) % self.running.len();
            let Some(running) = self.running.get_mut(at).filter(|running| running.due) else { continue };
            let waker = running.waker.as_ref().map_or(cx.waker(), |(_, waker)| waker);
            let Poll::Ready(outgoing) = running.operation.poll(&mut Context::from_waker(waker)) else {
                running.due = false;
                continue;
            };
            self.next = at + 1;
            if !running.operation.source.may_subscribe() {
                running.operation.progress = None;
            }
            return Some(outgoing.unwrap_or_else(|last| self.end(at, last)));
        }
        None
    }

    fn end(&mut self, at: usize, last: Last) -> Outgoing {
        let id = self.running.swap_remove(at).operation.id;
        match last {
            Last::Message(frame) => Outgoing::Last(id, frame),
            Last::Interrupted(error) => Outgoing::Interrupted(id, error),
        }
    }

    /// How far the subscriptions have come.
    pub(super) fn progress(&self) -> impl Iterator<Item = &Progress> {
        self.running.iter().filter_map(|running| running.operation.progress.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Poll, Waker},
    };

    use bytes::Bytes;
    use futures::{FutureExt as _, future::poll_fn};
    use parking_lot::Mutex;

    use super::{Operations, Outgoing, Source, Wakers};

    /// An operation that counts how often it is polled, and answers when it is told to.
    #[derive(Clone, Default)]
    struct Asked {
        polls: Arc<AtomicUsize>,
        waker: Arc<Mutex<Option<Waker>>>,
        answers: Arc<AtomicUsize>,
    }

    impl Asked {
        fn source(&self) -> Source {
            let asked = self.clone();
            let answer = poll_fn(move |cx| {
                asked.polls.fetch_add(1, Ordering::Relaxed);
                *asked.waker.lock() = Some(cx.waker().clone());
                match asked.answers.load(Ordering::Relaxed) {
                    0 => Poll::Pending,
                    _ => Poll::Ready(Ok(Bytes::from_static(b"{}"))),
                }
            });
            Source::Executing(answer.boxed())
        }

        fn wake(&self) {
            if let Some(waker) = self.waker.lock().take() {
                waker.wake();
            }
        }

        fn polls(&self) -> usize {
            self.polls.swap(0, Ordering::Relaxed)
        }
    }

    #[test]
    fn beside_the_first_one_only_those_that_were_woken_are_polled() {
        let (wakers, cx) = (Arc::new(Wakers::default()), Context::from_waker(Waker::noop()));
        let mut operations = Operations::new(Arc::clone(&wakers));
        let all: Vec<Asked> = (0..70).map(|_| Asked::default()).collect();
        for (asked, number) in all.iter().zip(0..) {
            operations.start(number.to_string().into(), asked.source());
        }
        assert!(operations.poll(&cx).is_none() && !operations.is_due());
        assert!(all.iter().all(|asked| asked.polls() == 1), "each is begun");
        for at in 1..all.len() {
            all[at].wake();
            operations.wake(wakers.take(&cx));
            assert!(operations.poll(&cx).is_none());
            assert_eq!((all[0].polls(), all[at].polls()), (1, 1), "{at}");
            // There are 59 parts: some are polled with another.
            assert!(all.iter().map(Asked::polls).sum::<usize>() <= 1, "{at}");
        }
    }

    #[test]
    fn answers_come_in_turn_and_what_has_ended_is_gone() {
        let (wakers, cx) = (Arc::new(Wakers::default()), Context::from_waker(Waker::noop()));
        let mut operations = Operations::new(wakers);
        for id in ["a", "b", "c"] {
            let asked = Asked::default();
            asked.answers.store(1, Ordering::Relaxed);
            operations.start(id.into(), asked.source());
        }
        assert!(operations.stop("b") && !operations.stop("b"));
        let mut told = Vec::new();
        while let Some(outgoing) = operations.poll(&cx) {
            told.push(match outgoing {
                Outgoing::Next(frame) | Outgoing::Last(_, frame) => {
                    String::from_utf8(frame.to_vec().split_off(2)).unwrap()
                }
                Outgoing::Nothing | Outgoing::Interrupted(..) => String::new(),
            });
        }
        let next = |id: &str| format!(r#"{{"id":"{id}","type":"next","payload":{{}}}}"#);
        let complete = |id: &str| format!(r#"{{"id":"{id}","type":"complete"}}"#);
        assert_eq!(told[..2], [next("a"), next("c")]);
        told[2..].sort();
        assert_eq!(told[2..], [complete("a"), complete("c")]);
        assert_eq!(operations.len(), 0);
    }
}
