//! The cases begin with a process over a store that holds a dashboard and a repository, and with acts that change it.

use std::{sync::Arc, time::Duration};

use async_graphql::{Variables, parser::parse_query};
use mullion_schema::{
    id::{GlobalId, TenantId},
    ports::{Role, ViewerView},
};
use serde_json::{Value, json};

use crate::{
    budget::ExecutionBudgets,
    clock::Clock as _,
    execution::{Caller, Executed, Executor, Limits, LiveLimits, Observe, Operation, Parts},
    provider::{
        NodeRef,
        change::{Act, ActivityDraft, Change},
    },
    reading::tests::bench::{Services, World, all_of, issue, issues_of},
    store::{
        apply::{Batch, Source},
        tests::bench::saying,
    },
};

/// The codes of what failed here.
pub(super) const OURS: [&str; 2] = ["INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE"];
/// The issue that widgets show.
pub(super) const ISSUE: &str = "issue";

/// An empty dashboard, and a repository of which everything is known.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) dashboard: String,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let process = Process::over(World::new().await);
        let made = process
            .mutate(
                "mutation ($input: CreateDashboardInput!) { createDashboard(input: $input) { dashboard { id } } }",
                json!({ "name": "Wall" }),
            )
            .await;
        let dashboard = made["createDashboard"]["dashboard"]["id"].as_str().unwrap().to_owned();
        Self { world: process.world, dashboard }
    }

    /// Fills the repository with one issue, of which all lists are known to their end.
    pub(super) async fn fill(&self, id: &str) {
        let now = self.world.store.tick();
        let pages = [(None, true), (Some("OPEN"), true), (Some("CLOSED"), false)].map(|(state, holds)| {
            let filter = state.map(|state| ("states", vec![state.to_owned()])).into_iter().collect();
            all_of(issues_of("R1"), filter, holds.then(|| NodeRef::new("GithubIssue", id)).into_iter().collect())
        });
        self.world.fetched(vec![issue("R1", id, now, json!({ "title": "begin" }))], pages.to_vec()).await;
    }
}

pub(super) struct Unobserved;

impl Observe for Unobserved {
    fn executed(&self, _: &'static str) {}

    fn looked_up(&self, _: &'static str) {}
}

/// Room for all that a test does at the same time.
pub(super) fn roomy() -> Limits {
    Limits {
        response_bytes: 1 << 20,
        answer_bytes: 1 << 20,
        executions: 16,
        live: LiveLimits { tenant: 16, all: 16 },
        patience: Duration::from_mins(1),
        budgets: ExecutionBudgets::UNLIMITED,
    }
}

/// The parts of a process that an executor takes.
pub(super) fn parts_of(services: &Services) -> Parts {
    Parts {
        rooms: Arc::clone(&services.rooms),
        database: services.database.clone(),
        engine: Arc::clone(&services.engine),
        hub: Arc::clone(&services.hub),
        clock: Arc::clone(&services.clock),
        tasks: services.tasks.clone(),
    }
}

/// An executor with that room.
pub(super) fn executor_over(services: &Services) -> Arc<Executor> {
    Executor::new(parts_of(services), roomy(), Arc::new(Unobserved))
}

/// Somebody who may do everything for a tenant.
pub(super) fn admin_of(tenant: &TenantId) -> Caller {
    let viewer = ViewerView {
        id: "ann".into(),
        name: "Ann".into(),
        role: Role::Admin,
        tenant: tenant.clone(),
        tenant_name: "Acme".into(),
    };
    Caller::without_key(Arc::new(viewer))
}

/// One process over a store.
pub(super) struct Process {
    pub(super) world: World,
    pub(super) executor: Arc<Executor>,
    pub(super) caller: Caller,
}

impl Process {
    pub(super) fn over(world: World) -> Self {
        let executor = executor_over(&world.services);
        let caller = admin_of(&world.tenant);
        Self { world, executor, caller }
    }

    pub(super) fn global(&self, type_name: &str, id: &str) -> String {
        let integration = self.world.account.clone();
        GlobalId::Node { integration, type_name: type_name.into(), native_id: id.into() }.encode()
    }

    /// Runs a mutation until it succeeds. One that was carried out although it said that it failed finds nothing left to do.
    pub(super) async fn mutate(&self, text: &str, input: Value) -> Value {
        loop {
            let operation = operation(text, json!({ "input": input }));
            let Executed::Answer { bytes, .. } = self.executor.mutation(&self.caller, operation).await else {
                continue;
            };
            let mut answer: Value = serde_json::from_slice(&bytes).unwrap();
            let failed = answer["errors"][0]["extensions"]["code"].as_str().map(str::to_owned);
            match failed.as_deref() {
                None | Some("NOT_FOUND") => return answer["data"].take(),
                Some(code) => assert!(OURS.contains(&code), "{code}"),
            }
        }
    }

    /// A widget on the dashboard, over the issue.
    pub(super) async fn add_widget(&self, dashboard: &str, title: &str) -> String {
        let containers = [self.global("GithubRepository", "R1")];
        let source = json!({ "workItems": { "filter": { "containerIds": containers, "states": ["TODO"] } } });
        let text = "mutation ($input: AddWidgetInput!) { addWidget(input: $input) { widget { id } } }";
        let input = json!({ "dashboardId": dashboard, "title": title, "source": source });
        let made = self.mutate(text, input).await;
        made["addWidget"]["widget"]["id"].as_str().unwrap().to_owned()
    }

    /// Has a delivery applied, as its worker does: until it is.
    pub(super) async fn deliver(&self, change: Change) {
        loop {
            let mut batch = Batch::of_fetch(self.world.store.tick());
            batch.source = Source::Webhook;
            batch.changes = vec![change.clone()];
            let Ok(Some(integration)) =
                self.world.services.engine.directory().get(&self.world.tenant, &self.world.account).await
            else {
                continue;
            };
            if self.world.services.applier.apply(&integration, batch).await.is_ok() {
                return;
            }
        }
    }

    /// The issue has another title.
    pub(super) async fn retitle(&self, id: &str, title: &str) {
        let write = issue("R1", id, self.world.store.tick(), json!({ "title": title }));
        self.deliver(Change { writes: vec![write], ..Change::default() }).await;
    }

    /// The issue has another text.
    pub(super) async fn rewrite(&self, id: &str, text: &str) {
        let write = issue("R1", id, self.world.store.tick(), json!({ "bodyText": text }));
        self.world.told(Change { writes: vec![write], ..Change::default() }).await;
    }

    pub(super) async fn happen(&self, summary: &str) {
        let activity = ActivityDraft {
            kind: "push".to_owned(),
            actor: None,
            subject: None,
            details: saying(summary),
            unless: Vec::new(),
            act: Act::default(),
            occurred_at: self.world.store.clock.now(),
            containers: Vec::new(),
            key: Some(summary.to_owned()),
        };
        self.deliver(Change { activity: Some(activity), ..Change::default() }).await;
    }
}

pub(super) fn operation(text: &str, variables: Value) -> Operation {
    let document = Arc::new(parse_query(text).unwrap());
    Operation { text: text.into(), document, name: None, variables: Variables::from_json(variables) }
}
