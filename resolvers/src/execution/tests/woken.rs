//! Many live operations that one change wakes read the store no more often than one of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_graphql::{Variables, parser::parse_query};
use chrono::{DateTime, Duration as Span, Utc};
use futures::StreamExt as _;
use mullion_schema::id::GlobalId;
use serde_json::{Value, json};

use super::stage::{admin_of, executor_over};
use crate::{
    clock::Clock as _,
    execution::{Caller, Executed, Executor, Operation},
    live::{Frames, Item},
    provider::{
        NodeRef,
        change::{Change, NodeWrite, Version},
    },
    reading::tests::bench::{World, all_of, issue, issues_of},
};

/// A dashboard of widgets over two repositories' issues.
struct Wall {
    world: World,
    executor: Arc<Executor>,
    caller: Caller,
    dashboard: String,
    widgets: Vec<String>,
    changes: AtomicI64,
}

const ISSUES: usize = 10;

impl Wall {
    async fn new() -> Self {
        let world = World::new().await;
        let executor = executor_over(&world.services);
        let caller = admin_of(&world.tenant);
        let mut wall =
            Self { world, executor, caller, dashboard: String::new(), widgets: Vec::new(), changes: AtomicI64::new(1) };
        wall.fill().await;
        let made = wall
            .answer("mutation { createDashboard(input: { name: \"Wall\" }) { dashboard { id } } }", json!({}))
            .await;
        made["createDashboard"]["dashboard"]["id"].as_str().unwrap().clone_into(&mut wall.dashboard);
        for (title, states) in [
            ("Open", json!(["TODO", "IN_PROGRESS"])),
            ("Some", json!(["TODO", "DONE"])),
            ("All", Value::Null),
            ("Waiting", json!(["TODO"])),
        ] {
            let widget = wall.add_widget(title, states).await;
            wall.widgets.push(widget);
        }
        wall
    }

    async fn fill(&self) {
        let now = self.world.store.clock.now();
        for repository in ["R1", "R2"] {
            let names = (0..ISSUES).map(|number| format!("{repository}-{number:02}"));
            let names: Vec<String> = names.collect();
            let at = |number: usize| now - Span::minutes(100 + i64::try_from(number).unwrap());
            let writes = names.iter().enumerate().map(|(number, name)| issue(repository, name, at(number), json!({})));
            let nodes: Vec<_> = names.iter().map(|name| NodeRef::new("GithubIssue", name.as_str())).collect();
            let pages = [None, Some("OPEN"), Some("CLOSED")].map(|state| {
                let filter = state.map(|state| ("states", vec![state.to_owned()])).into_iter().collect();
                all_of(issues_of(repository), filter, if state == Some("CLOSED") { Vec::new() } else { nodes.clone() })
            });
            self.world.fetched(writes.collect(), pages.to_vec()).await;
        }
    }

    async fn add_widget(&self, title: &str, states: Value) -> String {
        let container = |id: &str| {
            let integration = self.world.account.clone();
            GlobalId::Node { integration, type_name: "GithubRepository".into(), native_id: id.into() }.encode()
        };
        let source = json!({ "workItems": { "filter": { "containerIds": [container("R1"), container("R2")], "states": states } } });
        let input = json!({ "dashboardId": self.dashboard, "title": title, "source": source });
        let made = self
            .answer(
                "mutation ($input: AddWidgetInput!) { addWidget(input: $input) { widget { id } } }",
                json!({ "input": input }),
            )
            .await;
        made["addWidget"]["widget"]["id"].as_str().unwrap().to_owned()
    }

    fn operation(text: &str, variables: Value) -> Operation {
        let document = Arc::new(parse_query(text).unwrap());
        Operation { text: text.into(), document, name: None, variables: Variables::from_json(variables) }
    }

    async fn answer(&self, text: &str, variables: Value) -> Value {
        match self.executor.mutation(&self.caller, Self::operation(text, variables)).await {
            Executed::Answer { bytes, .. } => {
                let mut answer: Value = serde_json::from_slice(&bytes).unwrap();
                assert!(answer.get("errors").is_none(), "{answer}");
                answer["data"].take()
            }
            Executed::Refused(errors) => panic!("{errors:?}"),
        }
    }

    /// The subscriptions that show a change: root field and id of each.
    fn subjects(&self, what: What) -> Vec<(&'static str, &str)> {
        let widgets = self.widgets.iter().map(|widget| ("widgetUpdated", widget.as_str()));
        let dashboard = ("dashboardUpdated", self.dashboard.as_str());
        match what {
            What::Widget => widgets.take(1).collect(),
            What::Dashboard => vec![dashboard],
            What::Issue | What::Elsewhere | What::Person => widgets.chain([dashboard]).collect(),
        }
    }

    /// Operations of which no two are the same.
    async fn watch(&self, count: usize, subjects: &[(&'static str, &str)]) -> Vec<Frames> {
        const ITEMS: &str = "... on WorkItemsWidget {
            items(first: $first) { totalCount nodes { title assignees { displayName } } } countsByState { count }
        }";
        let mut all = Vec::new();
        for (number, (field, id)) in subjects.iter().cycle().take(count).enumerate() {
            let text = format!(
                "subscription ($id: ID!, $first: Int!) {{
                    {field}(id: $id, throttleMs: 0) {{ reason widget {{ title {ITEMS} }} }}
                }}"
            );
            let operation = Self::operation(&text, json!({ "id": id, "first": 1 + number }));
            let mut frames = self.executor.subscribe(&self.caller, operation, None).await.unwrap();
            next(&mut frames, "SNAPSHOT_END").await;
            all.push(frames);
        }
        assert_eq!(self.world.services.hub.operations(), count, "no two of them are the same");
        all
    }

    /// Something changes to a text that is not shown yet; gives the text.
    async fn change(&self, what: What) -> String {
        let number = self.changes.fetch_add(1, Ordering::Relaxed);
        let text = format!("Changed {number}.");
        let at = self.world.store.clock.now() - Span::minutes(90 - number);
        let writes = match what {
            What::Widget => {
                let input = json!({ "id": self.widgets[0], "title": text });
                let document =
                    "mutation ($input: UpdateWidgetInput!) { updateWidget(input: $input) { widget { id } } }";
                self.answer(document, json!({ "input": input })).await;
                return text;
            }
            What::Dashboard => {
                self.add_widget(&text, json!(["TODO"])).await;
                return text;
            }
            What::Issue | What::Elsewhere => {
                vec![issue("R1", "R1-00", at, json!({ "title": text, "assignees": [ANN] }))]
            }
            What::Person => vec![user(at, &text)],
        };
        let change = Change { writes, ..Change::default() };
        if what == What::Issue {
            self.world.told(change).await;
        } else {
            self.world.told_elsewhere(change).await;
        }
        text
    }

    /// How many statements read the store until all have been told of a change.
    async fn reads_of(&self, what: What, all: &mut [Frames]) -> u64 {
        let before = self.world.reads();
        let text = self.change(what).await;
        for frames in all {
            next(frames, &text).await;
        }
        self.world.reads() - before
    }
}

/// The thing that changes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    /// An issue, as a delivery to this process tells.
    Issue,
    /// The same, by another process.
    Elsewhere,
    /// A person whom an issue is assigned to, by another process.
    Person,
    /// The first widget itself.
    Widget,
    /// The dashboard: there is one more.
    Dashboard,
}

const ANN: &str = "GithubUser:ann";

fn user(at: DateTime<Utc>, name: &str) -> NodeWrite {
    let kind = mullion_schema::providers::node_type("GithubUser").unwrap();
    let mut known: BTreeMap<String, Value> = kind.keys().into_iter().map(|key| (key.to_owned(), Value::Null)).collect();
    known.extend([("login".to_owned(), json!("ann")), ("name".to_owned(), json!(name))]);
    let version = Version { at: at.timestamp_micros(), rank: 0 };
    NodeWrite::core(NodeRef::new("GithubUser", "ann"), version, known.into_iter().collect())
}

/// The next answer that tells of something; or none, where it tells of nothing like it in time.
async fn next(frames: &mut Frames, of: &str) {
    let told = async {
        while let Some(item) = frames.next().await {
            if let Ok(Item::Frame(frame)) = item
                && String::from_utf8_lossy(&frame.payload).contains(of)
            {
                return;
            }
        }
        panic!("it ended");
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect(of);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn operations_that_one_change_wakes_share_what_it_makes_them_read() {
    for what in [What::Issue, What::Elsewhere, What::Person, What::Widget, What::Dashboard] {
        let wall = Wall::new().await;
        wall.change(What::Issue).await;
        wall.change(What::Person).await;
        let subjects = wall.subjects(what);
        let mut reads = Vec::new();
        for count in [subjects.len(), 100] {
            let mut all = wall.watch(count, &subjects).await;
            wall.reads_of(what, &mut all).await;
            let (one, other) = (wall.reads_of(what, &mut all).await, wall.reads_of(what, &mut all).await);
            reads.push(one.max(other));
        }
        // One may begin to read before the change is told to all of them.
        assert!(reads[1] <= reads[0] + 4, "{what:?}: {reads:?}");
    }
}
