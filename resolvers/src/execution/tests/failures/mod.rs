//! Every root, list and computed field of every provider, under every fault: what is answered is true, or marked as not, and is right
//! again when the fault is over.

mod compare;
mod documents;
mod health;
mod world;

use chrono::Duration as Span;
use serde_json::{Value, json};

use self::{
    compare::lies,
    documents::{Graph, Parts, examples},
    world::{Account, World},
};

/// How deep objects are followed: a repository, its issues, their authors.
const LEVELS: usize = 3;

/// The faults, each with what is asked of the stand-in.
fn faults() -> Vec<(&'static str, Value)> {
    let fault = |kind: &str| json!({ "kind": kind });
    let coded = |code: &str| json!({ "kind": "error", "code": code });
    vec![
        ("hang", fault("hang")),
        ("500", fault("server_error")),
        ("502", fault("bad_gateway")),
        ("403", fault("forbidden")),
        ("429", fault("rate_limit")),
        ("401", fault("unauthorized")),
        ("malformed body", fault("malformed")),
        ("no data", coded("SOMETHING_WENT_WRONG")),
        ("resource limits", coded("RESOURCE_LIMITS_EXCEEDED")),
        ("missing scope", coded("missing_scope")),
        ("402", coded("402")),
        ("409", coded("409")),
        ("an error of next year", coded("an_error_of_next_year")),
        ("further pages fail", json!({ "kind": "server_error", "furtherPages": true })),
    ]
}

/// A provider, and all that can be asked of it.
struct Table {
    world: World,
    /// The values of the root's fields.
    shallow: String,
    /// Everything.
    deep: String,
    /// The answer to `deep` when all is well.
    good: Value,
}

impl Table {
    async fn of(provider: &'static str) -> Self {
        let (world, graph) = (World::new(provider).await, Graph::read());
        let account = world.account().await;
        let examples = world.ask(&account, examples(provider)).await;
        assert!(examples.errors.is_empty(), "{examples:?}");
        let root = graph.root(provider);
        let select = |parts| graph.selection(&root, parts, &examples.data).unwrap();
        let (shallow, deep) = (select(Parts::All(1)), select(Parts::All(LEVELS)));
        let account = world.account().await;
        let good = world.ask(&account, &deep).await;
        assert!(good.errors.is_empty(), "{:?}", good.errors);
        for name in graph.asked(&root) {
            assert!(!good.data[&name].is_null(), "{name} has nothing to lose: {deep}");
        }
        Self { world, shallow, deep, good: good.data }
    }

    async fn fail(&self, fault: &Value) {
        let mut fault = fault.clone();
        fault["provider"] = self.world.provider.into();
        self.world.control("POST", fault).await;
    }

    /// Asks during a fault, and again after it.
    async fn check(&self, account: &Account, (name, when, fault): (&str, &str, &Value)) -> Vec<String> {
        self.fail(fault).await;
        let during = self.world.ask(account, &self.deep).await;
        self.world.heal().await;
        let mut found = lies(&self.good, &during, self.world.provider);
        let after = self.world.ask(account, &self.deep).await;
        if !after.errors.is_empty() {
            found.push(format!("after it: {:?}", after.errors.first()));
        }
        found.extend(lies(&self.good, &after, self.world.provider).into_iter().map(|lie| format!("after it: {lie}")));
        found.into_iter().map(|lie| format!("{} {name}, {when}: {lie}", self.world.provider)).collect()
    }

    /// All faults while nothing is known, while only the roots are, and while all is known and old.
    async fn lies(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, fault) in faults() {
            let account = self.world.account().await;
            found.extend(self.check(&account, (name, "nothing is known", &fault)).await);
            let account = self.world.account().await;
            self.world.ask(&account, &self.shallow).await;
            found.extend(self.check(&account, (name, "the roots are known", &fault)).await);
            self.world.store.clock.advance(Span::days(2));
            found.extend(self.check(&account, (name, "all is known and old", &fault)).await);
        }
        found
    }
}

async fn every_answer_is_true_or_marked(provider: &'static str) {
    let found = Table::of(provider).await.lies().await;
    assert!(found.is_empty(), "{} lies:\n{}", found.len(), found.join("\n"));
}

#[tokio::test]
async fn every_field_tells_of_every_fault_of_github() {
    every_answer_is_true_or_marked("github").await;
}

#[tokio::test]
async fn every_field_tells_of_every_fault_of_slack() {
    every_answer_is_true_or_marked("slack").await;
}

#[tokio::test]
async fn every_field_tells_of_every_fault_of_asana() {
    every_answer_is_true_or_marked("asana").await;
}

#[test]
fn every_provider_has_such_a_test() {
    let providers: Vec<&str> = crate::providers::all().keys().copied().collect();
    assert_eq!(providers, ["asana", "github", "slack"]);
}
