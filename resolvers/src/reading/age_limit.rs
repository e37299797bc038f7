//! How old a value may be to be shown as it is.

use chrono::{DateTime, Duration, Utc};
use mullion_schema::ports::List;

use super::{Engine, integrations::Integration, scope::Scope};
use crate::store::{list::Window, node::StoredNode};

/// How old what is stored may be at one moment: to be asked of many nodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct AgeLimit {
    now: DateTime<Utc>,
    longest: Duration,
}

impl AgeLimit {
    /// Whether a stored node answers as it is; `fresh` says whether all that is wanted is known and not out of date.
    pub(super) fn admits(&self, stored: &StoredNode, fresh: impl FnOnce() -> bool) -> bool {
        // A deletion is final. That the provider did not know something is believed as long as a value would be.
        stored.is_deleted() || (self.now - stored.fetched_at() <= self.longest && (stored.is_unknown() || fresh()))
    }

    /// Whether a list answers as far as it was read.
    pub(super) fn admits_list(&self, window: &Window) -> bool {
        !window.stale && self.now - window.fetched_at <= self.longest
    }
}

impl Engine {
    /// How old what is stored of an integration may be for an execution at this moment. `covered`: a webhook would tell of its
    /// changes.
    pub(super) fn age_limit(&self, scope: &Scope, integration: &Integration, covered: bool) -> AgeLimit {
        let now = self.clock.now();
        AgeLimit { now, longest: scope.longest_age(integration, covered, now) }
    }

    /// The same for a list and what is in it.
    pub(super) fn list_age_limit(&self, scope: &Scope, integration: &Integration, list: &List) -> AgeLimit {
        self.age_limit(scope, integration, self.covers_list(integration, list))
    }
}
