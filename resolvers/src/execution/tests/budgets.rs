//! A tenant whose executions take more of the processor or of the memory than it may is refused, and no other.

use std::{sync::Arc, time::Duration};

use mullion_schema::ports::{Role, ViewerView};
use parking_lot::Mutex;
use serde_json::json;

use super::stage::{operation, roomy};
use crate::{
    budget::{Budget, ExecutionBudgets},
    execution::{Caller, Executed, Executor, Limits, LiveLimits, Observe},
    reading::tests::bench::World,
};

/// Notes the budgets that were used up.
#[derive(Default)]
struct Noted(Mutex<Vec<Budget>>);

impl Observe for Noted {
    fn executed(&self, _: &'static str) {}

    fn looked_up(&self, _: &'static str) {}

    fn over_budget(&self, budget: Budget) {
        self.0.lock().push(budget);
    }
}

struct Bench {
    _world: World,
    executor: Arc<Executor>,
    noted: Arc<Noted>,
}

impl Bench {
    async fn new(budgets: ExecutionBudgets) -> Self {
        let (world, noted) = (World::new().await, Arc::new(Noted::default()));
        world.services.database.create_tenant(&"other".into(), "Other").await.unwrap();
        let live = LiveLimits { tenant: 1, all: 1 };
        let limits = Limits { live, budgets, ..roomy() };
        let executor = Executor::new(Arc::clone(&world.services), limits, Arc::clone(&noted) as _);
        Self { _world: world, executor, noted }
    }

    async fn ask(&self, tenant: &str, text: &str) -> Executed {
        let (caller, operation) = (caller(tenant), operation(text, json!({})));
        if text.starts_with("mutation") {
            return self.executor.mutation(&caller, operation).await;
        }
        self.executor.query(&caller, operation).await
    }
}

fn caller(tenant: &str) -> Caller {
    let viewer = ViewerView {
        id: tenant.into(),
        name: tenant.to_owned(),
        role: Role::Admin,
        tenant: tenant.into(),
        tenant_name: tenant.to_owned(),
    };
    Caller::without_key(Arc::new(viewer))
}

/// The code and the seconds to wait, where it was refused.
fn refusal(executed: &Executed) -> Option<(String, u64)> {
    let Executed::Refused(errors) = executed else { return None };
    let told = errors[0].extensions.as_ref().unwrap();
    let of = |name| told.get(name).cloned().unwrap().into_json().unwrap();
    Some((of("code").as_str().unwrap().to_owned(), of("retryAfter").as_u64().unwrap()))
}

const MUTATION: &str = r#"mutation { createDashboard(input: { name: "Wall" }) { dashboard { id } } }"#;

#[tokio::test]
async fn a_tenant_whose_answers_are_not_taken_is_refused_more_until_they_are() {
    let bench = Bench::new(ExecutionBudgets { held_bytes: 40, time: None }).await;
    // Its bytes are held, as a connection does that nobody reads.
    let unread = bench.ask("acme", "{ a: __typename }").await;
    assert_eq!(refusal(&unread), None);
    let more = bench.ask("acme", "{ a_name_as_long_as_it_takes_to_be_over_it: __typename }").await;
    assert_eq!(refusal(&more), Some(("RATE_LIMITED".to_owned(), 2)), "it would hold more than it may");
    let (again, foreign) =
        (bench.ask("acme", "{ a: __typename }").await, bench.ask("other", "{ a: __typename }").await);
    assert_eq!((refusal(&again), refusal(&foreign)), (None, None), "it is in memory · it is another tenant");
    let done = bench.ask("acme", MUTATION).await;
    assert_eq!(refusal(&done), None, "what a mutation did is told");
    assert!(refusal(&bench.ask("acme", MUTATION).await).is_some(), "and no other is begun");
    assert_eq!(*bench.noted.0.lock(), [Budget::HeldBytes, Budget::HeldBytes]);
    drop((unread, again, done));
    assert_eq!(refusal(&bench.ask("acme", "{ b: __typename }").await), None);
}

#[tokio::test]
async fn a_tenant_that_has_used_its_time_is_refused_what_is_not_in_memory_and_told_when_to_come_again() {
    let bench =
        Bench::new(ExecutionBudgets { time: Some(Duration::from_micros(10)), ..ExecutionBudgets::UNLIMITED }).await;
    assert_eq!(refusal(&bench.ask("acme", "{ a: __typename }").await), None);
    for text in ["{ b: __typename }", MUTATION] {
        let (code, wait) = refusal(&bench.ask("acme", text).await).unwrap();
        assert_eq!(code, "RATE_LIMITED", "{text}");
        assert!(wait >= 2, "{text}: {wait}");
    }
    assert_eq!(refusal(&bench.ask("acme", "{ a: __typename }").await), None, "it costs nothing");
    assert_eq!(refusal(&bench.ask("other", "{ b: __typename }").await), None);
    assert_eq!(*bench.noted.0.lock(), [Budget::Time, Budget::Time]);
}

#[tokio::test]
async fn what_a_live_operation_holds_counts_as_long_as_it_lives() {
    let bench = Bench::new(ExecutionBudgets { held_bytes: 30_000, ..ExecutionBudgets::UNLIMITED }).await;
    let (tenant, long) = ("acme".into(), "x".repeat(100_000));
    let filtered = "subscription ($f: ActivityFilter) { activity(filter: $f) { kind } }";
    let held = || bench.executor.budgets.bytes().held(&tenant);
    for (name, text, variables, fits) in [
        ("short", "subscription { activity { kind } }".to_owned(), json!({}), true),
        ("a comment", format!("# {long}\nsubscription {{ activity {{ kind }} }}"), json!({}), true),
        ("an undeclared variable", "subscription { activity { kind } }".to_owned(), json!({ "v": long }), true),
        ("a filter", filtered.to_owned(), json!({ "f": { "kinds": vec!["x".repeat(200); 100] } }), false),
        ("an alias", format!("subscription {{ {long}: activity {{ kind }} }}"), json!({}), false),
    ] {
        let begun = bench.executor.subscribe(&caller("acme"), operation(&text, variables), None).await;
        match begun {
            Ok(frames) => {
                assert!(fits && (1..30_000).contains(&held()), "{name}: {}", held());
                drop(frames);
            }
            Err(errors) => {
                assert_eq!(refusal(&Executed::Refused(errors)), Some(("RATE_LIMITED".to_owned(), 2)), "{name}");
                assert!(!fits, "{name}");
            }
        }
        assert_eq!(held(), 0, "{name}");
    }
    assert_eq!(*bench.noted.0.lock(), [Budget::HeldBytes, Budget::HeldBytes]);
}
