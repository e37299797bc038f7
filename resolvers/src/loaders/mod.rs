//! The one wrapping of the `dataloader` crate: batches the keys that one execution wants in one tick.
//!
//! The crate holds its lock while a batch runs and panics on a key without a value. Here the batch function only starts the
//! work, in a task of its own, and hands out shared futures: waves run side by side, an aborted caller loses nobody's keys,
//! and a missing key is `None`. The limit of a batch is the batch function's business, not the loader's.

use std::{collections::HashMap, fmt::Debug, hash::Hash, sync::Arc};

use dataloader::{BatchFn, non_cached::Loader};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Polls of the executor to wait for more keys: enough for siblings of one selection set, too few to be felt.
const YIELDS: usize = 4;

type Batch<K, V> = Shared<oneshot::Receiver<Arc<HashMap<K, V>>>>;
type Run<K, V> = Arc<dyn Fn(Vec<K>) -> BoxFuture<'static, HashMap<K, V>> + Send + Sync>;

struct Start<K, V> {
    run: Run<K, V>,
    tasks: TaskTracker,
}

impl<K, V> BatchFn<K, Batch<K, V>> for Start<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    #[expect(refining_impl_trait, reason = "the crate forgets to ask for Send; callers on many threads need it")]
    fn load(&mut self, keys: &[K]) -> impl Future<Output = HashMap<K, Batch<K, V>>> + Send {
        let (done, batch) = oneshot::channel();
        let batch = batch.shared();
        let work = (self.run)(keys.to_vec());
        let run = async move {
            // Nobody waits any more when every caller was aborted; the work was worth doing for the caches.
            let _ = done.send(Arc::new(work.await));
        };
        self.tasks.spawn(run.in_current_span());
        std::future::ready(keys.iter().map(|key| (key.clone(), batch.clone())).collect())
    }
}

/// Batches keys of one kind for one execution.
pub struct Batcher<K, V>
where
    K: Clone + Debug + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    loader: Loader<K, Batch<K, V>, Start<K, V>>,
}

impl<K, V> Batcher<K, V>
where
    K: Clone + Debug + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A batcher over `run`, whose batches are spawned in `tasks`.
    pub fn new(
        tasks: TaskTracker,
        run: impl Fn(Vec<K>) -> BoxFuture<'static, HashMap<K, V>> + Send + Sync + 'static,
    ) -> Self {
        let start = Start { run: Arc::new(run), tasks };
        Self { loader: Loader::new(start).with_max_batch_size(usize::MAX).with_yield_count(YIELDS) }
    }

    /// The value of a key; `None` when the batch function gave none.
    pub async fn load(&self, key: K) -> Option<V> {
        let batch = self.loader.try_load(key.clone()).await.ok()?;
        batch.await.ok()?.get(&key).cloned()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures::{FutureExt as _, future::join_all};
    use tokio_util::task::TaskTracker;

    use super::Batcher;

    fn doubling(batches: &Arc<AtomicUsize>) -> Batcher<u32, u32> {
        let batches = Arc::clone(batches);
        Batcher::new(TaskTracker::new(), move |keys: Vec<u32>| {
            batches.fetch_add(1, Ordering::SeqCst);
            async move { keys.into_iter().filter(|key| *key != 13).map(|key| (key, key * 2)).collect() }.boxed()
        })
    }

    #[tokio::test]
    async fn keys_of_one_tick_share_a_batch_and_a_missing_key_is_none() {
        let runs = Arc::new(AtomicUsize::new(0));
        let batcher = doubling(&runs);
        let values = join_all((10..15).map(|key| batcher.load(key))).await;
        assert_eq!(values, [Some(20), Some(22), Some(24), None, Some(28)]);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_later_wave_does_not_wait_for_an_earlier_one() {
        let gate = Arc::new(tokio::sync::Notify::new());
        let batcher = {
            let gate = Arc::clone(&gate);
            Arc::new(Batcher::new(TaskTracker::new(), move |keys: Vec<u32>| {
                let gate = Arc::clone(&gate);
                async move {
                    if keys.contains(&1) {
                        gate.notified().await;
                    }
                    keys.into_iter().map(|key| (key, key)).collect()
                }
                .boxed()
            }))
        };
        let first = tokio::spawn({
            let batcher = Arc::clone(&batcher);
            async move { batcher.load(1).await }
        });
        tokio::task::yield_now().await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(batcher.load(2).await, Some(2));
        gate.notify_one();
        assert_eq!(first.await.unwrap(), Some(1));
    }
}
