//! The response cache: serialized answers by permission set, document, operation name and variables, current while none of the
//! tags they were read from has a later epoch; and one execution for all who ask the same at the same time.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use mullion_schema::id::TenantId;
use parking_lot::Mutex;

use super::{Executed, Ran};
use crate::{
    cache::epochs::{Epochs, Head},
    tag::Tag,
};

/// How long an answer is kept at most: values age, and `freshness` should say so.
const KEPT: std::time::Duration = std::time::Duration::from_secs(30);

#[derive(Clone)]
struct Entry {
    noted: Head,
    tags: Arc<[Tag]>,
    answer: Bytes,
}

type Running = Shared<BoxFuture<'static, Arc<Ran>>>;

/// Answers in memory.
pub(super) struct ResponseCache {
    entries: moka::sync::Cache<Arc<str>, Entry>,
    running: Mutex<HashMap<Arc<str>, (Head, Running)>>,
}

impl ResponseCache {
    pub(super) fn new(bytes: u64) -> Self {
        let entries = moka::sync::Cache::builder()
            .weigher(|key: &Arc<str>, entry: &Entry| {
                let tags: usize = entry.tags.iter().map(|tag| tag.as_str().len() + 32).sum();
                u32::try_from(key.len() + entry.answer.len() + tags + 256).unwrap_or(u32::MAX)
            })
            .max_capacity(bytes)
            .time_to_live(KEPT)
            .build();
        Self { entries, running: Mutex::default() }
    }

    /// The answer, where it is cached and current.
    pub(super) fn get(&self, tenant: &TenantId, key: &str, epochs: &Epochs) -> Option<Bytes> {
        let entry = self.entries.get(key)?;
        epochs.is_current(tenant, entry.noted, entry.tags.iter()).then_some(entry.answer)
    }

    /// Runs an execution, or joins one that was begun at the present head: nothing changed since, so it gives the same.
    pub(super) async fn share(
        &self,
        tenant: &TenantId,
        key: Arc<str>,
        epochs: &Epochs,
        run: impl Future<Output = Ran> + Send + 'static,
    ) -> Executed {
        let head = epochs.head(tenant).unwrap_or(-1);
        let running = {
            let mut all = self.running.lock();
            if let Some((_, running)) = all.get(&key).filter(|(begun, _)| *begun == head) {
                running.clone()
            } else {
                let running: Running = run.map(Arc::new).boxed().shared();
                all.insert(Arc::clone(&key), (head, running.clone()));
                running
            }
        };
        let ran = running.clone().await;
        let mut all = self.running.lock();
        // Whoever began it may have gone away: the first to see the end puts it away.
        if all.get(&key).is_some_and(|(_, known)| known.ptr_eq(&running)) {
            all.remove(&key);
            drop(all);
            if let (Executed::Answer { bytes, .. }, true) = (&ran.answer, ran.reusable) {
                let tags = ran.tags.iter().cloned().collect();
                self.entries.insert(key, Entry { noted: ran.noted, tags, answer: bytes.clone() });
            }
        }
        ran.answer.clone()
    }
}
