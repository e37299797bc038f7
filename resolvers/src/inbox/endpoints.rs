//! Endpoints in memory: a delivery is let in without a read of the database. A change by this process counts at once, one by another
//! replica within a second; that is also how long a secret that was taken back there is still accepted here.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Duration, Utc};
use parking_lot::Mutex;

use crate::{
    clock::Clock,
    store::{Database, StoreError, endpoint::Endpoint},
};

/// How long what was read is believed.
const BELIEVED: Duration = Duration::seconds(1);

/// Endpoints by path.
pub(super) struct Endpoints {
    database: Database,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<String, Known>>,
}

struct Known {
    endpoint: Arc<Endpoint>,
    changes: u64,
    read_at: DateTime<Utc>,
}

impl Endpoints {
    pub(super) fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock, known: Mutex::default() }
    }

    /// The endpoint at a path. Unknown paths are looked up each time: whoever guesses fills no memory.
    pub(super) async fn at(&self, provider: &str, path: &str) -> Result<Option<Arc<Endpoint>>, StoreError> {
        // Before the read, so that a change meanwhile is not missed.
        let (changes, read_at) = (self.database.endpoint_changes(), self.clock.now());
        if let Some(known) = self.known.lock().get(path)
            && known.endpoint.provider == provider
            && known.changes == changes
            && (Duration::zero()..BELIEVED).contains(&(read_at - known.read_at))
        {
            return Ok(Some(Arc::clone(&known.endpoint)));
        }
        let endpoint = self.database.endpoint_at(provider, path).await?.map(Arc::new);
        let mut known = self.known.lock();
        match &endpoint {
            Some(endpoint) => {
                known.insert(path.to_owned(), Known { endpoint: Arc::clone(endpoint), changes, read_at });
            }
            // A guess at another provider takes nothing away.
            None if known.get(path).is_some_and(|known| known.endpoint.provider == provider) => {
                known.remove(path);
            }
            None => {}
        }
        Ok(endpoint)
    }
}
