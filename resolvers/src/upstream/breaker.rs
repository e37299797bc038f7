//! The circuit breaker of one integration: after repeated failures calls are paused, then one probe at a time finds out.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use super::{
    error::{UpstreamError, UpstreamErrorKind},
    retry::Jitter,
};
use crate::clock::Clock;

/// Consecutive failures that open the circuit.
const THRESHOLD: u32 = 5;
/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The circuit's state, for health and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum CircuitState {
    /// Calls pass.
    Closed,
    /// One probe passes.
    HalfOpen,
    /// Calls are paused.
    Open,
}

/// A circuit breaker.
#[derive(Debug)]
pub struct Breaker {
    clock: Arc<dyn Clock>,
    jitter: Jitter,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    failures: u32,
    openings: u32,
    open_until: Option<DateTime<Utc>>,
    probing: bool,
}

/// The right to make one call. Dropped without a verdict (the caller went away), it counts neither way.
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    /// A closed circuit.
    pub fn new(clock: Arc<dyn Clock>, jitter: Jitter) -> Self {
        Self { clock, jitter, inner: Mutex::default() }
    }

    /// Asks for the right to call.
    pub fn permit(&self) -> Result<Permit<'_>, UpstreamError> {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        let Some(until) = inner.open_until else { return Ok(Permit { breaker: self, probe: false }) };
        if now >= until && !inner.probing {
            inner.probing = true;
            return Ok(Permit { breaker: self, probe: true });
        }
        let wait = (until - now).to_std().unwrap_or(Duration::from_secs(1));
        let message = "calls are paused after repeated failures";
        Err(UpstreamError::new(UpstreamErrorKind::CircuitOpen, message).retry_after(wait))
    }

    /// The state now.
    pub fn state(&self) -> CircuitState {
        let now = self.clock.now();
        match self.inner.lock().open_until {
            None => CircuitState::Closed,
            Some(until) if now >= until => CircuitState::HalfOpen,
            Some(_) => CircuitState::Open,
        }
    }

    fn succeeded(&self) {
        *self.inner.lock() = Inner::default();
    }

    fn failed(&self, probe: bool) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        inner.failures = inner.failures.saturating_add(1);
        let opens = if inner.open_until.is_some() { probe } else { inner.failures >= THRESHOLD };
        if opens {
            let pause = FIRST_PAUSE.saturating_mul(1 << inner.openings.min(8)).min(LONGEST_PAUSE);
            // Between three quarters and the whole, so that many integrations do not probe at once.
            let pause = pause.mul_f64(0.75 + 0.25 * self.jitter.fraction());
            inner.openings = inner.openings.saturating_add(1);
            inner.open_until = chrono::Duration::from_std(pause).ok().map(|pause| now + pause);
        }
    }
}

impl Permit<'_> {
    /// The call went well enough: the provider is there.
    pub fn succeeded(self) {
        self.breaker.succeeded();
    }

    /// The call failed in a way that says that the provider is not there.
    pub fn failed(self) {
        self.breaker.failed(self.probe);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.inner.lock().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, Duration};

    use super::{Breaker, CircuitState, Jitter};
    use crate::clock::FixedClock;

    fn breaker() -> (FixedClock, Breaker) {
        let clock = FixedClock::at(DateTime::UNIX_EPOCH);
        (clock.clone(), Breaker::new(Arc::new(clock), Jitter::fixed(1.0)))
    }

    fn fail(breaker: &Breaker, times: usize) {
        for _ in 0..times {
            breaker.permit().expect("a permit").failed();
        }
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_a_success_between_does_not() {
        let (_, breaker) = breaker();
        fail(&breaker, 4);
        breaker.permit().expect("a permit").succeeded();
        fail(&breaker, 4);
        assert_eq!(breaker.state(), CircuitState::Closed);
        fail(&breaker, 1);
        assert_eq!(breaker.state(), CircuitState::Open);
        let error = breaker.permit().expect_err("paused");
        assert_eq!(error.retry_after, Some(std::time::Duration::from_secs(10)));
    }

    #[test]
    fn one_probe_at_a_time_closes_it_or_pauses_longer_up_to_a_minute() {
        let (clock, breaker) = breaker();
        fail(&breaker, 5);
        for pause in [10, 20, 40, 60, 60] {
            clock.advance(Duration::seconds(pause - 1));
            assert!(breaker.permit().is_err(), "before {pause}");
            clock.advance(Duration::seconds(1));
            assert_eq!(breaker.state(), CircuitState::HalfOpen);
            let probe = breaker.permit().expect("a probe");
            assert!(breaker.permit().is_err(), "one probe at a time");
            probe.failed();
        }
        clock.advance(Duration::seconds(60));
        breaker.permit().expect("a probe").succeeded();
        assert_eq!(breaker.state(), CircuitState::Closed);
    }

    #[test]
    fn an_abandoned_probe_lets_the_next_one_pass() {
        let (clock, breaker) = breaker();
        fail(&breaker, 5);
        clock.advance(Duration::seconds(10));
        drop(breaker.permit().expect("a probe"));
        breaker.permit().expect("another probe").succeeded();
        assert_eq!(breaker.state(), CircuitState::Closed);
    }
}
