//! The adapter against the sandbox: its documents are accepted, and webhooks tell the same as reads, so that a webhook never
//! makes anything be fetched again.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use mullion_schema::{ports::Filter, view::Body};
use parking_lot::Mutex;
use serde_json::Value;

use super::{
    super::{keys, names},
    reads::{lookup, node, page},
};
use crate::{
    clock::FixedClock,
    provider::{
        EndpointSecrets, FetchWant, Fetched, NodeRef, Provider as _, Reception, StoredDelivery, WebhookRequest,
        change::{Interpretation, NodeWrite, Version},
    },
    providers::github::{Github, sandbox::GithubSandbox},
    sandbox::{OutgoingWebhook, Sandbox as _},
    upstream::{Connection, QuotaReading, Transport, UpstreamError, UpstreamRequest, UpstreamResponse},
};

/// Calls the sandbox without a socket.
struct InProcess {
    sandbox: Arc<GithubSandbox>,
    clock: FixedClock,
    calls: Mutex<Vec<String>>,
}

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let path = request.url[url::Position::BeforePath..].strip_prefix("/github").expect("the mount").to_owned();
        self.calls.lock().push(format!("{} {path}", request.method));
        let mut call = http::Request::builder().method(request.method).uri(path).header("authorization", "Bearer t");
        for (name, value) in &request.headers {
            call = call.header(name, value);
        }
        let call = call.body(request.body.map_or_else(Bytes::new, |(_, body)| body)).expect("a request");
        let now = crate::clock::Clock::now(&self.clock);
        let (head, body) = self.sandbox.call(now, call).await.response.into_parts();
        Ok(UpstreamResponse { status: head.status, headers: head.headers, body })
    }

    fn quota(&self, quota: QuotaReading) {
        assert!(quota.remaining.is_some(), "{quota:?}");
    }
}

struct World {
    sandbox: Arc<GithubSandbox>,
    clock: FixedClock,
    transport: Arc<InProcess>,
    api: Connection,
    github: Github,
}

fn base() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
}

fn world() -> World {
    let sandbox = Arc::new(GithubSandbox::seeded(1, base(), "http://127.0.0.1:4001/github".into()));
    let clock = FixedClock::at(base());
    let transport = Arc::new(InProcess { sandbox: sandbox.clone(), clock: clock.clone(), calls: Mutex::default() });
    let api = Connection {
        tenant: "t1".into(),
        integration: "i1".into(),
        base_url: "http://127.0.0.1:4001/github".parse().expect("a URL"),
        scopes: Arc::new([]),
        facts: Arc::default(),
        clock: Arc::new(clock.clone()),
        transport: transport.clone(),
    };
    World { sandbox, clock, transport, api, github: Github::default() }
}

impl World {
    async fn fetch(&self, wants: Vec<FetchWant>) -> Vec<Fetched> {
        let fetched = self.github.fetch(&self.api, wants).await;
        fetched.into_iter().map(|outcome| outcome.expect("fetched")).collect()
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.transport.calls.lock())
    }

    /// Receives and interprets a webhook as the gateway would.
    fn deliver(&self, webhook: &OutgoingWebhook) -> (String, Interpretation) {
        let received_at = crate::clock::Clock::now(&self.clock);
        let request = WebhookRequest { headers: webhook.headers.clone(), body: webhook.body.clone(), received_at };
        let secrets = EndpointSecrets { secrets: vec!["s".into()], handshake_pending: false };
        let Reception::Delivery(delivery) = self.github.receive(&request, &secrets) else { panic!("{request:?}") };
        let stored = StoredDelivery {
            event: delivery.event.clone(),
            headers: webhook.headers.clone(),
            document: delivery.document,
            received_at,
        };
        (delivery.event, self.github.interpret(&stored))
    }
}

#[tokio::test]
async fn the_seeded_dashboard_is_two_graphql_calls_and_one_rest_call_for_each_builds_repository() {
    let world = world();
    let demo = world.github.demo_of(1, base());
    assert_eq!((demo.work_items.len(), demo.pull_requests.len(), demo.builds.len()), (2, 4, 2));
    let list = |repository: &NodeRef, name, filter: &[(&'static str, &str)]| {
        FetchWant::Page(page(Some((names::REPOSITORY, &repository.native_id)), name, filter))
    };
    let mut wants: Vec<FetchWant> = Vec::new();
    wants.extend(demo.work_items.iter().map(|it| list(it, "issues", &[("states", "OPEN")])));
    wants.extend(demo.pull_requests.iter().map(|it| list(it, "pullRequests", &[("states", "OPEN")])));
    wants.extend(demo.builds.iter().map(|it| list(it, "workflowRuns", &[("branch", "main")])));
    let fetched = world.fetch(wants).await;
    let mut calls = world.calls();
    calls.sort();
    assert_eq!(
        calls,
        [
            "GET /repos/acme/api/actions/runs?per_page=100&branch=main",
            "GET /repos/acme/web/actions/runs?per_page=100&branch=main",
            "POST /graphql",
        ]
    );
    for fetched in &fetched {
        assert!(!fetched.pages[0].items.is_empty());
    }
    // All that a card shows of a pull request is there: author, reviewers, checks, and the people themselves.
    let written: BTreeSet<String> = fetched[2].writes.iter().map(|write| write.node.to_string()).collect();
    for write in fetched[2].writes.iter().filter(|write| write.node.type_name == names::PULL_REQUEST) {
        let keys: BTreeSet<&str> =
            write.aspects.iter().flat_map(|aspect| aspect.fields.keys().map(String::as_str)).collect();
        for key in keys::keys(names::PULL_REQUEST) {
            assert!(keys.contains(key.name), "{} lacks {}", write.node, key.name);
        }
        let author = write.aspects[0].fields["author"].as_str().expect("an author");
        assert!(written.contains(author), "{author}");
    }
}

#[tokio::test]
async fn a_look_up_with_a_list_is_one_call_and_pages_lead_to_the_end() {
    let world = world();
    let wanted = lookup(
        "repository",
        names::REPOSITORY,
        &[("owner", "Acme"), ("name", "WEB")],
        vec![("pullRequests", Filter::new())],
    );
    let fetched = world.fetch(vec![wanted]).await.remove(0);
    assert_eq!(world.calls(), ["POST /graphql"]);
    let first = &fetched.pages[0];
    let (mut seen, total, mut next) = (first.items.len(), first.total.expect("a total"), first.next.clone());
    assert_eq!(seen, 100);
    while let Some(cursor) = next {
        let want = FetchWant::Page(crate::provider::PageWant { cursor: Some(cursor), ..first.want.clone() });
        let page = world.fetch(vec![want]).await.remove(0).pages.remove(0);
        seen += page.items.len();
        next = page.next;
    }
    assert_eq!(i64::try_from(seen), Ok(total));
    let missing = lookup("repository", names::REPOSITORY, &[("owner", "acme"), ("name", "nothing")], vec![]);
    assert_eq!(world.fetch(vec![missing]).await[0].found, None);
}

/// The runs that are read again after a gap: those that widgets show.
#[tokio::test]
async fn many_runs_of_a_repository_take_as_many_calls_as_the_pages_that_bring_them() {
    let world = world();
    let demo = world.github.demo_of(1, base());
    let mut runs: Vec<Vec<NodeRef>> = Vec::new();
    for repository in &demo.builds {
        let list = page(Some((names::REPOSITORY, &repository.native_id)), "workflowRuns", &[]);
        runs.push(world.fetch(vec![FetchWant::Page(list)]).await.remove(0).pages.remove(0).items);
    }
    let keys: Vec<&'static str> = keys::keys(names::WORKFLOW_RUN).map(|key| key.name).collect();
    let wants =
        |nodes: &[NodeRef]| nodes.iter().map(|run| node(run.type_name, &run.native_id, &keys)).collect::<Vec<_>>();
    let shown = [&runs[0][..25], &runs[1][..25]].concat();
    world.calls();
    let fetched = world.fetch(wants(&shown)).await;
    let mut calls = world.calls();
    calls.sort();
    assert_eq!(
        calls,
        [
            "GET /repos/acme/api/actions/runs?per_page=100",
            "GET /repos/acme/web/actions/runs?per_page=100",
            "POST /graphql"
        ]
    );
    for (run, fetched) in shown.iter().zip(&fetched) {
        assert_eq!(fetched.found.as_ref(), Some(run));
        let written = fetched.writes.last().expect("the run");
        assert_eq!((&written.node, written.aspects[0].fields.contains_key("conclusion")), (run, true));
    }
    let few = world.fetch(wants(&shown[..2])).await;
    assert!(few.iter().all(|fetched| fetched.found.is_some()));
    assert_eq!(world.calls().len(), 3, "these are read one by one");
}

#[tokio::test]
async fn every_list_and_look_up_is_answered() {
    let world = world();
    let mut web = world
        .fetch(vec![lookup(
            "repository",
            names::REPOSITORY,
            &[("owner", "acme"), ("name", "web")],
            vec![
                ("issues", Filter::new()),
                ("pullRequests", Filter::new()),
                ("releases", Filter::new()),
                ("workflowRuns", Filter::new()),
            ],
        )])
        .await;
    let web = web.remove(0);
    let item = |list: &str| web.pages.iter().find(|page| page.want.list.name == list).expect("a page").items[0].clone();
    let (issue, pull, release, run) = (item("issues"), item("pullRequests"), item("releases"), item("workflowRuns"));
    let repository = web.found.expect("a repository");
    let every = |of: &NodeRef| {
        let asks: Vec<&'static str> = keys::keys(of.type_name).map(|key| key.name).collect();
        node(of.type_name, &of.native_id, &asks)
    };
    let numbered = [("repository", &*repository.native_id), ("number", "1")];
    let wants = vec![
        every(&repository),
        every(&issue),
        every(&pull),
        every(&release),
        every(&run),
        FetchWant::Page(page(Some((names::ISSUE, &issue.native_id)), "comments", &[])),
        FetchWant::Page(page(Some((names::PULL_REQUEST, &pull.native_id)), "comments", &[])),
        FetchWant::Page(page(None, "repositories", &[])),
        FetchWant::Page(page(None, "search", &[("query", "repo:acme/web"), ("type", "ISSUE")])),
        FetchWant::Page(page(None, "search", &[("query", "repo:acme/web"), ("type", "PULL_REQUEST")])),
        FetchWant::Page(page(None, "search", &[("query", "web"), ("type", "REPOSITORY")])),
        lookup("viewer", names::USER, &[], vec![]),
        lookup("user", names::USER, &[("login", "acme")], vec![]),
        lookup("issue", names::ISSUE, &numbered, vec![("comments", Filter::new())]),
        lookup("pullRequest", names::PULL_REQUEST, &numbered, vec![]),
        FetchWant::Page(page(
            Some((names::REPOSITORY, &repository.native_id)),
            "issues",
            &[("labels", "bug"), ("assignee", "nobody")],
        )),
    ];
    world.calls();
    let fetched = world.fetch(wants).await;
    assert_eq!(world.calls().iter().filter(|call| *call == "POST /graphql").count(), 1);
    for fetched in &fetched[..5] {
        assert!(fetched.found.is_some());
    }
    let run_keys = &fetched[4].writes.last().expect("a run").aspects[0].fields;
    let run_type = mullion_schema::providers::github::TYPES.iter().find(|kind| kind.name == names::WORKFLOW_RUN);
    for key in run_type.expect("the type").keys() {
        assert!(run_keys.contains_key(key), "runs lack {key}");
    }
    for (index, least) in [(7, 8), (8, 1), (9, 1), (10, 1), (15, 0)] {
        assert!(fetched[index].pages[0].items.len() >= least, "{index}");
    }
    assert!(fetched[11].found.is_some() && fetched[12].found.is_some(), "people are found by login");
    assert_ne!(fetched[13].found.is_some(), fetched[14].found.is_some(), "number 1 is one of the two");
}

fn number_of(result: &Value) -> u64 {
    result.get("number").and_then(Value::as_u64).unwrap_or_else(|| panic!("no number in {result}"))
}

/// The keys of a write by aspect.
fn aspect<'a>(write: &'a NodeWrite, name: &str) -> Option<(&'a Version, &'a Body)> {
    write.aspects.iter().find(|aspect| aspect.name == name).map(|aspect| (&aspect.version, &aspect.fields))
}

#[tokio::test]
async fn webhooks_tell_the_same_as_reads() {
    let world = world();
    world.sandbox.add_webhook("http://127.0.0.1:4000/webhooks/github/github-dev", "s");
    let mut events = BTreeSet::new();
    let (mut issue, mut pull_request) = (0, 0);
    for (action, mut input) in world.sandbox.acts() {
        world.clock.advance(Duration::seconds(90));
        if input.get("number").is_some() {
            let on_pull_request =
                action.contains("pull_request") || ["check_run", "check_suite", "status"].contains(&action);
            input["number"] = if on_pull_request { pull_request } else { issue }.into();
        }
        let acted = world.sandbox.act(crate::clock::Clock::now(&world.clock), action, &input);
        // Closed is closed: what follows needs another one.
        let acted = match acted {
            Ok(acted) => acted,
            Err(refused) if matches!(action, "merge_pull_request") => {
                assert!(refused.to_string().contains("open"), "{refused}");
                continue;
            }
            Err(refused) => panic!("{action}: {refused}"),
        };
        match action {
            "open_issue" => issue = number_of(&acted.result),
            "open_pull_request" => pull_request = number_of(&acted.result),
            _ => {}
        }
        let mut last: Vec<(String, NodeWrite)> = Vec::new();
        for webhook in &acted.webhooks {
            let (event, interpretation) = world.deliver(webhook);
            events.insert(event.clone());
            let Interpretation::Changes(changes) = interpretation else { continue };
            for write in changes.into_iter().flat_map(|change| change.writes) {
                last.retain(|(_, earlier)| earlier.node != write.node);
                last.push((event.clone(), write));
            }
        }
        for (event, write) in last.iter().filter(|(_, write)| write.deleted.is_none()) {
            let asks: Vec<&'static str> = keys::keys(write.node.type_name).map(|key| key.name).collect();
            let read = world.fetch(vec![node(write.node.type_name, &write.node.native_id, &asks)]).await.remove(0);
            let Some(read) = read.writes.iter().find(|read| read.node == write.node) else {
                panic!("{action}: {event} tells of {}, which cannot be read", write.node);
            };
            for name in [names::REVIEW, names::CHECKS] {
                let told = aspect(write, name).map(|(_, told)| told);
                assert!(
                    told.is_none_or(|told| Some(told) == aspect(read, name).map(|(_, read)| read)),
                    "{action}: {event}: {name}"
                );
            }
            let (Some((told_at, told)), Some((read_at, read))) = (aspect(write, "core"), aspect(read, "core")) else {
                continue;
            };
            if told_at != read_at {
                assert!(told_at < read_at, "{action}: {event}: {} is from the future", write.node);
                continue;
            }
            for (key, value) in told {
                assert_eq!(Some(value), read.get(key), "{action}: {event}: {key} of {}", write.node);
            }
        }
    }
    for event in ["issues.opened", "issues.closed", "pull_request.opened", "push", "star.created"] {
        assert!(events.contains(event), "{event} is not among {events:?}");
    }
}

#[tokio::test]
async fn checks_name_the_pull_requests_that_they_are_of() {
    let world = world();
    world.sandbox.add_webhook("http://127.0.0.1:4000/webhooks/github/github-dev", "s");
    let mut named = 0;
    for n in 0..400 {
        world.clock.advance(Duration::seconds(60));
        let (action, input) = world.sandbox.gentle(n);
        let Ok(acted) = world.sandbox.act(crate::clock::Clock::now(&world.clock), action, &input) else { continue };
        for webhook in &acted.webhooks {
            let (event, interpretation) = world.deliver(webhook);
            let Interpretation::Changes(changes) = interpretation else { continue };
            if !event.starts_with("check_") {
                continue;
            }
            for node in changes.iter().flat_map(|change| &change.stale) {
                let wanted = super::reads::node(names::PULL_REQUEST, &node.native_id, &["title", "checks"]);
                assert_eq!(world.fetch(vec![wanted]).await[0].found.as_ref(), Some(node), "{event}");
                named += 1;
            }
        }
    }
    assert!(named > 0, "the gentle traffic has checks of pull requests");
}
