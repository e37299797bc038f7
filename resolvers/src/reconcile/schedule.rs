//! When an integration is looked at: rarely while its webhooks prove alive, often when they are silent, at once after a gap. One
//! that is due and finds no slot stays due, and those that have waited longest come first.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use mullion_schema::enums::WebhookState;

use super::{NEW, Whose};

/// The time after which a change among the processes is looked into, and by how much it varies: a rolling replacement ends the old
/// process about so long after the new one is ready, and the look must come after that, and within a minute.
const SETTLED: Duration = Duration::from_secs(30);
const SPREAD: Duration = Duration::from_secs(20);
/// An integration that is found this soon after a change was there before it.
const FOUND: Duration = Duration::from_secs(5);
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

/// This process's knowledge of an integration, beside its pulse.
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
    /// Since when it is due and was not begun with.
    waits: Option<DateTime<Utc>>,
}

/// How an integration of interest stands at the moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) pulse: Pulse,
    pub(super) state: WebhookState,
    /// How many of its tags are watched; `None`: it is not watched.
    pub(super) tags: Option<usize>,
    /// Whether calls to its provider are paused.
    pub(super) paused: bool,
    /// A throw of the dice.
    pub(super) jitter: f64,
}

/// A look that is to be begun with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) whose: Whose,
    /// Only at the containers that were not looked at before.
    pub(super) only_new: bool,
}

/// This process's knowledge of all integrations that are of interest.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    seen: HashMap<Whose, Seen>,
    /// When a process that takes deliveries came or went, this one included: what was on its way may be lost.
    changed_at: Option<DateTime<Utc>>,
    /// Those whose provider was paused: when it is called again, it may not have told what happened meanwhile.
    paused: HashSet<Whose>,
}

impl Schedule {
    /// A process that takes deliveries came or went: all integrations are looked at within a minute, by whichever process is first.
    pub(super) fn note_change(&mut self, now: DateTime<Utc>) {
        self.changed_at = Some(now);
    }

    /// When an integration is looked at because of such a change; `None`: it was, or was not there yet.
    fn due_after_change(&self, seen: &Seen, pulse: &Pulse) -> Option<DateTime<Utc>> {
        let at = self.changed_at?;
        let looked = pulse.caught_up_at.max(seen.tried_at);
        let due = at + span(SETTLED) + span(SPREAD.mul_f64(seen.jitter));
        let due = seen.not_before.map_or(due, |not_before| due.max(not_before));
        (looked < Some(at + span(SETTLED)) && seen.since <= at + span(FOUND)).then_some(due)
    }

    /// Whether all are to be looked at here, also those that are watched elsewhere only.
    pub(super) fn looks_at_all(&self, now: DateTime<Utc>) -> bool {
        self.changed_at.is_some_and(|at| now - at <= span(Duration::from_mins(1)))
    }

    /// Forgets those that are of no interest any more.
    pub(super) fn keep(&mut self, all: &HashSet<&Whose>) {
        self.seen.retain(|whose, _| all.contains(whose));
    }

    /// Those to begin with now, as many as there are slots free. They count as begun; all others that are due stay so.
    pub(super) fn next(
        &mut self,
        now: DateTime<Utc>,
        rules: &Rules,
        standings: &HashMap<Whose, Standing>,
        free: usize,
    ) -> Vec<Turn> {
        let due = standings.iter().filter_map(|(whose, standing)| self.due(whose, (now, rules), standing));
        let mut due: Vec<(DateTime<Utc>, Turn)> = due.collect();
        due.sort_by_key(|(since, _)| *since);
        due.truncate(free);
        for (_, Turn { whose, only_new }) in &due {
            if let Some(seen) = self.seen.get_mut(whose) {
                seen.waits = None;
                seen.tags = standings.get(whose).and_then(|standing| standing.tags).unwrap_or(0);
            }
            if !only_new {
                self.paused.remove(whose);
            }
        }
        due.into_iter().map(|(_, turn)| turn).collect()
    }

    /// Changes what is known of one.
    pub(super) fn note(&mut self, whose: &Whose, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.seen.get_mut(whose) {
            change(seen);
        }
    }

    /// Whether one is to be looked at, and since when it waits for that.
    fn due(
        &mut self,
        whose: &Whose,
        (now, rules): (DateTime<Utc>, &Rules),
        standing: &Standing,
    ) -> Option<(DateTime<Utc>, Turn)> {
        let Standing { pulse, state, tags, jitter, .. } = *standing;
        if standing.paused {
            self.paused.insert(whose.clone());
        }
        let called_again = !standing.paused && tags.is_some() && self.paused.contains(whose);
        let seen = self.seen.entry(whose.clone()).or_insert_with(|| Seen::new(now, jitter));
        // By chance another time: of several replicas that watch, each has its turns.
        if seen.round != pulse.caught_up_at {
            (seen.round, seen.jitter) = (pulse.caught_up_at, jitter);
        }
        let (usual, known) = (seen.due(rules, (&pulse, state), tags.is_some()), *seen);
        let after_change = self.due_after_change(&known, &pulse);
        let full = usual.is_some_and(|at| at <= now) || after_change.is_some_and(|at| at <= now) || called_again;
        let seen = self.seen.get_mut(whose)?;
        let new = tags.is_some_and(|tags| tags > seen.tags)
            && now - seen.since >= span(NEW)
            && seen.not_before.is_none_or(|at| at <= now);
        if !full && !new {
            seen.waits = None;
            return None;
        }
        let since = *seen.waits.get_or_insert(now);
        Some((since, Turn { whose: whose.clone(), only_new: !full }))
    }
}

impl Seen {
    pub(super) fn new(since: DateTime<Utc>, jitter: f64) -> Self {
        Self { since, tried_at: None, not_before: None, found_gap: false, round: None, jitter, tags: 0, waits: None }
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
            WebhookState::Live if !self.found_gap && pulse.missed_until.is_none() => rules.live,
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
    use std::{
        collections::{HashMap, HashSet},
        time::Duration,
    };

    use chrono::{DateTime, TimeDelta};
    use mullion_schema::enums::WebhookState::{Live, Polling, Silent};
    use proptest::prelude::*;

    use super::{Rules, Schedule, Seen, Standing, Turn, Whose};
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
            ("live, a gap is not filled", Pulse { missed_until: at(1), ..good }, Live, true, seen, Some(2_000 + 90)),
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

    fn whose(number: usize) -> Whose {
        ("acme".into(), number.to_string().into())
    }

    const WATCHED: Standing = Standing { pulse: EMPTY, state: Live, tags: Some(1), paused: false, jitter: 0.5 };
    const EMPTY: Pulse = Pulse {
        last_delivery_at: None,
        proven_at: None,
        suspect_at: None,
        caught_up_at: None,
        covered_at: None,
        failures: 0,
        registered: false,
        listening: false,
        deaf: false,
        missed_since: None,
        missed_until: None,
    };

    #[test]
    fn what_finds_no_slot_is_not_forgotten() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let mut schedule = Schedule::default();
        let standings: HashMap<Whose, Standing> = (0..10).map(|number| (whose(number), WATCHED)).collect();
        assert_eq!(schedule.next(at(0), &RULES, &standings, 4), []);
        let mut begun = HashSet::new();
        for (second, free, expected) in [(2, 4, 4), (3, 0, 0), (4, 4, 4), (5, 4, 2), (6, 4, 0)] {
            let turns = schedule.next(at(second), &RULES, &standings, free);
            assert_eq!(turns.len(), expected, "after {second} s");
            assert!(turns.iter().all(|turn| turn.only_new));
            begun.extend(turns.into_iter().map(|turn| turn.whose));
        }
        assert_eq!(begun.len(), 10, "each once");
    }

    #[test]
    fn a_provider_that_is_called_again_is_looked_at_when_there_is_a_slot() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let mut schedule = Schedule::default();
        let mut next = |second, paused, free| {
            let standings = HashMap::from([(whose(1), Standing { tags: Some(0), paused, ..WATCHED })]);
            schedule.next(at(second), &RULES, &standings, free)
        };
        assert_eq!(next(0, true, 4), []);
        for second in 1..5 {
            assert_eq!(next(second, false, 0), []);
        }
        assert_eq!(next(5, false, 1), [Turn { whose: whose(1), only_new: false }]);
        assert_eq!(next(6, false, 1), []);
    }

    #[test]
    fn all_are_looked_at_once_within_a_minute_after_a_process_came_or_went() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let mut schedule = Schedule::default();
        schedule.note_change(at(0));
        let caught_up = |seconds: Option<i64>| Pulse { caught_up_at: seconds.map(at), ..EMPTY };
        let mut next = |second, looked: Option<i64>| {
            let unwatched = Standing { pulse: caught_up(looked), tags: None, ..WATCHED };
            let standings = HashMap::from([(whose(1), unwatched)]);
            schedule.next(at(second), &RULES, &standings, 4).len()
        };
        assert_eq!(next(0, Some(-10)), 0);
        assert_eq!(next(29, Some(-10)), 0, "the one that goes may still be there");
        assert_eq!(next(59, Some(-10)), 1);
        assert_eq!(next(60, Some(59)), 0, "another process did");
        assert_eq!(next(3_000, Some(59)), 0);
        let mut later = Schedule::default();
        later.note_change(at(0));
        let standings = HashMap::from([(whose(2), Standing { tags: None, ..WATCHED })]);
        assert_eq!(later.next(at(20), &RULES, &standings, 4), [], "connected after it");
        assert_eq!(later.next(at(59), &RULES, &standings, 4), [], "connected after it");
    }

    proptest! {
        /// However many are due and however few slots there are: whoever waits longest is first, and nobody drops out.
        #[test]
        fn nobody_overtakes_who_waits_longer(steps in prop::collection::vec((0_usize..12, 0_usize..3), 1..80)) {
            let mut schedule = Schedule::default();
            let mut standings: HashMap<Whose, Standing> =
                (0..12).map(|number| (whose(number), Standing { tags: Some(0), ..WATCHED })).collect();
            let mut waits: HashMap<Whose, usize> = HashMap::new();
            let start = DateTime::UNIX_EPOCH;
            prop_assert_eq!(schedule.next(start, &RULES, &standings, 4), []);
            for (step, (grows, free)) in steps.into_iter().enumerate() {
                let tags = standings.get_mut(&whose(grows)).unwrap();
                tags.tags = tags.tags.map(|tags| tags + 1);
                waits.entry(whose(grows)).or_insert(step);
                let now = start + TimeDelta::seconds(2) + TimeDelta::milliseconds(i64::try_from(step).unwrap());
                let turns = schedule.next(now, &RULES, &standings, free);
                prop_assert_eq!(turns.len(), free.min(waits.len()));
                for turn in turns {
                    let since = waits.remove(&turn.whose);
                    prop_assert!(since.is_some_and(|since| waits.values().all(|other| since <= *other)));
                }
            }
        }
    }
}
