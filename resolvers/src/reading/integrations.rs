//! Integrations as the engine uses them: the provider's adapter, and the connection to call it through.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::AtomicBool},
};

use chrono::{DateTime, Duration, Utc};
use mullion_schema::{
    enums::WebhookState,
    id::{IntegrationId, NodeKey, TenantId},
    ports::List,
    table::NodeType,
};
use parking_lot::{Mutex, RwLock};

use crate::{
    provider::{Keeping, NodeRef, Provider},
    store::catch_up::Pulse,
    upstream::Connection,
};

/// How long values are trusted while webhooks are alive: until an event says otherwise, but not for ever.
const LONGEST_AGE_LIVE: Duration = Duration::hours(6);
/// How long values are trusted while webhooks are silent.
const LONGEST_AGE_SILENT: Duration = Duration::minutes(5);

/// One integration, ready for use. Made anew when its row changes.
#[derive(Debug)]
pub struct Integration {
    /// The tenant.
    pub tenant: TenantId,
    /// Its id.
    pub id: IntegrationId,
    /// When it was connected first: a new token does not move it.
    pub created_at: DateTime<Utc>,
    /// The adapter.
    pub provider: Arc<dyn Provider>,
    /// The way to the provider.
    pub connection: Connection,
    /// The user that its token acts as, where known: `Type:nativeId`.
    pub user: Option<String>,
    /// Whether the provider refused the token when it was last used.
    pub refused: AtomicBool,
    /// How its webhooks do, as it was last read.
    pub pulse: Mutex<Pulse>,
    /// The containers for which webhooks are registered; empty: what comes in is not known to be of some containers only.
    pub registered: RwLock<HashSet<String>>,
    /// How the pulse is interpreted.
    pub rules: PulseRules,
}

/// The rules by which an integration's [`Pulse`] is interpreted.
#[derive(Debug, Clone, Copy)]
pub struct PulseRules {
    /// While a sign of life of its webhooks is not older than this, they count as alive.
    pub silent_after: Duration,
    /// So long after it was caught up without leaving anything out, nothing has to be read again by itself.
    pub covered_for: Duration,
}

impl Default for PulseRules {
    fn default() -> Self {
        Self { silent_after: Duration::hours(1), covered_for: Duration::minutes(4) }
    }
}

impl PulseRules {
    /// How webhooks do: the one definition of it.
    pub fn state(&self, pulse: &Pulse, now: DateTime<Utc>) -> WebhookState {
        let sign_of_life = pulse.last_delivery_at.max(pulse.proven_at);
        match sign_of_life {
            _ if pulse.listening => WebhookState::Live,
            _ if pulse.deaf => WebhookState::Silent,
            Some(at) if now - at < self.silent_after => WebhookState::Live,
            None if !pulse.registered => WebhookState::Polling,
            _ => WebhookState::Silent,
        }
    }
}

impl Integration {
    /// How old a value may be and still be served without asking the provider. `covered`: a webhook would tell of its changes.
    pub fn longest_age(&self, covered: bool, now: DateTime<Utc>) -> Duration {
        let pulse = *self.pulse.lock();
        let is_live = covered && self.rules.state(&pulse, now) == WebhookState::Live;
        let longest = if is_live { LONGEST_AGE_LIVE } else { LONGEST_AGE_SILENT };
        // A value read before something may have been missed is not trusted at all.
        pulse.suspect_at.map_or(longest, |at| longest.min(now - at))
    }

    /// A webhook came in.
    pub fn heard(&self, at: DateTime<Utc>) {
        let mut pulse = self.pulse.lock();
        pulse.last_delivery_at = pulse.last_delivery_at.max(Some(at));
    }

    /// Takes in what the database has, which other processes write too. Whether something may have been missed since the last time.
    pub fn take_pulse(&self, read: Pulse) -> bool {
        let mut pulse = self.pulse.lock();
        let suspect = read.suspect_at > pulse.suspect_at;
        let heard = pulse.last_delivery_at.max(read.last_delivery_at);
        *pulse = Pulse { last_delivery_at: heard, ..read };
        suspect
    }

    /// The type of its nodes that has this GraphQL name, if this build knows it.
    pub fn node_type(&self, name: &str) -> Option<&'static NodeType> {
        self.provider.descriptor().types.iter().copied().find(|node_type| node_type.name == name)
    }

    /// The key of one of its nodes.
    pub fn key_of(&self, node: &NodeRef) -> NodeKey {
        NodeKey::new(&self.id, node.type_name, Arc::clone(&node.native_id))
    }

    /// How the provider has a list of it kept.
    pub fn keeping(&self, list: &List) -> Keeping {
        let parent = list.parent.as_ref().map(|(type_name, _)| *type_name);
        let known = self.provider.descriptor().lists.iter();
        let mut known = known.filter(|known| known.name == list.name && known.parent == parent);
        known.next().map_or(Keeping::Opaque, |known| known.keeping)
    }

    /// Whether what is watched of it has to be read again now and then: no webhooks tell of changes, and no log of the provider.
    /// `covered`: webhooks would tell of all that is watched.
    pub fn is_silent(&self, covered: bool, now: DateTime<Utc>) -> bool {
        let pulse = *self.pulse.lock();
        let is_caught_up = pulse.covered_at.is_some_and(|at| now - at < self.rules.covered_for);
        (!covered || self.rules.state(&pulse, now) != WebhookState::Live) && !is_caught_up
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Duration};
    use mullion_schema::enums::WebhookState::{Live, Polling, Silent};

    use super::PulseRules;
    use crate::store::catch_up::Pulse;

    #[test]
    fn webhooks_live_while_something_shows_it_and_are_silent_only_where_there_are_some() {
        let at = |minutes: i64| DateTime::from_timestamp(minutes * 60, 0);
        let now = DateTime::UNIX_EPOCH + Duration::minutes(100);
        let none = Pulse::default();
        for (pulse, state) in [
            (none, Polling),
            (Pulse { registered: true, ..none }, Silent),
            (Pulse { registered: true, listening: true, ..none }, Live),
            (Pulse { registered: true, deaf: true, last_delivery_at: at(99), ..none }, Silent),
            (Pulse { last_delivery_at: at(41), ..none }, Live),
            (Pulse { last_delivery_at: at(40), ..none }, Silent),
            (Pulse { last_delivery_at: at(1), proven_at: at(99), registered: true, ..none }, Live),
            (Pulse { suspect_at: at(100), caught_up_at: at(100), covered_at: at(100), ..none }, Polling),
        ] {
            assert_eq!(PulseRules::default().state(&pulse, now), state, "{pulse:?}");
        }
    }
}
