//! Those who may come to want a fetch: executions that have begun and not read anything yet, and reads that look into the store. A batch
//! waits for those of them that were there before it, however slow, and for none that came later.

use std::{
    collections::{BTreeSet, HashMap},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::future::poll_fn;
use mullion_schema::id::{IntegrationId, TenantId};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::reading::scope::Scope;

/// How long a batch waits for more wants whoever is there. Small beside any provider's answer, long enough for the fields of one
/// document and for documents that arrive together.
const WINDOW: Duration = Duration::from_millis(2);

/// How long a batch waits at most. Only the store keeps those who read, and without it nothing that is fetched can be kept either:
/// this is for what nobody thought of.
const LONGEST: Duration = Duration::from_secs(3);

/// Those who have begun and are not done yet.
#[derive(Default)]
pub(crate) struct Readers {
    arriving: Mutex<HashMap<TenantId, Arc<TicketQueue>>>,
    reading: Mutex<HashMap<IntegrationId, Arc<TicketQueue>>>,
}

/// Some of them, by numbers in the order in which they began.
#[derive(Default)]
struct TicketQueue(watch::Sender<Begun>);

#[derive(Default)]
struct Begun {
    next: u64,
    /// The numbers of those who are not done.
    numbers: BTreeSet<u64>,
}

/// A read that may come to want a fetch. To be dropped as soon as it waits for a fetch, or is done; what goes on with the same read
/// holds a clone.
#[derive(Clone)]
pub(crate) struct Reading {
    _ticket: Arc<Ticket>,
}

/// An execution that has begun and not read anything yet.
pub(crate) struct Arriving {
    _ticket: Ticket,
}

/// The number of one who has begun; given back when it is done.
struct Ticket {
    queue: Arc<TicketQueue>,
    number: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.0.send_if_modified(|begun| {
            let was_first = begun.numbers.first() == Some(&self.number);
            begun.numbers.remove(&self.number);
            was_first
        });
    }
}

impl TicketQueue {
    fn enter(self: &Arc<Self>) -> Ticket {
        let mut number = 0;
        self.0.send_if_modified(|begun| {
            number = begun.next;
            begun.next += 1;
            begun.numbers.insert(number);
            false
        });
        Ticket { queue: Arc::clone(self), number }
    }

    /// Waits until those who have begun by now are done.
    async fn done(&self) {
        let next = self.0.borrow().next;
        let are_done = |begun: &Begun| begun.numbers.first().is_none_or(|first| *first >= next);
        // The sender lives in self: the wait cannot fail.
        let _ = self.0.subscribe().wait_for(are_done).await;
    }
}

impl Readers {
    /// Announces a read of an integration.
    pub(in crate::reading) fn reading(&self, integration: &IntegrationId) -> Reading {
        Reading { _ticket: Arc::new(self.readers_of(integration).enter()) }
    }

    /// Announces an execution of a tenant.
    pub(in crate::reading) fn arriving(&self, tenant: &TenantId) -> Arriving {
        Arriving { _ticket: self.arrivals_of(tenant).enter() }
    }

    fn readers_of(&self, integration: &IntegrationId) -> Arc<TicketQueue> {
        Arc::clone(self.reading.lock().entry(integration.clone()).or_default())
    }

    fn arrivals_of(&self, tenant: &TenantId) -> Arc<TicketQueue> {
        Arc::clone(self.arriving.lock().entry(tenant.clone()).or_default())
    }

    /// Waits for those who may come to want more of an integration, and not for ever.
    pub(super) async fn gather(&self, tenant: &TenantId, integration: &IntegrationId) {
        sleep(WINDOW).await;
        // A timeout is as good: whoever is later goes into the next batch.
        let _ = timeout(LONGEST, self.gathered(tenant, integration)).await;
    }

    /// Waits for all who are there at this moment.
    async fn gathered(&self, tenant: &TenantId, integration: &IntegrationId) {
        self.arrivals_of(tenant).done().await;
        // Those who arrived are among the readers now.
        self.readers_of(integration).done().await;
    }
}

impl Arriving {
    /// Runs the execution. It has arrived when it begins to read, with all that it begins to read in the same breath.
    pub(crate) async fn run<T>(self, scope: &Scope, execution: impl Future<Output = T>) -> T {
        let mut arriving = Some(self);
        let mut execution = pin!(execution);
        poll_fn(|context| {
            let polled = execution.as_mut().poll(context);
            if scope.has_read() {
                arriving = None;
            }
            polled
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, poll_fn},
        pin::{Pin, pin},
        task::Poll,
    };

    use futures::{FutureExt as _, future::BoxFuture, poll};
    use mullion_schema::id::{IntegrationId, TenantId};

    use super::{Arriving, Readers, Reading};
    use crate::reading::scope::Scope;

    #[derive(Default)]
    struct Bench {
        readers: Readers,
    }

    impl Bench {
        fn tenant() -> TenantId {
            "acme".into()
        }

        fn integration() -> IntegrationId {
            "hub".into()
        }

        fn arrive(&self) -> Arriving {
            Arriving { _ticket: self.readers.arrivals_of(&Self::tenant()).enter() }
        }

        fn read(&self) -> Reading {
            self.readers.reading(&Self::integration())
        }

        fn batch(&self) -> BoxFuture<'_, ()> {
            async { self.readers.gathered(&Self::tenant(), &Self::integration()).await }.boxed()
        }

        /// An execution that arrives after so many polls, reads for as many more, and then waits for what it fetches, for ever.
        async fn execution(&self, (arriving, reading): (u32, u32)) {
            let scope = Scope::new(Self::tenant(), chrono::DateTime::UNIX_EPOCH, None);
            let execution = async {
                polls(arriving).await;
                scope.note_read();
                let looking = self.read();
                polls(reading).await;
                drop(looking);
                pending::<()>().await;
            };
            self.arrive().run(&scope, execution).await;
        }
    }

    async fn polls(count: u32) {
        let mut left = count;
        poll_fn(|_| match left.checked_sub(1) {
            None => Poll::Ready(()),
            Some(less) => {
                left = less;
                Poll::Pending
            }
        })
        .await;
    }

    async fn is_waiting(batch: &mut (impl Future<Output = ()> + Unpin)) -> bool {
        poll!(Pin::new(batch)).is_pending()
    }

    #[tokio::test]
    async fn fifty_that_were_there_go_as_one_however_long_they_look_into_the_store() {
        let bench = Bench::default();
        let turns: Vec<(u32, u32)> = (0..50).map(|n| (n % 7, 5_000 - n * 100)).collect();
        let longest = turns.iter().map(|(arriving, reading)| arriving + reading).max().unwrap_or_default();
        let mut executions: Vec<_> = turns.into_iter().map(|turn| bench.execution(turn).boxed()).collect();
        let mut batch = bench.batch();
        for round in 0..=longest {
            for execution in &mut executions {
                assert!(is_waiting(execution).await);
            }
            assert_eq!(is_waiting(&mut batch).await, round < longest, "round {round} of {longest}");
        }
    }

    #[tokio::test]
    async fn those_who_come_later_do_not_hold_a_batch_however_many_they_are() {
        let bench = Bench::default();
        let own = (bench.arrive(), bench.read());
        let mut batch = bench.batch();
        assert!(is_waiting(&mut batch).await);
        let mut later = Vec::new();
        for _ in 0..30 {
            later.push(bench.arrive());
            assert!(is_waiting(&mut batch).await, "its own are still there");
        }
        let (arriving, reading) = own;
        drop(arriving);
        assert!(is_waiting(&mut batch).await, "one of its own reads");
        let reads: Vec<_> = (0..30).map(|_| bench.read()).collect();
        drop(reading);
        assert!(!is_waiting(&mut batch).await);
        let mut next = bench.batch();
        assert!(is_waiting(&mut next).await, "the next one waits for them");
        drop((later, reads));
        assert!(!is_waiting(&mut next).await);
    }

    #[tokio::test]
    async fn who_goes_on_with_a_read_keeps_its_ticket() {
        let bench = Bench::default();
        let first = bench.read();
        let mut batch = bench.batch();
        assert!(is_waiting(&mut batch).await);
        let second = first.clone();
        drop(first);
        assert!(is_waiting(&mut batch).await);
        drop(second);
        assert!(!is_waiting(&mut batch).await);
    }

    #[tokio::test]
    async fn other_tenants_and_other_integrations_are_not_waited_for() {
        let bench = Bench::default();
        let foreign = Arriving { _ticket: bench.readers.arrivals_of(&"other".into()).enter() };
        let elsewhere = bench.readers.reading(&"elsewhere".into());
        assert!(!is_waiting(&mut bench.batch()).await);
        drop((foreign, elsewhere));
    }

    #[tokio::test]
    async fn an_execution_that_reads_nothing_arrives_with_its_end() {
        let bench = Bench::default();
        let scope = Scope::new(Bench::tenant(), chrono::DateTime::UNIX_EPOCH, None);
        let mut execution = pin!(bench.arrive().run(&scope, polls(2)));
        assert!(is_waiting(&mut execution).await);
        let mut batch = bench.batch();
        assert!(is_waiting(&mut batch).await);
        assert!(is_waiting(&mut execution).await && !is_waiting(&mut execution).await);
        assert!(!is_waiting(&mut batch).await);
    }
}
