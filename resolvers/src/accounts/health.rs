//! How an integration does, in one word: what its calls of the last while and its credential amount to.

use chrono::{DateTime, Utc};
use mullion_schema::enums::HealthState;

use crate::upstream::{CircuitState, HealthReading, UpstreamErrorKind};

/// Below this share of good calls an integration counts as degraded.
const DEGRADED_BELOW: f64 = 0.9;
/// After so many failures in a row the provider counts as down, before the circuit opens.
const DOWN_AFTER: u32 = 3;

/// The state. `refused`: the provider does not accept the token, as far as the stored row knows.
pub(super) fn state_of(
    circuit: CircuitState,
    reading: &HealthReading,
    refused: bool,
    now: DateTime<Utc>,
) -> HealthState {
    use UpstreamErrorKind::{AddressRefused, AuthExpired, Down, Internal, Timeout};
    if refused || circuit == CircuitState::Open {
        return HealthState::Down;
    }
    let spent = reading.quotas.iter().any(|quota| {
        quota.remaining.is_some_and(|left| left <= 0) && quota.resets_at.is_some_and(|resets_at| resets_at > now)
    });
    match reading.failing.map(|failing| (failing.kind, failing.times)) {
        // No call can succeed before somebody changes something.
        Some((AuthExpired | AddressRefused | Internal, _)) => return HealthState::Down,
        Some((Down | Timeout, times)) if times >= DOWN_AFTER => return HealthState::Down,
        Some(_) => return HealthState::Degraded,
        None => {}
    }
    match reading.success_rate {
        _ if spent || circuit == CircuitState::HalfOpen => HealthState::Degraded,
        None => HealthState::Unknown,
        Some(rate) if rate < DEGRADED_BELOW => HealthState::Degraded,
        Some(_) => HealthState::Healthy,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use mullion_schema::enums::HealthState;

    use super::state_of;
    use crate::upstream::{CircuitState, Failing, HealthReading, QuotaReading, UpstreamErrorKind as Kind};

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn good() -> HealthReading {
        HealthReading { calls: 20, success_rate: Some(0.95), ..HealthReading::default() }
    }

    fn failing(kind: Kind, times: u32) -> HealthReading {
        HealthReading { failing: Some(Failing { kind, times }), ..good() }
    }

    fn spent_for(seconds: i64) -> HealthReading {
        let resets_at = Some(NOW + TimeDelta::seconds(seconds));
        let quota = QuotaReading { bucket: "core", limit: Some(60), remaining: Some(0), resets_at };
        HealthReading { quotas: vec![quota], ..good() }
    }

    #[test]
    fn it_is_not_healthy_while_no_call_can_be_made() {
        use CircuitState::{Closed, HalfOpen, Open};
        for (circuit, reading, refused, expected) in [
            (Closed, HealthReading::default(), false, HealthState::Unknown),
            (Closed, good(), false, HealthState::Healthy),
            (Closed, good(), true, HealthState::Down),
            (Open, good(), false, HealthState::Down),
            (HalfOpen, good(), false, HealthState::Degraded),
            (Closed, failing(Kind::AddressRefused, 1), false, HealthState::Down),
            (Closed, failing(Kind::AuthExpired, 1), false, HealthState::Down),
            (Closed, failing(Kind::Timeout, 1), false, HealthState::Degraded),
            (Closed, failing(Kind::Down, 3), false, HealthState::Down),
            (Closed, failing(Kind::RateLimited, 1), false, HealthState::Degraded),
            (Closed, spent_for(60), false, HealthState::Degraded),
            (Closed, spent_for(-1), false, HealthState::Healthy),
            (Closed, HealthReading { success_rate: Some(0.5), ..good() }, false, HealthState::Degraded),
        ] {
            assert_eq!(state_of(circuit, &reading, refused, NOW), expected, "{circuit:?} {refused} {reading:?}");
        }
    }
}
