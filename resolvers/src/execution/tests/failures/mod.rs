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
    world::{Account, Answer, World},
};

/// How deep objects are followed: a repository, its issues, their authors.
const LEVELS: usize = 3;

/// How often a good answer is asked for: on a busy machine a good call may be late, too.
const TRIES: usize = 5;

/// The faults, each with what is asked of the stand-in.
fn faults(provider: &str) -> Vec<(String, Value)> {
    let kinds = ["hang", "server_error", "bad_gateway", "forbidden", "rate_limit", "unauthorized", "malformed"];
    let mut faults: Vec<(String, Value)> =
        kinds.iter().map(|kind| ((*kind).to_owned(), json!({ "kind": kind }))).collect();
    let codes: &[&str] = match provider {
        "github" => &["SOMETHING_WENT_WRONG", "RESOURCE_LIMITS_EXCEEDED", "FORBIDDEN", "A_TYPE_OF_NEXT_YEAR"],
        "slack" => &["missing_scope", "org_login_required", "an_error_of_next_year"],
        _ => &["402", "409", "418"],
    };
    faults.extend(codes.iter().map(|code| ((*code).to_owned(), json!({ "kind": "error", "code": code }))));
    faults.push(("further pages fail".into(), json!({ "kind": "server_error", "furtherPages": true })));
    faults
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
        let examples = well(&world, &account, examples(provider)).await;
        assert!(examples.errors.is_empty(), "{examples:?}");
        let root = graph.root(provider);
        let select = |parts| graph.selection(&root, parts, &examples.data).unwrap();
        let (shallow, deep) = (select(Parts::All(1)), select(Parts::All(LEVELS)));
        let account = world.account().await;
        let good = well(&world, &account, &deep).await;
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
        let mut found = lies(&self.good, &during, self.world.provider);
        let after = well(&self.world, account, &self.deep).await;
        if !after.errors.is_empty() {
            found.push(format!("after it: {:?}", after.errors.first()));
        }
        found.extend(lies(&self.good, &after, self.world.provider).into_iter().map(|lie| format!("after it: {lie}")));
        found.into_iter().map(|lie| format!("{} {name}, {when}: {lie}", self.world.provider)).collect()
    }

    /// All faults while nothing is known, while only the roots are, and while all is known and old.
    async fn lies(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, fault) in faults(self.world.provider) {
            let name = name.as_str();
            let account = self.world.account().await;
            found.extend(self.check(&account, (name, "nothing is known", &fault)).await);
            let account = self.world.account().await;
            well(&self.world, &account, &self.shallow).await;
            found.extend(self.check(&account, (name, "the roots are known", &fault)).await);
            self.world.store.clock.advance(Span::days(2));
            found.extend(self.check(&account, (name, "all is known and old", &fault)).await);
        }
        found
    }
}

/// Asks while nothing fails.
async fn well(world: &World, account: &Account, selection: &str) -> Answer {
    world.heal().await;
    let mut answer = world.ask(account, selection).await;
    for _ in 1..TRIES {
        if answer.errors.is_empty() {
            break;
        }
        world.heal().await;
        answer = world.ask(account, selection).await;
    }
    answer
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
