//! Equal queries at the same time are one execution, shared between those who may see the same, and leave nothing behind.

#![expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_graphql::{Variables, parser::parse_query};
use futures::{FutureExt as _, future::join_all, poll};
use mullion_schema::{
    error::PortError,
    ports::{Role, ViewerView},
};
use serde_json::Value;

use super::stage::roomy;
use crate::{
    cache::single_flight::Part,
    execution::{Caller, Executed, Executor, Limits, LiveLimits, Observe, Operation, Ran, response_cache::Begun},
    reading::tests::bench::World,
    store::dashboard::DashboardDraft,
};

const DASHBOARDS: &str = "{ dashboards(first: 50) { nodes { name } } }";

/// Counts executions of queries.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Observe for Counter {
    fn executed(&self, kind: &'static str) {
        self.0.fetch_add(usize::from(kind == "query"), Ordering::SeqCst);
    }

    fn looked_up(&self, _: &'static str) {}
}

struct Bench {
    world: World,
    executor: Arc<Executor>,
    counter: Arc<Counter>,
}

impl Bench {
    async fn new(executions: usize) -> Self {
        let (world, counter) = (World::new().await, Arc::new(Counter::default()));
        let live = LiveLimits { tenant: 1, all: 1 };
        let limits = Limits { executions, live, ..roomy() };
        let executor = Executor::new(Arc::clone(&world.services), limits, Arc::clone(&counter) as _);
        Self { world, executor, counter }
    }

    fn caller(&self, id: &str, role: Role) -> Caller {
        let (tenant, tenant_name) = (self.world.tenant.clone(), "Acme".to_owned());
        Caller::without_key(Arc::new(ViewerView { id: id.into(), name: id.to_owned(), role, tenant, tenant_name }))
    }

    async fn query(&self, caller: &Caller, text: &str) -> Result<Value, String> {
        said(self.executor.query(caller, operation(text)).await)
    }

    async fn create_dashboard(&self, name: &str) {
        let text = format!("mutation {{ createDashboard(input: {{ name: \"{name}\" }}) {{ dashboard {{ id }} }} }}");
        said(self.executor.mutation(&self.caller("ann", Role::Admin), operation(&text)).await).unwrap();
    }

    /// Another process's change, which this one is told of.
    async fn create_dashboard_elsewhere(&self, slug: &str) {
        let (slug, name) = (slug.to_owned(), slug.to_owned());
        let draft = DashboardDraft { slug, name, description: None, columns: 12 };
        let made = self.world.store.db.create_dashboard(&self.world.tenant, draft).await.unwrap();
        self.world.services.applier.announce(&self.world.tenant, &[made.change]).await;
    }

    /// How many executions there were since this was asked before.
    fn executed(&self) -> usize {
        self.counter.0.swap(0, Ordering::SeqCst)
    }

    /// Ends when nothing is being executed any more.
    async fn idle(&self) {
        self.world.services.tasks.close();
        self.world.services.tasks.wait().await;
    }
}

fn operation(text: &str) -> Operation {
    let document = Arc::new(parse_query(text).unwrap());
    Operation { text: text.into(), document, name: None, variables: Variables::default() }
}

fn said(executed: Executed) -> Result<Value, String> {
    match executed {
        Executed::Answer { bytes, .. } => Ok(serde_json::from_slice::<Value>(&bytes).unwrap()["data"].take()),
        Executed::Refused(errors) => Err(format!("{errors:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_equal_queries_at_once_are_one_execution_the_first_after_a_start_too() {
    let bench = Arc::new(Bench::new(16).await);
    for round in 0..20 {
        let text = format!("query Round{round} {DASHBOARDS}");
        let all = (0..50).map(|number| {
            let (bench, text) = (Arc::clone(&bench), text.clone());
            tokio::spawn(async move { bench.query(&bench.caller(&format!("key-{number}"), Role::Viewer), &text).await })
        });
        for answer in join_all(all).await {
            assert!(answer.unwrap().is_ok());
        }
        assert_eq!(bench.executed(), 1, "round {round}");
    }
}

#[tokio::test]
async fn an_execution_is_shared_only_by_callers_who_may_see_the_same() {
    let bench = Bench::new(16).await;
    let personal = "{ viewer { name } }";
    for (text, executions) in [(DASHBOARDS, 2), (personal, 3)] {
        let callers = [("ann", Role::Viewer), ("bob", Role::Viewer), ("eve", Role::Admin)];
        let callers = callers.map(|(id, role)| bench.caller(id, role));
        let answers = join_all(callers.iter().map(|caller| bench.query(caller, text))).await;
        assert_eq!(bench.executed(), executions, "{text}");
        if text == personal {
            let names =
                answers.into_iter().map(|answer| answer.unwrap()["viewer"]["name"].as_str().unwrap().to_owned());
            assert_eq!(names.collect::<Vec<_>>(), ["ann", "bob", "eve"]);
        }
    }
}

#[tokio::test]
async fn an_execution_that_began_before_a_change_is_not_joined_after_it() {
    let bench = Bench::new(16).await;
    let caller = bench.caller("ann", Role::Viewer);
    let empty = bench.query(&caller, "{ dashboards(first: 5) { nodes { name } } }").await.unwrap();
    assert_eq!(empty["dashboards"]["nodes"].as_array().unwrap().len(), 0);
    // One that began, and goes on for as long as this holds its lead.
    let (operation, epochs) = (operation(DASHBOARDS), bench.world.services.engine.epochs());
    let key: Arc<str> = format!("{}\n{}", caller.permission_set(&operation.document), operation.key()).into();
    let begun = Begun::default();
    let Part::Lead(slow) = bench.executor.responses.enter(&bench.world.tenant, (key, begun.clone()), epochs) else {
        panic!("nobody has asked it before")
    };
    begun.begin(&bench.world.tenant, epochs);
    let mut before = bench.query(&caller, DASHBOARDS).boxed();
    assert!(poll!(&mut before).is_pending());
    bench.create_dashboard("Wall").await;
    bench.executed();
    let after = bench.query(&caller, DASHBOARDS).await.unwrap();
    assert_eq!(after["dashboards"]["nodes"][0]["name"], "Wall", "its maker sees it");
    assert_eq!(bench.executed(), 1);
    slow.finish(Arc::new(Ran::refused(PortError::not_found("it"))));
    assert!(before.await.is_err(), "it shares the one that it joined");
}

#[tokio::test]
async fn an_execution_that_waits_for_its_turn_is_joined_whatever_changed_and_shows_it() {
    let bench = Bench::new(1).await;
    let caller = bench.caller("ann", Role::Viewer);
    bench.query(&caller, "{ viewer { name } }").await.unwrap();
    bench.executed();
    let busy = bench.executor.turns.take(&bench.world.tenant).await;
    let mut all = Vec::new();
    for position in 0..50 {
        let mut one = bench.query(&caller, DASHBOARDS).boxed();
        assert!(poll!(&mut one).is_pending());
        all.push(one);
        bench.create_dashboard_elsewhere(&format!("wall-{position}")).await;
    }
    drop(busy);
    for answer in join_all(all).await {
        assert_eq!(answer.unwrap()["dashboards"]["nodes"].as_array().unwrap().len(), 50);
    }
    assert_eq!(bench.executed(), 1);
}

#[tokio::test]
async fn an_execution_goes_on_when_its_callers_hang_up_and_its_answer_is_kept() {
    let bench = Bench::new(1).await;
    let caller = bench.caller("ann", Role::Viewer);
    bench.world.services.engine.head(&bench.world.tenant).await.unwrap();
    let busy = bench.executor.turns.take(&bench.world.tenant).await;
    let mut gone = vec![bench.query(&caller, DASHBOARDS).boxed(), bench.query(&caller, DASHBOARDS).boxed()];
    for one in &mut gone {
        assert!(poll!(one).is_pending());
    }
    tokio::task::yield_now().await;
    drop(gone);
    drop(busy);
    bench.idle().await;
    assert!(bench.query(&caller, DASHBOARDS).await.is_ok());
    assert_eq!(bench.executed(), 1);
}

#[tokio::test]
async fn ten_thousand_distinct_requests_whose_clients_hang_up_leave_nothing_behind() {
    let bench = Bench::new(1).await;
    let caller = bench.caller("ann", Role::Viewer);
    bench.query(&caller, DASHBOARDS).await.unwrap();
    for number in 0..10_000 {
        let text = format!("query Of{number} {DASHBOARDS}");
        assert!(poll!(bench.query(&caller, &text).boxed()).is_pending());
    }
    assert_eq!(bench.executor.responses.running(), 10_000);
    bench.idle().await;
    assert_eq!(bench.executor.responses.running(), 0);
}
