//! How old a value may be to be shown as it is.

use chrono::{DateTime, Duration, Utc};

use super::{Engine, integrations::Integration, scope::Scope};
use crate::store::node::StoredNode;

/// How old stored nodes may be at one moment: to be asked of many of them.
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
}

impl Engine {
    /// How old what is stored of an integration may be for an execution at this moment.
    pub(super) fn age_limit(&self, scope: &Scope, integration: &Integration) -> AgeLimit {
        let now = self.clock.now();
        AgeLimit { now, longest: scope.longest_age(integration, now) }
    }
}
