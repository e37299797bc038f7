//! Rare events of a socket: keep-alives, the end of its time to say who it is, who that is, the revocation of its key.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use mullion_resolvers::execution::Caller;

use super::wakers::{ASKED, LATE, Parts, REVOKED, TICKS, Wakers};
use crate::{
    operation::authenticate::AuthError,
    transport::keep_alive::{Tick, Ticks},
};

/// Each of them, the most urgent first.
#[derive(Debug)]
pub(super) enum Signal {
    Tick(Tick),
    Revoked,
    InitLate,
    Authenticated(Result<Caller, AuthError>),
}

/// The signals that may come; each is polled when it woke the socket.
pub(super) struct Signals {
    wakers: Arc<Wakers>,
    due: Parts,
    ticks: BoxFuture<'static, (Tick, Ticks)>,
    revoked: Option<BoxFuture<'static, ()>>,
    late: Option<BoxFuture<'static, ()>>,
    asked: Option<BoxFuture<'static, Result<Caller, AuthError>>>,
}

impl Signals {
    pub(super) fn new(wakers: Arc<Wakers>, ticks: Ticks, init: Duration) -> Self {
        let late = Some(tokio::time::sleep(init).boxed());
        Self { wakers, due: TICKS | LATE, ticks: next(ticks), revoked: None, late, asked: None }
    }

    /// Asks who the caller is.
    pub(super) fn ask(&mut self, asked: BoxFuture<'static, Result<Caller, AuthError>>) {
        self.asked = Some(asked);
        self.due |= ASKED;
    }

    /// The caller is known: nothing is late any more, but the key may be revoked.
    pub(super) fn let_in(&mut self, caller: Caller) {
        self.late = None;
        self.revoked = Some(async move { caller.revoked().await }.boxed());
        self.due |= REVOKED;
    }

    /// These were woken.
    pub(super) fn wake(&mut self, woken: Parts) {
        self.due |= woken & (TICKS | REVOKED | LATE | ASKED);
    }

    /// The next signal.
    pub(super) fn poll(&mut self) -> Option<Signal> {
        if self.due == 0 {
            return None;
        }
        if let Some((tick, ticks)) = poll(&self.wakers, &mut self.due, TICKS, Some(&mut self.ticks)) {
            self.ticks = next(ticks);
            return Some(Signal::Tick(tick));
        }
        if poll(&self.wakers, &mut self.due, REVOKED, self.revoked.as_mut()).is_some() {
            self.revoked = None;
            return Some(Signal::Revoked);
        }
        if poll(&self.wakers, &mut self.due, LATE, self.late.as_mut()).is_some() {
            self.late = None;
            return Some(Signal::InitLate);
        }
        let caller = poll(&self.wakers, &mut self.due, ASKED, self.asked.as_mut())?;
        self.asked = None;
        Some(Signal::Authenticated(caller))
    }
}

/// Polls one of them, if it is due. One that was ready stays due: there may be another in its place.
fn poll<T>(
    wakers: &Arc<Wakers>,
    due: &mut Parts,
    part: Parts,
    future: Option<&mut BoxFuture<'static, T>>,
) -> Option<T> {
    if *due & part == 0 {
        return None;
    }
    if let Some(future) = future
        && let Poll::Ready(happened) = future.as_mut().poll(&mut Context::from_waker(&wakers.waker(part)))
    {
        return Some(happened);
    }
    *due &= !part;
    None
}

/// A connection that comes in after the end was told would not hear of it, and is told at once.
fn next(mut ticks: Ticks) -> BoxFuture<'static, (Tick, Ticks)> {
    let next = async move {
        let tick = if ticks.is_over() { Tick::Shutdown } else { ticks.next().await };
        (tick, ticks)
    };
    next.boxed()
}
