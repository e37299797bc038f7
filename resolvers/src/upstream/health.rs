//! How one integration's calls went lately: what `IntegrationHealth` and the metrics are read from.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use chrono::{DateTime, Utc};
use mullion_schema::id::IntegrationId;
use parking_lot::Mutex;

use super::{
    breaker::CircuitState,
    connection::QuotaReading,
    error::{UpstreamError, UpstreamErrorKind},
};
use crate::capitalized::capitalized;

/// Calls that the window remembers.
const WINDOW: usize = 100;

/// After so many good calls in a row, failures are over: where every other call fails, that is logged once.
const RECOVERED_AFTER: u32 = 3;

/// Hears of every call, for metrics.
pub trait Observer: Send + Sync {
    /// A call ended.
    fn call(&self, call: &CallReport<'_>);

    /// The provider told a quota.
    fn quota(&self, provider: &'static str, integration: &IntegrationId, quota: &QuotaReading);

    /// The circuit is in this state after a call.
    fn circuit(&self, provider: &'static str, integration: &IntegrationId, state: CircuitState);
}

/// An observer that does not care.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn call(&self, _: &CallReport<'_>) {}
    fn quota(&self, _: &'static str, _: &IntegrationId, _: &QuotaReading) {}
    fn circuit(&self, _: &'static str, _: &IntegrationId, _: CircuitState) {}
}

/// One attempt at the provider.
#[derive(Debug, Clone, Copy)]
pub struct CallReport<'a> {
    /// The provider's key.
    pub provider: &'static str,
    /// The integration.
    pub integration: &'a IntegrationId,
    /// As [`super::UpstreamRequest::operation`].
    pub operation: &'static str,
    /// `ok`, `not_modified`, `rate_limited`, `refused`, or the kind of the failure.
    pub result: &'static str,
    /// How long it took.
    pub took: Duration,
}

/// The health of an integration's calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HealthReading {
    /// Calls in the window (at most 100).
    pub calls: usize,
    /// Share of them that went well, from 0 to 1; `None` before the first call.
    pub success_rate: Option<f64>,
    /// Median latency.
    pub p50: Option<Duration>,
    /// 95th percentile of the latency.
    pub p95: Option<Duration>,
    /// The last failure in a sentence, without secrets.
    pub last_error: Option<String>,
    /// When it happened.
    pub last_error_at: Option<DateTime<Utc>>,
    /// When a call last went well.
    pub last_success_at: Option<DateTime<Utc>>,
    /// How the calls since then failed; `None`: the last call went well, or there was none.
    pub failing: Option<Failing>,
    /// Quotas by bucket.
    pub quotas: Vec<QuotaReading>,
}

/// Failures since the last call that went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// The last one.
    pub kind: UpstreamErrorKind,
    /// How many in a row.
    pub times: u32,
}

/// The window.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    calls: VecDeque<(bool, Duration)>,
    last_error: Option<(DateTime<Utc>, String)>,
    last_success_at: Option<DateTime<Utc>>,
    failing: Option<Failing>,
    /// How the calls failed before the last one, and when one went well: a call may turn out to have failed.
    before: (Option<Failing>, Option<DateTime<Utc>>),
    /// How they failed when that was last logged, and how many went well since.
    logged: Option<(UpstreamErrorKind, u32)>,
    quotas: BTreeMap<&'static str, QuotaReading>,
}

impl Inner {
    fn note(&mut self, now: DateTime<Utc>, failure: &UpstreamError) {
        self.last_error = Some((now, capitalized(&failure.message)));
        let times = self.failing.map_or(0, |failing| failing.times).saturating_add(1);
        self.failing = Some(Failing { kind: failure.kind, times });
    }

    /// Whether calls fail otherwise than they did when that was last logged.
    fn turned(&mut self, failure: Option<UpstreamErrorKind>) -> Option<Turn> {
        match (failure, &mut self.logged) {
            (Some(kind), Some((logged, good))) if kind == *logged => *good = 0,
            (Some(kind), _) if kind.is_of_all() => {
                self.logged = Some((kind, 0));
                return Some(Turn::Failing);
            }
            (None, Some((_, good))) => {
                *good += 1;
                if *good >= RECOVERED_AFTER {
                    self.logged = None;
                    return Some(Turn::Recovered);
                }
            }
            _ => {}
        }
        None
    }
}

/// A change of how the calls go, which is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// They fail, which they did not before, or not for this reason.
    Failing,
    /// They go well again.
    Recovered,
}

impl Health {
    /// Counts a call. Says whether it is to be logged how the calls go.
    pub(super) fn record(&self, now: DateTime<Utc>, took: Duration, failure: Option<&UpstreamError>) -> Option<Turn> {
        let mut inner = self.0.lock();
        if inner.calls.len() == WINDOW {
            inner.calls.pop_front();
        }
        inner.calls.push_back((failure.is_none(), took));
        inner.before = (inner.failing, inner.last_success_at);
        if let Some(failure) = failure {
            inner.note(now, failure);
        } else {
            (inner.failing, inner.last_success_at) = (None, Some(now));
        }
        inner.turned(failure.map(|failure| failure.kind))
    }

    /// Counts the last call as a failed one. Where it counts as one already, nothing changes.
    pub(super) fn withdraw(&self, now: DateTime<Utc>, failure: &UpstreamError) -> Option<Turn> {
        let mut inner = self.0.lock();
        if inner.failing.is_some() {
            return None;
        }
        (inner.failing, inner.last_success_at) = inner.before;
        if let Some((good, _)) = inner.calls.back_mut() {
            *good = false;
        }
        inner.note(now, failure);
        inner.turned(Some(failure.kind))
    }

    pub(super) fn quota(&self, quota: QuotaReading) {
        self.0.lock().quotas.insert(quota.bucket, quota);
    }

    /// Takes another replica's reading of a quota, which counts where it is worse news than our own, or later.
    pub(super) fn learn(&self, told: QuotaReading) {
        let mut inner = self.0.lock();
        let news = inner.quotas.get(told.bucket).is_none_or(|ours| {
            told.resets_at > ours.resets_at
                || (told.resets_at == ours.resets_at && told.remaining.is_some() && told.remaining < ours.remaining)
        });
        if news {
            inner.quotas.insert(told.bucket, told);
        }
    }

    /// When a quota that is used up is full again.
    pub(super) fn spent_until(&self, bucket: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let inner = self.0.lock();
        let quota = inner.quotas.get(bucket).filter(|quota| quota.remaining.is_some_and(|remaining| remaining <= 0))?;
        quota.resets_at.filter(|resets_at| *resets_at > now)
    }

    pub(super) fn reading(&self) -> HealthReading {
        let inner = self.0.lock();
        let mut latencies: Vec<Duration> = inner.calls.iter().map(|(_, took)| *took).collect();
        latencies.sort_unstable();
        let good = inner.calls.iter().filter(|(ok, _)| *ok).count();
        HealthReading {
            calls: latencies.len(),
            success_rate: share(good, latencies.len()),
            p50: percentile(&latencies, 50),
            p95: percentile(&latencies, 95),
            last_error: inner.last_error.as_ref().map(|(_, message)| message.clone()),
            last_error_at: inner.last_error.as_ref().map(|(at, _)| *at),
            last_success_at: inner.last_success_at,
            failing: inner.failing,
            quotas: inner.quotas.values().cloned().collect(),
        }
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    let (part, whole) = (u32::try_from(part).ok()?, u32::try_from(whole).ok()?);
    (whole > 0).then(|| f64::from(part) / f64::from(whole))
}

/// Nearest rank.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::{Failing, Health, Turn, UpstreamError, UpstreamErrorKind};

    #[test]
    fn the_window_tells_rates_and_percentiles_of_the_last_hundred_calls() {
        let health = Health::default();
        assert_eq!(health.reading().success_rate, None);
        let now = DateTime::UNIX_EPOCH;
        for _ in 0..50 {
            health.record(now, Duration::from_secs(9), Some(&UpstreamError::new(UpstreamErrorKind::Timeout, "old")));
        }
        assert_eq!(health.reading().failing, Some(Failing { kind: UpstreamErrorKind::Timeout, times: 50 }));
        let last = UpstreamError::new(UpstreamErrorKind::Down, "last");
        for n in 1..=100_u64 {
            health.record(now, Duration::from_millis(n), (n == 100).then_some(&last));
        }
        let reading = health.reading();
        assert_eq!((reading.calls, reading.success_rate), (100, Some(0.99)));
        assert_eq!(reading.p50, Some(Duration::from_millis(50)));
        assert_eq!(reading.p95, Some(Duration::from_millis(95)));
        assert_eq!(reading.last_error.as_deref(), Some("Last"));
        assert_eq!(reading.failing, Some(Failing { kind: UpstreamErrorKind::Down, times: 1 }));
    }

    #[test]
    fn a_call_that_turns_out_to_have_failed_counts_once() {
        let health = Health::default();
        let now = DateTime::UNIX_EPOCH;
        let broken = UpstreamError::new(UpstreamErrorKind::Down, "the answer lacks a part");
        health.record(now, Duration::ZERO, None);
        health.record(now, Duration::ZERO, None);
        for _ in 0..2 {
            health.withdraw(now, &broken);
            let reading = health.reading();
            assert_eq!((reading.calls, reading.success_rate), (2, Some(0.5)));
            assert_eq!(reading.failing, Some(Failing { kind: UpstreamErrorKind::Down, times: 1 }));
            assert_eq!(reading.last_error.as_deref(), Some("The answer lacks a part"));
        }
        // Each of them looks good at first.
        for times in 2..=3 {
            health.record(now, Duration::ZERO, None);
            health.withdraw(now, &broken);
            assert_eq!(health.reading().failing, Some(Failing { kind: UpstreamErrorKind::Down, times }));
        }
    }

    #[test]
    fn how_calls_fail_is_logged_once_and_again_when_it_changes() {
        use UpstreamErrorKind::{Down, Forbidden, Timeout};
        let health = Health::default();
        for (failure, expected) in [
            (None, None),
            (Some(Down), Some(Turn::Failing)),
            (Some(Down), None),
            (Some(Forbidden), None),
            (Some(Timeout), Some(Turn::Failing)),
            (None, None),
            (Some(Timeout), None),
            (None, None),
            (None, None),
            (None, Some(Turn::Recovered)),
            (None, None),
            (Some(Timeout), Some(Turn::Failing)),
        ] {
            let error = failure.map(|kind| UpstreamError::new(kind, "no"));
            let turn = health.record(DateTime::UNIX_EPOCH, Duration::ZERO, error.as_ref());
            assert_eq!(turn, expected, "{failure:?}");
        }
    }
}
