//! Each item once: a task is in several projects, and two integrations of one account show the same things.
//!
//! An item is the same where its host, its type and its native id are. It is shown as the integration that was connected first
//! sees it, of those through which it passes the filter.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use foldhash::fast::RandomState;
use mullion_schema::id::IntegrationId;
use url::Url;

use super::Gathered;

/// The API roots of the integrations that items were read through.
pub(super) type Hosts = HashMap<IntegrationId, Url>;

impl Gathered {
    /// Leaves one of each item, and takes the others off the total.
    pub(super) fn distinct(&mut self) {
        if !self.overlaps {
            return;
        }
        // Ids of integrations ascend with the time at which they were made.
        self.items.sort_by(|(_, a), (_, b)| a.key.integration.cmp(&b.key.integration));
        let read = self.items.len();
        let hosts = &self.hosts;
        let mut known: HashSet<(Option<&Url>, &'static str, Arc<str>), RandomState> = HashSet::default();
        self.items.retain(|(_, view)| {
            let key = &view.key;
            known.insert((hosts.get(&key.integration), key.type_name, Arc::clone(&key.native_id)))
        });
        let left_out = i64::try_from(read - self.items.len()).unwrap_or(i64::MAX);
        self.total = self.total.map(|total| total - left_out);
    }
}
