//! Live operations over a store that fails: whichever of its calls fails, once or for a while, a client is told what it would have
//! been told without; and where it is told that something is wrong, it is told the rest when it comes again.

use std::{collections::BTreeMap, time::Duration};

use futures::StreamExt as _;
use mullion_schema::id::EventCursor;
use serde_json::{Value, json};

use super::stage::{ISSUE, Process, Stage, operation};
use crate::{
    live::{End, Frames, Item},
    provider::{
        NodeRef,
        change::{Change, NodeWrite, Version},
    },
    store::faults::Which,
};

/// The subscriptions that are tried.
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

/// A client that keeps its cursor, comes again when it is told to, and shows what it is told.
struct Client<'p> {
    process: &'p Process,
    subject: Subject,
    id: String,
    frames: Option<Frames>,
    cursor: Option<EventCursor>,
    /// The last state that it was told of each thing, which it shows.
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
                Ok(Item::Watermark(mark)) => {
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

impl Stage {
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

/// The acts of one case, which happen while a client watches.
struct Script<'p> {
    process: &'p Process,
    dashboard: &'p str,
    exactly: bool,
    /// In all titles, so that none is told from an earlier time.
    name: String,
}

impl Script<'_> {
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
        let stays = self.process.add_widget(self.dashboard, "stays").await;
        let goes = self.process.add_widget(self.dashboard, "goes").await;
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

/// Has so many calls fail, from each `step`-th on, until there is none left.
async fn whatever_fails(times: u64, step: usize, exactly: bool) {
    for subject in [Subject::Widget, Subject::Dashboard, Subject::Nodes, Subject::Activity] {
        let mut stage = Stage::new().await;
        stage.fill(ISSUE).await;
        for first in (1..).step_by(step) {
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
    whatever_fails(1, 1, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_told_the_same_whichever_calls_of_the_store_fail_for_a_while() {
    whatever_fails(3, 3, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_comes_to_show_what_is_true_after_the_store_failed_for_long() {
    whatever_fails(60, 7, false).await;
}
