//! Integrations as the engine uses them: the provider's adapter, and the connection to call it through.

use std::sync::{Arc, atomic::AtomicBool};

use chrono::{DateTime, Duration, Utc};
use mullion_schema::{
    id::{IntegrationId, TenantId},
    ports::List,
};
use parking_lot::Mutex;

use crate::{
    provider::{Keeping, Provider},
    upstream::Connection,
};

/// While a delivery is not older than this, webhooks count as alive and cached values as current.
const WEBHOOKS_ALIVE: Duration = Duration::hours(1);
/// How long values are trusted while webhooks are alive: until an event says otherwise, but not for ever.
const TRUST_LIVE: Duration = Duration::hours(6);
/// How long values are trusted while webhooks are silent.
const TRUST_SILENT: Duration = Duration::minutes(5);

/// One integration, ready for use. Made anew when its row changes.
#[derive(Debug)]
pub struct Integration {
    /// The tenant.
    pub tenant: TenantId,
    /// Its id.
    pub id: IntegrationId,
    /// The adapter.
    pub provider: Arc<dyn Provider>,
    /// The way to the provider.
    pub connection: Connection,
    /// The user that its token acts as, where known: `Type:nativeId`.
    pub user: Option<String>,
    /// Whether the provider refused the token when it was last used.
    pub refused: AtomicBool,
    /// When a webhook last came in.
    pub last_delivery_at: Mutex<Option<DateTime<Utc>>>,
}

impl Integration {
    /// How old a value may be and still be served without asking the provider.
    pub fn trust(&self, now: DateTime<Utc>) -> Duration {
        if self.webhooks_alive(now) { TRUST_LIVE } else { TRUST_SILENT }
    }

    /// How the provider has a list of it kept.
    pub fn keeping(&self, list: &List) -> Keeping {
        let parent = list.parent.as_ref().map(|(type_name, _)| *type_name);
        let known = self.provider.descriptor().lists.iter();
        let mut known = known.filter(|known| known.name == list.name && known.parent == parent);
        known.next().map_or(Keeping::Opaque, |known| known.keeping)
    }

    /// Whether a webhook came in recently.
    pub fn webhooks_alive(&self, now: DateTime<Utc>) -> bool {
        self.last_delivery_at.lock().is_some_and(|at| now - at < WEBHOOKS_ALIVE)
    }
}
