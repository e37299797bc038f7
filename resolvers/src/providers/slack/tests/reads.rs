//! The calls to Slack, and how often they are made.

use std::collections::BTreeSet;

use futures::future::join;
use mullion_schema::ports::{Filter, Lookup};
use serde_json::{Value, json};

use super::fake::Fake;
use crate::{
    clock::Clock as _,
    provider::{FetchWant, Fetched, ListRef, NodeRef, PageWant, Provider as _, change::NodeWrite},
    providers::slack::{Slack, names, sandbox},
    sandbox::Sandbox as _,
    upstream::UpstreamErrorKind,
};

fn node(type_name: &'static str, id: &str) -> FetchWant {
    FetchWant::Node { node: NodeRef::new(type_name, id), asks: BTreeSet::new() }
}

fn page(parent: Option<NodeRef>, name: &'static str, cursor: Option<String>) -> FetchWant {
    FetchWant::Page(PageWant { list: ListRef { parent, name }, filter: Filter::new(), cursor })
}

fn lookup(name: &'static str, arguments: &[(&'static str, &str)]) -> FetchWant {
    let arguments = arguments.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let lookup = Lookup { integration: "i1".into(), name, type_name: "SlackChannel", arguments };
    FetchWant::Lookup { lookup, asks: BTreeSet::new(), lists: Vec::new() }
}

fn channel(name: &str) -> NodeRef {
    NodeRef::new(names::CHANNEL, sandbox::channel_id(name).expect("a seeded channel"))
}

fn value(write: &NodeWrite, key: &str) -> Value {
    write.aspects.iter().find_map(|aspect| aspect.fields.get(key)).cloned().unwrap_or(json!("absent"))
}

async fn one(slack: &Slack, api: &crate::upstream::Connection, want: FetchWant) -> Fetched {
    slack.fetch(api, vec![want]).await.remove(0).expect("an answer")
}

/// The ids of the sandbox's users.
async fn user_ids() -> Vec<String> {
    let (_, api) = Fake::new();
    let fetched = one(&Slack::default(), &api, page(None, names::USERS, None)).await;
    fetched.pages[0].items.iter().map(|user| user.native_id.as_ref().to_owned()).collect()
}

#[tokio::test]
async fn all_users_and_channels_of_a_tick_are_one_call_each() {
    let ids = user_ids().await;
    assert!(ids.len() >= 30, "{}", ids.len());
    let (fake, api) = Fake::new();
    let mut wants: Vec<FetchWant> = ids.iter().map(|id| node(names::USER, id)).collect();
    wants.push(page(None, names::USERS, None));
    let list = ListRef { parent: None, name: names::CHANNELS };
    let in_use = Filter::from([("archived", vec!["false".to_owned()])]);
    wants.push(FetchWant::Page(PageWant { list, filter: in_use, cursor: None }));
    wants.push(lookup("channel", &[("name", "General")]));
    wants.push(node(names::CHANNEL, &channel("engineering").native_id));
    let answers = Slack::default().fetch(&api, wants).await;
    assert_eq!(fake.methods(), ["conversations.list", "users.list"]);
    let answers: Vec<Fetched> = answers.into_iter().map(|answer| answer.expect("an answer")).collect();
    for (id, answer) in ids.iter().zip(&answers) {
        assert_eq!(answer.found.as_ref().map(|found| found.native_id.as_ref()), Some(id.as_str()));
    }
    assert_eq!(answers[ids.len() + 2].found, Some(channel("general")));
    let listed = &answers[ids.len() + 1].pages[0];
    assert!(listed.next.is_none() && listed.items.len() >= 12);
    let names: Vec<String> = listed
        .items
        .iter()
        .map(|item| {
            let write = answers[ids.len() + 1].writes.iter().find(|write| write.node == *item).expect("its write");
            assert_eq!(value(write, "isArchived"), json!(false));
            value(write, "name").as_str().expect("a name").to_owned()
        })
        .collect();
    assert!(names.is_sorted());
}

#[tokio::test]
async fn those_who_come_while_a_list_is_read_wait_for_it() {
    let ids = user_ids().await;
    let (fake, api) = Fake::new();
    let slack = Slack::default();
    let (first, second) = join(
        slack.fetch(&api, ids[..10].iter().map(|id| node(names::USER, id)).collect()),
        slack.fetch(&api, ids[10..20].iter().map(|id| node(names::USER, id)).collect()),
    )
    .await;
    assert!(first.iter().chain(&second).all(|answer| answer.as_ref().is_ok_and(|fetched| fetched.found.is_some())));
    assert_eq!(fake.methods(), ["users.list"]);
    // A user who is asked for again is wanted newer than that.
    one(&slack, &api, node(names::USER, &ids[0])).await;
    assert_eq!(fake.methods(), ["users.info"]);
    fake.later(60);
    one(&slack, &api, node(names::USER, &ids[25])).await;
    assert_eq!(fake.methods(), ["users.info"]);
    slack.fetch(&api, ids[..10].iter().map(|id| node(names::USER, id)).collect()).await;
    assert_eq!(fake.methods(), ["users.list"]);
}

#[tokio::test]
async fn a_channel_that_was_made_since_the_list_was_read_is_found_by_its_name() {
    let (fake, api) = Fake::new();
    let slack = Slack::default();
    assert!(one(&slack, &api, lookup("channel", &[("name", "general")])).await.found.is_some());
    fake.sandbox.act(fake.clock.now(), "create_channel", &json!({ "name": "borealis" })).expect("created");
    fake.later(1);
    assert!(one(&slack, &api, lookup("channel", &[("name", "borealis")])).await.found.is_some());
}

#[tokio::test]
async fn what_the_list_lacks_is_asked_for_alone() {
    let (fake, api) = Fake::new();
    let answers = Slack::default().fetch(&api, vec![node(names::USER, "U0NOBODY"), node(names::CHANNEL, "C0NO")]).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok_and(|fetched| fetched.found.is_none())));
    assert_eq!(fake.methods(), ["conversations.info", "conversations.list", "users.info", "users.list"]);
}

#[tokio::test]
async fn a_page_of_messages_is_one_call_for_each_channel() {
    let (fake, api) = Fake::new();
    let wants = ["general", "engineering"].map(|name| page(Some(channel(name)), names::MESSAGES, None));
    let slack = Slack::default();
    let mut answers = slack.fetch(&api, wants.into()).await;
    assert_eq!(fake.methods(), ["conversations.history"; 2]);
    let fetched = answers.remove(0).expect("a page");
    let page_read = &fetched.pages[0];
    assert_eq!((page_read.items.len(), page_read.next.is_some()), (100, true));
    let mut sorts = Vec::new();
    for item in &page_read.items {
        let write = fetched.writes.iter().find(|write| write.node == *item).expect("its write");
        let body = write.aspects.iter().flat_map(|aspect| aspect.fields.clone()).collect();
        let places = slack.memberships(item, &body);
        let place = places.iter().find(|(list, _)| *list == page_read.want.list).expect("in its channel's list");
        sorts.push(place.1.clone());
    }
    assert!(sorts.is_sorted(), "newest first");
    let first = &fetched.writes[0];
    let ts = value(first, "ts").as_str().expect("a ts").to_owned();
    let id = format!("T0ACME0001:{}:{ts}", channel("general").native_id);
    assert_eq!(first.node, NodeRef::new(names::MESSAGE, id));
    let link = format!("https://acme.slack.com/archives/{}/p{}", channel("general").native_id, ts.replace('.', ""));
    assert_eq!(value(first, "url"), json!(link));
    let more = page(Some(channel("general")), names::MESSAGES, page_read.next.clone());
    let second = one(&slack, &api, more).await;
    let seen: BTreeSet<&NodeRef> = page_read.items.iter().collect();
    assert!(second.pages[0].items.iter().all(|item| !seen.contains(item)));
    let unknown =
        slack.fetch(&api, vec![page(Some(NodeRef::new(names::CHANNEL, "C0NO")), names::MESSAGES, None)]).await;
    assert_eq!(unknown[0].as_ref().expect_err("unknown").kind, UpstreamErrorKind::NotFound);
}

#[tokio::test]
async fn threads_and_single_messages_are_read() {
    let (fake, api) = Fake::new();
    let slack = Slack::default();
    let history = one(&slack, &api, page(Some(channel("general")), names::MESSAGES, None)).await;
    let begun = history.writes.iter().find(|write| value(write, "replyCount").as_i64() > Some(1)).expect("a thread");
    let thread = one(&slack, &api, page(Some(begun.node.clone()), names::REPLIES, None)).await;
    assert_eq!(json!(thread.pages[0].items.len()), value(begun, "replyCount"));
    assert!(!thread.pages[0].items.contains(&begun.node));
    fake.methods();
    // Several of one channel come in one call, a reply in a second one.
    let mut wanted: Vec<NodeRef> = history.pages[0].items.iter().take(20).cloned().collect();
    wanted.push(thread.pages[0].items[0].clone());
    wanted.push(NodeRef::new(names::MESSAGE, "odd"));
    let answers =
        slack.fetch(&api, wanted.iter().map(|wanted| node(names::MESSAGE, &wanted.native_id)).collect()).await;
    let found: Vec<Option<NodeRef>> = answers.into_iter().map(|answer| answer.expect("an answer").found).collect();
    let mut expected: Vec<Option<NodeRef>> = wanted.into_iter().map(Some).collect();
    expected[21] = None;
    assert_eq!(found, expected);
    let methods = fake.methods();
    assert!(methods.len() <= 3 && methods.contains(&"conversations.replies"), "{methods:?}");
    // Two that lie far apart are two calls.
    let far =
        vec![node(names::MESSAGE, &history.writes[0].node.native_id), node(names::MESSAGE, "T0ACME0001:C0NO:1.0")];
    let answers = slack.fetch(&api, far).await;
    assert!(answers[0].as_ref().is_ok_and(|fetched| fetched.found.is_some()));
    assert!(answers[1].as_ref().is_ok_and(|fetched| fetched.found.is_none()));
}

#[tokio::test]
async fn the_token_tells_its_workspace() {
    let (fake, mut api) = Fake::new();
    let account = Slack::default().identify(&api).await.expect("an account");
    assert_eq!((account.name.as_str(), &account.facts["team_id"]), ("Acme", &json!("T0ACME0001")));
    assert_eq!((&account.facts["url"], &account.facts["domain"]), (&json!("https://acme.slack.com/"), &json!("acme")));
    assert!(account.user.is_some() && account.scopes.iter().any(|scope| scope == "users:read"));
    assert_eq!(fake.methods(), ["auth.test"]);
    let slack = Slack::default();
    let workspace = one(&slack, &api, lookup("workspace", &[])).await;
    assert_eq!(workspace.found, Some(NodeRef::new(names::WORKSPACE, "T0ACME0001")));
    assert_eq!(value(&workspace.writes[0], "name"), json!("Acme"));
    assert_eq!(one(&slack, &api, node(names::WORKSPACE, "T0OTHER")).await.found, None);
    assert_eq!(fake.methods(), ["team.info"; 2]);
    // Without its facts, the workspace is asked for once.
    api.facts = std::sync::Arc::default();
    for _ in 0..2 {
        one(&slack, &api, page(Some(channel("general")), names::MESSAGES, None)).await;
    }
    assert_eq!(fake.methods(), ["auth.test", "conversations.history", "conversations.history"]);
}

#[tokio::test]
async fn refusals_are_told_and_used_up_quotas_recorded() {
    let (fake, api) = Fake::answering(|request| match request.operation {
        "users.list" => Some((429, Some(17), json!({ "ok": false, "error": "ratelimited" }))),
        "conversations.list" => Some((200, None, json!({ "ok": false, "error": "token_revoked" }))),
        "conversations.history" => Some((200, None, json!(["no API"]))),
        _ => None,
    });
    let wants = vec![
        node(names::USER, "U1"),
        page(None, names::CHANNELS, None),
        page(Some(channel("general")), names::MESSAGES, None),
    ];
    let answers = Slack::default().fetch(&api, wants).await;
    let errors: Vec<_> = answers.into_iter().map(|answer| answer.expect_err("refused")).collect();
    let kinds: Vec<_> = errors.iter().map(|error| error.kind).collect();
    assert_eq!(kinds, [UpstreamErrorKind::RateLimited, UpstreamErrorKind::AuthExpired, UpstreamErrorKind::Down]);
    assert_eq!(errors[0].retry_after.map(|wait| wait.as_secs()), Some(17));
    let quotas = fake.quotas.lock();
    assert_eq!((quotas.len(), quotas[0].bucket, quotas[0].remaining), (1, "users.list", Some(0)));
    assert_eq!(quotas[0].resets_at.map(|at| at.timestamp()), Some(1_700_000_017));
}

#[tokio::test]
async fn private_channels_are_left_out_where_the_scope_is_missing() {
    let (fake, api) = Fake::answering(|request| {
        let private = request.url.query().is_some_and(|query| query.contains("private_channel"));
        private.then(|| (200, None, json!({ "ok": false, "error": "missing_scope", "needed": "groups:read" })))
    });
    let fetched = one(&Slack::default(), &api, page(None, names::CHANNELS, None)).await;
    assert!(!fetched.pages[0].items.is_empty());
    assert_eq!(fake.methods(), ["conversations.list"; 2]);
}
