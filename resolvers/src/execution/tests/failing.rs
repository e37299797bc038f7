//! Live operations over a store that fails: whichever of its calls fails, once or for a while, a client is told what it would have
//! been told without; and where it is told that something is wrong, it is told the rest when it comes again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_graphql::{Variables, parser::parse_query};
use futures::StreamExt as _;
use mullion_schema::{
    id::{EventCursor, GlobalId},
    ports::{Role, ViewerView},
};
use serde_json::{Value, json};

use super::woken::Unseen;
use crate::{
    change::{ActivityDraft, Change, NodeRef, NodeWrite, Version},
    clock::Clock as _,
    engine::tests::bench::{World, all_of, issue, issues_of},
    execution::{Caller, Executed, Executor, Limits, Operation},
    live::{End, Frames, Item},
    store::{
        apply::{Batch, Source},
        faults::Which,
    },
};

/// What is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Subject {
    Widget,
    Dashboard,
    Nodes,
    Activity,
}

impl Subject {
    fn document(self) -> &'static str {
        match self {
            Self::Widget => {
                "subscription ($id: ID!) { widgetUpdated(id: $id, throttleMs: 0) { reason widgetId widget {
                    title state ... on WorkItemsWidget { items(first: 9) { nodes { title } } } } } }"
            }
            Self::Dashboard => {
                "subscription ($id: ID!) { dashboardUpdated(id: $id, throttleMs: 0) { reason widgetId widget {
                    title state ... on WorkItemsWidget { items(first: 9) { nodes { title } } } } } }"
            }
            Self::Nodes => {
                "subscription ($id: ID!) { nodeChanged(ids: [$id]) { deleted node { ... on GithubIssue { title } } } }"
            }
            Self::Activity => "subscription { activity { summary } }",
        }
    }
}

/// One process over a store.
struct Process {
    world: World,
    executor: Arc<Executor>,
    caller: Caller,
}

impl Process {
    fn over(world: World) -> Self {
        let limits = Limits { response_bytes: 1 << 20, executions: 16, patience: Duration::from_mins(1) };
        let executor = Executor::new(Arc::clone(&world.services), limits, Arc::new(Unseen));
        let viewer = ViewerView {
            id: "ann".into(),
            name: "Ann".into(),
            role: Role::Admin,
            tenant: world.tenant.clone(),
            tenant_name: "Acme".into(),
        };
        Self { world, executor, caller: Caller { viewer: Arc::new(viewer) } }
    }

    fn global(&self, type_name: &str, id: &str) -> String {
        let integration = self.world.account.clone();
        GlobalId::Node { integration, type_name: type_name.into(), native_id: id.into() }.encode()
    }

    /// Runs a mutation until it succeeds. One that was carried out although it said that it failed finds nothing left to do.
    async fn mutate(&self, text: &str, input: Value) -> Value {
        loop {
            let operation = operation(text, json!({ "input": input }));
            let Executed::Answer { bytes, .. } = self.executor.mutation(&self.caller, operation).await else {
                continue;
            };
            let mut answer: Value = serde_json::from_slice(&bytes).unwrap();
            let failed = answer["errors"][0]["extensions"]["code"].as_str().map(str::to_owned);
            match failed.as_deref() {
                None | Some("NOT_FOUND") => return answer["data"].take(),
                Some(code) => assert_eq!(code, "INTERNAL_SERVER_ERROR"),
            }
        }
    }

    /// Has a delivery applied, as its worker does: until it is.
    async fn deliver(&self, change: Change) {
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
    async fn retitle(&self, id: &str, title: &str) {
        let write = issue("R1", id, self.world.store.tick(), json!({ "title": title }));
        self.deliver(Change { writes: vec![write], ..Change::default() }).await;
    }

    async fn happen(&self, summary: &str) {
        let activity = ActivityDraft {
            kind: "push".to_owned(),
            actor: None,
            subject: None,
            summary: summary.to_owned(),
            occurred_at: self.world.store.clock.now(),
            containers: Vec::new(),
            key: Some(summary.to_owned()),
        };
        self.deliver(Change { activity: Some(activity), ..Change::default() }).await;
    }
}

fn operation(text: &str, variables: Value) -> Operation {
    let document = Arc::new(parse_query(text).unwrap());
    Operation { text: text.into(), document, name: None, variables: Variables::from_json(variables) }
}

/// A client that keeps its cursor, comes again when it is told to, and shows what it is told.
struct Client<'p> {
    process: &'p Process,
    subject: Subject,
    id: String,
    frames: Option<Frames>,
    cursor: Option<EventCursor>,
    /// What it shows: the last of each thing; of activities all.
    shows: BTreeMap<String, String>,
    activities: Vec<String>,
    /// How often it was told that something cannot be read.
    told_of_failures: usize,
}

impl<'p> Client<'p> {
    fn new(process: &'p Process, subject: Subject, id: String) -> Self {
        Self {
            process,
            subject,
            id,
            frames: None,
            cursor: None,
            shows: BTreeMap::new(),
            activities: Vec::new(),
            told_of_failures: 0,
        }
    }

    /// Subscribes until it is let in; `None`: there is no such thing any more.
    async fn connect(&mut self) -> Option<&mut Frames> {
        while self.frames.is_none() {
            let operation = operation(self.subject.document(), json!({ "id": self.id }));
            let after = self.cursor.as_ref().map(|cursor| cursor.as_str().to_owned());
            match self.process.executor.subscribe(&self.process.caller, operation, after).await {
                Ok(frames) => self.frames = Some(frames),
                Err(errors) if format!("{errors:?}").contains("NOT_FOUND") => {
                    self.shows.clear();
                    return None;
                }
                Err(_) => {}
            }
        }
        self.frames.as_mut()
    }

    /// The next thing that it is told; `mark`: nothing, up to a position. `None`: that was all.
    async fn next(&mut self) -> Option<String> {
        loop {
            match self.connect().await?.next().await? {
                Ok(Item::Mark(mark)) => {
                    self.cursor = Some(mark.cursor);
                    return Some("mark".to_owned());
                }
                Ok(Item::Frame(frame)) => {
                    self.cursor = Some(frame.cursor);
                    match self.show(&serde_json::from_slice(&frame.payload).unwrap()) {
                        Some(line) => return Some(line),
                        None => self.told_of_failures += 1,
                    }
                }
                Err(End::Unavailable) => {
                    self.told_of_failures += 1;
                    self.frames = None;
                }
                Err(End::Completed) => return None,
                Err(End::CursorExpired) => panic!("the cursor has not expired"),
            }
        }
    }

    /// Shows what an answer tells; `None`: it says that something could not be read.
    fn show(&mut self, answer: &Value) -> Option<String> {
        if answer.get("errors").is_some() {
            return None;
        }
        let data = answer["data"].as_object().unwrap().values().next().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match self.subject {
            Subject::Activity => {
                self.activities.push(text(&data["summary"]));
                Some(text(&data["summary"]))
            }
            Subject::Nodes => {
                let shown = if data["deleted"] == true { "gone".to_owned() } else { text(&data["node"]["title"]) };
                self.shows.insert("node".to_owned(), shown.clone());
                Some(shown)
            }
            Subject::Widget | Subject::Dashboard => {
                let (widget, reason) = (&data["widget"], text(&data["reason"]));
                if matches!(widget["state"].as_str(), Some("FAILED" | "STALE")) {
                    return None;
                }
                match reason.as_str() {
                    "SNAPSHOT_END" => return Some(reason),
                    "REMOVED" => drop(self.shows.remove(&text(&data["widgetId"]))),
                    _ => {
                        let titles = widget["items"]["nodes"].as_array().unwrap();
                        let titles: Vec<String> = titles.iter().map(|issue| text(&issue["title"])).collect();
                        self.shows.insert(text(&data["widgetId"]), titles.join(" "));
                    }
                }
                let shown = self.shows.get(&text(&data["widgetId"])).cloned().unwrap_or_default();
                Some(format!("{reason} {} {shown}", text(&widget["title"])).trim().to_owned())
            }
        }
    }

    /// Waits until it was told exactly this, in whatever order; marks come whenever they come.
    async fn expect(&mut self, lines: &[&str]) {
        let mut left: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let all = async {
            while !left.is_empty() {
                let line = self.next().await.expect("it ended");
                match left.iter().position(|expected| *expected == line) {
                    Some(at) => drop(left.swap_remove(at)),
                    None => assert_eq!(line, "mark", "it was told what it should not be; {left:?} is missing"),
                }
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(20), all).await;
        told.unwrap_or_else(|_| panic!("{left:?} did not come"));
    }

    /// Waits until it shows this, in whatever way it comes to it.
    async fn come_to_show(&mut self, expected: &[String]) {
        let shown = async {
            loop {
                let shows = match self.subject {
                    Subject::Activity => self.activities.clone(),
                    _ => self.shows.values().cloned().collect(),
                };
                if shows == expected {
                    return;
                }
                self.next().await.expect("it ended");
            }
        };
        let shown = tokio::time::timeout(Duration::from_secs(20), shown).await;
        shown.unwrap_or_else(|_| panic!("{:?} {:?}, not {expected:?}", self.shows, self.activities));
    }
}

/// An empty dashboard, and a repository of which everything is known.
struct Stage {
    world: World,
    dashboard: String,
}

impl Stage {
    async fn new() -> Self {
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
}

/// The issue that widgets show.
const ISSUE: &str = "issue";

impl Stage {
    /// Fills the repository with one issue, of which all lists are known to their end.
    async fn fill(&self, id: &str) {
        let now = self.world.store.tick();
        let pages = [(None, true), (Some("OPEN"), true), (Some("CLOSED"), false)].map(|(state, holds)| {
            let filter = state.map(|state| ("states", vec![state.to_owned()])).into_iter().collect();
            all_of(issues_of("R1"), filter, holds.then(|| NodeRef::new("GithubIssue", id)).into_iter().collect())
        });
        self.world.fetched(vec![issue("R1", id, now, json!({ "title": "begin" }))], pages.to_vec()).await;
    }

    /// Plays a subscription from its beginning to its end, in a process that has nothing in memory, while the store fails. How many
    /// calls failed; where that is few, the client must be told exactly what it is told without.
    async fn play(self, subject: Subject, (first, times): (u64, u64), exactly: bool) -> (Self, u64) {
        let Self { world, dashboard } = self;
        let process = Process::over(world.restarted());
        let store = &process.world.store.db;
        let stage = Script { process: &process, dashboard: &dashboard, exactly, name: format!("{first}x{times}") };
        let faulty = || store.faults().fail(Which::Nth(first), times);
        match subject {
            Subject::Widget | Subject::Dashboard => stage.widgets(subject, faulty).await,
            Subject::Nodes => stage.nodes(faulty).await,
            Subject::Activity => stage.activities(faulty).await,
        }
        let failed = store.faults().stop();
        (Self { world: process.world, dashboard }, failed)
    }
}

/// What happens while a client watches.
struct Script<'p> {
    process: &'p Process,
    dashboard: &'p str,
    exactly: bool,
    /// In all titles, so that none is told from an earlier time.
    name: String,
}

impl Script<'_> {
    /// A widget on the dashboard, over the issue.
    async fn add_widget(&self, title: &str) -> String {
        let containers = [self.process.global("GithubRepository", "R1")];
        let source = json!({ "workItems": { "filter": { "containerIds": containers, "states": ["TODO"] } } });
        let text = "mutation ($input: AddWidgetInput!) { addWidget(input: $input) { widget { id } } }";
        let input = json!({ "dashboardId": self.dashboard, "title": title, "source": source });
        let made = self.process.mutate(text, input).await;
        made["addWidget"]["widget"]["id"].as_str().unwrap().to_owned()
    }

    async fn remove_widget(&self, id: &str) {
        self.process.mutate("mutation ($input: ID!) { removeWidget(id: $input) { __typename } }", json!(id)).await;
    }

    /// Waits for what the client is to be told, or for what it then is to show.
    async fn check(&self, client: &mut Client<'_>, told: &[&str], shown: &[&str]) {
        if self.exactly {
            client.expect(told).await;
        }
        let shown: Vec<String> = shown.iter().map(|text| (*text).to_owned()).collect();
        client.come_to_show(&shown).await;
        if self.exactly {
            assert_eq!(client.told_of_failures, 0, "{}", self.name);
        }
    }

    async fn widgets(&self, subject: Subject, faulty: impl Fn()) {
        let stays = self.add_widget("stays").await;
        let goes = self.add_widget("goes").await;
        let title = |step: u32| format!("{}-{step}", self.name);
        self.process.retitle(ISSUE, &title(0)).await;
        let both = subject == Subject::Dashboard;
        let id = if both { self.dashboard.to_owned() } else { goes.clone() };
        let mut client = Client::new(self.process, subject, id);
        faulty();
        for (step, reason) in [(0, "SNAPSHOT"), (1, "CHANGED"), (2, "SNAPSHOT")] {
            let title = title(step);
            if step > 0 {
                self.process.retitle(ISSUE, &title).await;
            }
            let of = |widget: &str| format!("{reason} {widget} {title}");
            let mut told = vec![of("goes")];
            told.extend(both.then(|| of("stays")));
            told.extend((reason == "SNAPSHOT").then(|| "SNAPSHOT_END".to_owned()));
            let told: Vec<&str> = told.iter().map(String::as_str).collect();
            self.check(&mut client, &told, &vec![title.as_str(); if both { 2 } else { 1 }]).await;
            if step == 1 {
                client.frames = None;
            }
        }
        self.remove_widget(&goes).await;
        if both {
            self.check(&mut client, &["REMOVED"], &[&title(2)]).await;
            assert_eq!(client.shows.keys().next().map(String::as_str), Some(&*stays));
        } else {
            self.goes(&mut client).await;
        }
        self.process.world.store.db.faults().stop();
        self.remove_widget(&stays).await;
    }

    /// The widget that is watched goes: so the client is told, and then nothing more; or it is told so when it comes again.
    async fn goes(&self, client: &mut Client<'_>) {
        if self.exactly {
            client.expect(&["REMOVED"]).await;
        }
        let gone = async {
            while !client.shows.is_empty() {
                if client.next().await.is_none() {
                    assert!(client.shows.is_empty(), "it ended without a word");
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.expect("it is still shown");
    }

    async fn nodes(&self, faulty: impl Fn()) {
        let id = format!("issue {}", self.name);
        self.process.retitle(&id, "begin").await;
        let mut client = Client::new(self.process, Subject::Nodes, self.process.global("GithubIssue", &id));
        faulty();
        // Where it begins, everything from then on is told.
        assert_eq!(client.next().await.as_deref(), Some("mark"));
        for step in 1..=2 {
            let title = format!("{}-{step}", self.name);
            self.process.retitle(&id, &title).await;
            self.check(&mut client, &[&title], &[&title]).await;
            if step == 1 {
                client.frames = None;
            }
        }
        let at = Version::at(self.process.world.store.tick());
        let gone = NodeWrite::tombstone(NodeRef::new("GithubIssue", id.as_str()), at);
        self.process.deliver(Change { writes: vec![gone], ..Change::default() }).await;
        self.check(&mut client, &["gone"], &["gone"]).await;
    }

    async fn activities(&self, faulty: impl Fn()) {
        let mut client = Client::new(self.process, Subject::Activity, String::new());
        faulty();
        assert_eq!(client.next().await.as_deref(), Some("mark"));
        let mut all = Vec::new();
        for step in 0..5 {
            let summary = format!("{}-{step}", self.name);
            self.process.happen(&summary).await;
            all.push(summary);
            // In the middle it is away, and comes back to two of them.
            match step {
                1 => client.frames = None,
                2 => continue,
                _ => {}
            }
            let shown: Vec<&str> = all.iter().map(String::as_str).collect();
            self.check(&mut client, &[], &shown).await;
        }
    }
}

/// Has each call fail in turn, until there is none left.
async fn whatever_fails(times: u64, exactly: bool) {
    for subject in [Subject::Widget, Subject::Dashboard, Subject::Nodes, Subject::Activity] {
        let mut stage = Stage::new().await;
        stage.fill(ISSUE).await;
        for first in 1.. {
            let failed;
            (stage, failed) = stage.play(subject, (first, times), exactly).await;
            if failed == 0 {
                assert!(first > 5, "{subject:?}: only {first} calls");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_told_the_same_whichever_call_of_the_store_fails_once() {
    whatever_fails(1, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_told_the_same_whichever_calls_of_the_store_fail_for_a_while() {
    whatever_fails(3, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_comes_to_show_what_is_true_after_the_store_failed_for_long() {
    whatever_fails(60, false).await;
}

/// A query over the rows of our own, and what is made of nodes.
const QUERY: &str = r#"query ($dashboard: ID!, $repository: ID!, $issue: ID!) {
    dashboards(first: 5) { nodes { name } }
    dashboard(id: $dashboard) { name widgets { title state problems { code } ... on WorkItemsWidget { items(first: 5) { nodes { title } } } } }
    bySlug: dashboard(slug: "wall") { name }
    node(id: $issue) { ... on GithubIssue { title } }
    integrations(first: 5) { nodes { name } }
    workItems(filter: { containerIds: [$repository] }, first: 5) { nodes { title } problems { code } }
    activity(first: 5) { nodes { summary } }
    webhookDeliveries(first: 5) { nodes { event } }
    eventCursor
}"#;

/// Whether what differs says of itself that it is not what it should be: by an error at its path, or by its state.
fn differs_only_where_it_says_so(answer: &Value, expected: &Value) -> Result<(), String> {
    let errors = answer["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (field, expected) in expected["data"].as_object().unwrap() {
        let got = &answer["data"][field];
        let nothing = answer["data"].is_null() && !errors.is_empty();
        let told = nothing || errors.iter().any(|error| error["path"][0] == *field);
        let marked = ["FAILED", "STALE", "\"INTERNAL_SERVER_ERROR\""].iter().any(|mark| got.to_string().contains(mark));
        if got != expected && !told && !marked {
            return Err(format!("{field} is {got}, not {expected}, without a word: {errors:?}"));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_read_fails_a_query_answers_what_is_true_or_says_that_it_does_not() {
    let stage = Stage::new().await;
    stage.fill(ISSUE).await;
    let (mut world, dashboard) = (stage.world, stage.dashboard);
    let mut expected = None;
    for first in 0.. {
        let process = Process::over(world.restarted());
        let script = Script { process: &process, dashboard: &dashboard, exactly: true, name: "query".to_owned() };
        if first == 0 {
            script.add_widget("stays").await;
            process.happen("something").await;
        }
        let (repository, issue) = (process.global("GithubRepository", "R1"), process.global("GithubIssue", ISSUE));
        let variables = json!({ "dashboard": dashboard, "repository": repository, "issue": issue });
        let ask = async || match process.executor.query(&process.caller, operation(QUERY, variables.clone())).await {
            Executed::Answer { bytes, .. } => serde_json::from_slice::<Value>(&bytes).unwrap(),
            Executed::Refused(errors) => json!({ "errors": [{ "message": format!("{errors:?}"), "path": null }] }),
        };
        if expected.is_none() {
            expected = Some(ask().await);
        }
        let expected = expected.as_ref().unwrap();
        assert!(expected.get("errors").is_none() && expected.to_string().contains("begin"), "{expected}");
        let faults = process.world.store.db.faults();
        faults.fail(Which::Nth(first.max(1)), 1);
        let answer = ask().await;
        let failed = faults.stop();
        differs_only_where_it_says_so(&answer, expected).unwrap_or_else(|why| panic!("call {first}: {why}"));
        assert_eq!(ask().await, *expected, "what failed with call {first} was kept");
        world = process.world;
        if failed == 0 && first > 0 {
            assert!(first > 10, "only {first} calls");
            break;
        }
    }
}
