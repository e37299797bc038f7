//! When a call is sent again, and after how long.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};

/// Retries after the first attempt.
pub(super) const MAX_RETRIES: u32 = 2;
/// A longer `Retry-After` is not waited for: the last known value is served instead.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// No provider is left alone for longer because it asks to be: windows of quotas are an hour at most
/// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>).
pub(super) const LONGEST_ASKED: Duration = Duration::from_hours(1);
/// The ceiling of the first back-off.
const BASE: Duration = Duration::from_millis(250);

/// Randomness of waits, passed in.
#[derive(Clone)]
pub struct Jitter(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Jitter {
    /// From the thread's generator.
    pub fn random() -> Self {
        Self(Arc::new(rand::random::<f64>))
    }

    /// Always the same fraction. For tests.
    pub fn fixed(fraction: f64) -> Self {
        Self(Arc::new(move || fraction))
    }

    /// From 0 to 1.
    pub fn fraction(&self) -> f64 {
        (self.0)().clamp(0.0, 1.0)
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jitter")
    }
}

/// Statuses after which the same call may succeed. Only repeatable calls are sent again, and those only read (a GraphQL query is
/// one, although it is posted). So it does not matter whether the provider had begun when it failed, and a 500 is like a 502.
/// 408 says that the provider gave up waiting. 501 does not pass. 429 is not here because quotas are the provider client's business.
pub(super) fn is_transient(status: StatusCode) -> bool {
    status == StatusCode::REQUEST_TIMEOUT || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// How long to wait before retry `number` (from 0); `None`: the provider asks for more patience than we have.
pub(super) fn backoff(number: u32, asked: Option<Duration>, jitter: &Jitter) -> Option<Duration> {
    match asked {
        Some(asked) if asked > LONGEST_WAIT => None,
        Some(asked) => Some(asked),
        None => Some(BASE.saturating_mul(1 << number.min(8)).mul_f64(jitter.fraction())),
    }
}

/// `Retry-After` in seconds or as a date; an hour at most.
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(LONGEST_ASKED));
    }
    let date: DateTime<Utc> = httpdate::parse_http_date(text).ok()?.into();
    Some((date - now).to_std().unwrap_or_default().min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;
    use http::HeaderMap;

    use super::{Jitter, backoff, retry_after};

    #[test]
    fn back_off_doubles_under_full_jitter_and_keeps_to_what_was_asked() {
        let whole = Jitter::fixed(1.0);
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        assert_eq!(backoff(0, None, &whole), Some(ms(250)));
        assert_eq!(backoff(1, None, &whole), Some(ms(500)));
        assert_eq!(backoff(1, None, &Jitter::fixed(0.0)), Some(ms(0)));
        assert_eq!(backoff(0, Some(s(5)), &whole), Some(s(5)));
        assert_eq!(backoff(0, Some(s(6)), &whole), None);
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = DateTime::from_timestamp(784_111_777, 0).expect("a time");
        for (text, seconds) in [
            ("3", Some(3)),
            ("Sun, 06 Nov 1994 08:49:40 GMT", Some(3)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("18446744073709551615", Some(3600)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3600)),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, text.parse().expect("a value"))]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
