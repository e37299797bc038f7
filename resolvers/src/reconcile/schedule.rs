//! When an integration is looked at: rarely while its webhooks prove alive, often when they are silent, at once after a gap.

use std::time::Duration;

use chrono::{DateTime, Utc};
use mullion_schema::enums::WebhookState;

use crate::store::catch_up::Pulse;

/// How often integrations are looked at, and with how many calls.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Those whose webhooks prove alive.
    pub live: Duration,
    /// Those whose webhooks are silent, and those of which something was just found missing.
    pub silent: Duration,
    /// Those without webhooks.
    pub polling: Duration,
    /// Those that nobody watches; `None`: never.
    pub unwatched: Option<Duration>,
    /// Calls to the provider in one round, more or less.
    pub calls: usize,
}

/// What this process knows of an integration beside its pulse.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Since when it is of interest here.
    pub(super) since: DateTime<Utc>,
    /// When it was last tried here, whatever came of it.
    pub(super) tried_at: Option<DateTime<Utc>>,
    /// Not before this: the provider said so, or another replica has it.
    pub(super) not_before: Option<DateTime<Utc>>,
    /// Something was missing when it was last looked at.
    pub(super) found_gap: bool,
    /// When it had last been caught up when its jitter was thrown.
    pub(super) round: Option<DateTime<Utc>>,
    /// From 0 to 1: spreads what would else happen together.
    pub(super) jitter: f64,
    /// How many of its tags were watched when the containers were last looked through for new ones.
    pub(super) tags: usize,
}

impl Seen {
    pub(super) fn new(since: DateTime<Utc>, jitter: f64) -> Self {
        Self { since, tried_at: None, not_before: None, found_gap: false, round: None, jitter, tags: 0 }
    }

    /// When it is to be looked at as a whole; `None`: not by itself.
    pub(super) fn due(
        &self,
        rules: &Rules,
        (pulse, state): (&Pulse, WebhookState),
        watched: bool,
    ) -> Option<DateTime<Utc>> {
        let gap = pulse.suspect_at > pulse.caught_up_at;
        let usual = match state {
            _ if !watched => rules.unwatched?,
            WebhookState::Live if !self.found_gap => rules.live,
            WebhookState::Live | WebhookState::Silent => rules.silent,
            WebhookState::Polling => rules.polling,
        };
        // Between nine tenths and eleven.
        let usual = usual.mul_f64(0.9 + 0.2 * self.jitter);
        let due = if pulse.failures > 0 {
            let doubled = rules.polling.min(rules.silent).saturating_mul(1 << pulse.failures.min(10));
            self.tried_at.unwrap_or(self.since) + span(doubled.min(rules.live))
        } else if gap {
            self.since
        } else {
            pulse.caught_up_at.unwrap_or(self.since).max(self.tried_at.unwrap_or_default()) + span(usual)
        };
        Some(self.not_before.map_or(due, |not_before| due.max(not_before)))
    }
}

pub(super) fn span(time: Duration) -> chrono::Duration {
    chrono::Duration::from_std(time).unwrap_or(chrono::Duration::days(365))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;
    use mullion_schema::enums::WebhookState::{Live, Polling, Silent};

    use super::{Rules, Seen};
    use crate::store::catch_up::Pulse;

    const RULES: Rules = Rules {
        live: Duration::from_mins(30),
        silent: Duration::from_secs(90),
        polling: Duration::from_secs(45),
        unwatched: Some(Duration::from_secs(20_000)),
        calls: 20,
    };

    #[test]
    fn it_is_rare_while_webhooks_live_often_when_they_do_not_and_at_once_after_a_gap() {
        let at = |seconds: i64| DateTime::from_timestamp(seconds, 0);
        let start = at(1_000).unwrap();
        let seen = Seen::new(start, 0.5);
        let good = Pulse { caught_up_at: at(2_000), ..Pulse::default() };
        let failing = |failures| Pulse { failures, ..good };
        let table = [
            ("never looked at", Pulse::default(), Live, true, seen, Some(1_000 + 1_800)),
            ("live", good, Live, true, seen, Some(2_000 + 1_800)),
            ("silent", good, Silent, true, seen, Some(2_000 + 90)),
            ("polling", good, Polling, true, seen, Some(2_000 + 45)),
            ("live, a gap was found", good, Live, true, Seen { found_gap: true, ..seen }, Some(2_000 + 90)),
            ("nobody watches", good, Silent, false, seen, Some(2_000 + 20_000)),
            ("a gap", Pulse { suspect_at: at(2_001), ..good }, Live, true, seen, Some(1_000)),
            ("a gap before", Pulse { suspect_at: at(2_000), ..good }, Live, true, seen, Some(3_800)),
            ("failed", failing(1), Silent, true, Seen { tried_at: at(2_050), ..seen }, Some(2_050 + 90)),
            ("failed often", failing(30), Silent, true, Seen { tried_at: at(2_050), ..seen }, Some(2_050 + 1_800)),
            ("not before", good, Polling, true, Seen { not_before: at(9_000), ..seen }, Some(9_000)),
        ];
        for (what, pulse, state, watched, seen, expected) in table {
            let due = seen.due(&RULES, (&pulse, state), watched).map(|due| due.timestamp());
            assert_eq!(due, expected, "{what}");
        }
        let never = Rules { unwatched: None, ..RULES };
        assert_eq!(seen.due(&never, (&Pulse::default(), Silent), false), None);
    }
}
