//! Answers when the provider fails: an error, or known values marked as old; never a shorter list or nothing at all.

use std::sync::Arc;

use chrono::Duration;
use mullion_schema::{
    error::{ErrorCode, PortError},
    fields::FieldSet,
    id::NodeKey,
    ports::{Filter, List, ListPage, ListQuery, Lookup, Nodes as _, Position, Want},
    view::{FreshnessSource, NodeView, StaleReason},
};
use serde_json::{Value, json};

use super::bench::{World, issue, repository};
use crate::{
    clock::Clock as _,
    provider::{
        FetchWant, Fetched, FetchedPage, ListRef, NodeRef, PageWant,
        change::{NodeWrite, Version},
    },
    reading::{Scope, session::Session},
    store::tests::bench::body,
    upstream::{UpstreamError, UpstreamErrorKind as Kind},
};

/// Every failure, with what it means for a client: the code of an error, and the reason of a value that is served all the same.
const FAILURES: [(Kind, ErrorCode, StaleReason); 10] = [
    (Kind::RateLimited, ErrorCode::ProviderRateLimited, StaleReason::RateLimited),
    (Kind::AuthExpired, ErrorCode::ProviderAuthExpired, StaleReason::AuthExpired),
    (Kind::Forbidden, ErrorCode::ProviderError, StaleReason::Refused),
    (Kind::Rejected, ErrorCode::ProviderError, StaleReason::Refused),
    (Kind::CursorExpired, ErrorCode::ProviderError, StaleReason::Refused),
    (Kind::Down, ErrorCode::ProviderUnavailable, StaleReason::ProviderDown),
    (Kind::Timeout, ErrorCode::ProviderUnavailable, StaleReason::Timeout),
    (Kind::CircuitOpen, ErrorCode::ProviderUnavailable, StaleReason::CircuitOpen),
    (Kind::AddressRefused, ErrorCode::ProviderUnavailable, StaleReason::Internal),
    (Kind::Internal, ErrorCode::InternalServerError, StaleReason::Internal),
];

/// A page as large as the provider makes them.
pub(super) const PAGE: usize = 100;

impl World {
    pub(super) fn session(&self) -> Session {
        let scope = Arc::new(Scope::new(self.tenant.clone(), self.store.clock.now(), None));
        Session::new(Arc::clone(&self.services.engine), scope)
    }

    /// Nothing that was read so far is trusted any more.
    pub(super) fn grow_old(&self) {
        self.store.clock.advance(Duration::hours(7));
    }

    pub(super) async fn node(&self, node: &NodeRef, fields: &[&str]) -> Result<Option<Arc<NodeView>>, PortError> {
        self.session().node(self.key(node), want(fields)).await
    }

    fn key(&self, node: &NodeRef) -> NodeKey {
        NodeKey::new(&self.account, node.type_name, Arc::clone(&node.native_id))
    }

    pub(super) fn issues(&self, first: usize, after: Option<Position>) -> ListQuery {
        let parent = Some(("GithubRepository", Arc::from("R1")));
        self.list_of(parent, "issues", (first, after))
    }

    fn list_of(
        &self,
        parent: Option<(&'static str, Arc<str>)>,
        name: &'static str,
        (first, after): (usize, Option<Position>),
    ) -> ListQuery {
        let list = List { integration: self.account.clone(), parent, name, filter: Filter::new() };
        ListQuery { list, first, after, fields: ["title"].into_iter().collect() }
    }

    /// The last item of a page with so many.
    pub(super) async fn end_of(&self, first: usize) -> Option<Position> {
        let page = self.session().list(self.issues(first, None)).await.unwrap();
        page.items.last().map(|(position, _)| position.clone())
    }

    /// The provider has so many issues and gives them in pages; `cursors` says how it calls the place behind so many items.
    pub(super) fn lists_issues(&self, count: usize, cursors: impl Fn(usize) -> String + Send + Sync + 'static) {
        let now = self.store.clock.now();
        self.upstream.answer(move |want| {
            let FetchWant::Page(want) = want else { panic!("{want:?} is no page") };
            let places = (0..count).step_by(PAGE);
            let start = match &want.cursor {
                None => Some(0),
                Some(cursor) => places.into_iter().find(|place| cursors(*place) == *cursor),
            };
            let Some(start) = start else { return Err(UpstreamError::new(Kind::CursorExpired, "unknown")) };
            let end = (start + PAGE).min(count);
            let id = |at: usize| format!("I{at:04}");
            let at = |at: usize| now - Duration::minutes(i64::try_from(at).unwrap());
            let page = FetchedPage {
                want: want.clone(),
                items: (start..end).map(|at| NodeRef::new("GithubIssue", id(at))).collect(),
                next: (end < count).then(|| cursors(end)),
                total: i64::try_from(count).ok(),
            };
            let writes = (start..end).map(|place| issue("R1", &id(place), at(place), json!({}))).collect();
            Ok(Fetched { found: None, writes, pages: vec![page], ..Fetched::default() })
        });
    }
}

pub(super) fn want(fields: &[&str]) -> Want {
    Want::from(fields.iter().copied().collect::<FieldSet>())
}

/// A repository, as far as it is known.
pub(super) fn written(world: &World, id: &str, fields: Value) -> NodeWrite {
    NodeWrite::core(repository(id), Version::at(world.store.clock.now()), body(fields))
}

pub(super) fn card(name: &str) -> Value {
    json!({
        "name": name, "nameWithOwner": format!("acme/{name}"), "isPrivate": false, "isArchived": false,
        "updatedAt": "2026-01-01T00:00:00Z",
    })
}

fn ids(page: &ListPage) -> Vec<&str> {
    page.items.iter().map(|(_, view)| view.key.native_id.as_ref()).collect()
}

fn freshness(view: &NodeView) -> (FreshnessSource, Option<StaleReason>) {
    (view.freshness.source, view.freshness.stale_because)
}

#[tokio::test]
async fn a_failure_means_that_something_is_unknown_and_only_not_found_that_there_is_none() {
    for (kind, code, reason) in FAILURES {
        let world = World::new().await;
        world.upstream.fail(kind);
        let unknown = world.node(&repository("R1"), &["name"]).await;
        assert_eq!(unknown.unwrap_err().code, code, "{kind:?}");
        world.fetched(vec![written(&world, "R1", card("web"))], Vec::new()).await;
        world.grow_old();
        let session = world.session();
        let known = session.node(world.key(&repository("R1")), want(&["name"])).await.unwrap().unwrap();
        assert_eq!(freshness(&known), (FreshnessSource::Stale, Some(reason)), "{kind:?}");
        assert!(session.scope().is_stale(), "{kind:?}: the answer is not kept");
    }
    let world = World::new().await;
    world.upstream.fail(Kind::NotFound);
    let session = world.session();
    assert!(session.node(world.key(&repository("R1")), want(&["name"])).await.unwrap().is_none());
}

#[tokio::test]
async fn a_field_that_could_not_be_fetched_says_why_it_is_missing() {
    let world = World::new().await;
    world.fetched(vec![written(&world, "R1", card("web"))], Vec::new()).await;
    for (kind, code, reason) in FAILURES {
        world.upstream.fail(kind);
        let view = world.node(&repository("R1"), &["name", "openIssueCount"]).await.unwrap().unwrap();
        assert_eq!(view.failure.as_ref().map(|failure| failure.code), Some(code), "{kind:?}");
        assert_eq!(freshness(&view), (FreshnessSource::Stale, Some(reason)), "{kind:?}");
        let view = world.node(&repository("R1"), &["name"]).await.unwrap().unwrap();
        assert!(view.failure.is_none(), "{kind:?}: nothing was asked for");
    }
}

#[tokio::test]
async fn a_field_that_the_token_may_not_read_is_an_error_and_the_rest_of_the_node_is_not_old() {
    let world = World::new().await;
    let write = written(&world, "R1", card("web"));
    world.upstream.answer(move |_| {
        let refused = Some(UpstreamError::new(Kind::Forbidden, "the token may not read this"));
        Ok(Fetched { found: Some(repository("R1")), writes: vec![write.clone()], refused, ..Fetched::default() })
    });
    let session = world.session();
    for asked in ["first", "again, in the same execution"] {
        let node = session.node(world.key(&repository("R1")), want(&["name", "openIssueCount"])).await;
        let view = node.unwrap().unwrap();
        assert_eq!(view.failure.as_ref().map(|failure| failure.code), Some(ErrorCode::ProviderError), "{asked}");
        assert_eq!(view.freshness.stale_because, None, "{asked}");
    }
    assert!(!session.scope().is_stale());
}

#[tokio::test]
async fn a_list_that_was_never_read_is_not_the_few_items_that_are_known_of_it() {
    let world = World::new().await;
    let at = world.store.clock.now();
    let known =
        vec![written(&world, "R1", card("web")), issue("R1", "I1", at, json!({})), issue("R1", "I2", at, json!({}))];
    world.fetched(known, Vec::new()).await;
    for (kind, code, _) in FAILURES {
        world.upstream.fail(kind);
        for query in [world.issues(50, None), world.list_of(None, "repositories", (50, None))] {
            let session = world.session();
            let error = session.list(query).await.unwrap_err();
            assert_eq!(error.code, code, "{kind:?}");
            assert!(session.scope().is_stale());
        }
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_on_goes_on_and_says_why() {
    for (kind, code, _) in FAILURES {
        // Another case tells what this failure means behind a first page.
        if kind == Kind::CursorExpired {
            continue;
        }
        let world = World::new().await;
        world.lists_issues(250, |place| place.to_string());
        let (middle, end) = (world.end_of(50).await, world.end_of(PAGE).await);
        world.upstream.fail(kind);
        let session = world.session();
        let first = session.list(world.issues(PAGE, None)).await.unwrap();
        assert_eq!((first.items.len(), first.has_next, first.failure.is_none()), (PAGE, true, true), "{kind:?}");
        assert!(!session.scope().is_stale(), "all of that page is known");
        let session = world.session();
        let rest = session.list(world.issues(PAGE, middle)).await.unwrap();
        assert_eq!((rest.items.len(), rest.has_next, rest.total), (50, true, Some(250)), "{kind:?}");
        assert_eq!(rest.failure.map(|error| error.code), Some(code), "{kind:?}");
        assert!(session.scope().is_stale(), "{kind:?}: the answer is not kept");
        let behind = world.session().list(world.issues(PAGE, end.clone())).await;
        assert_eq!(behind.unwrap_err().code, code, "{kind:?}: there is nothing to show");
        world.lists_issues(250, |place| place.to_string());
        let again = world.session().list(world.issues(PAGE, end)).await.unwrap();
        assert_eq!((again.items.len(), again.failure.is_none()), (PAGE, true), "{kind:?}: it recovers");
    }
}

#[tokio::test]
async fn a_cursor_that_has_expired_leads_back_to_the_start_of_the_list() {
    let world = World::new().await;
    world.lists_issues(350, |place| place.to_string());
    let end = world.end_of(PAGE).await;
    world.lists_issues(350, |place| format!("new {place}"));
    let page = world.session().list(world.issues(PAGE, end)).await.unwrap();
    assert_eq!((ids(&page).first(), page.items.len(), page.has_next), (Some(&"I0100"), PAGE, true));
    assert!(page.failure.is_none());
    let cursors = world.upstream.batches().into_iter().flatten().map(|want| match want {
        FetchWant::Page(want) => want.cursor,
        other => panic!("{other:?}"),
    });
    let cursors: Vec<_> = cursors.collect();
    assert_eq!(cursors, [None, Some("100".to_owned()), None, Some("new 100".to_owned())]);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_again_is_what_it_was_and_its_items_say_that_they_are_old() {
    for (kind, code, reason) in FAILURES {
        let world = World::new().await;
        world.lists_issues(3, |place| place.to_string());
        world.end_of(50).await;
        world.grow_old();
        world.upstream.fail(kind);
        let session = world.session();
        let page = session.list(world.issues(50, None)).await.unwrap();
        assert_eq!((ids(&page), page.has_next), (vec!["I0000", "I0001", "I0002"], false), "{kind:?}");
        for (_, view) in &page.items {
            assert_eq!(freshness(view), (FreshnessSource::Stale, Some(reason)), "{kind:?}");
        }
        assert!(page.failure.is_none(), "{kind:?}: nothing is missing");
        assert!(session.scope().is_stale());
        // Nothing in an empty list could say that it is old.
        let world = World::new().await;
        world.lists_issues(0, |place| place.to_string());
        world.end_of(50).await;
        world.grow_old();
        world.upstream.fail(kind);
        let page = world.session().list(world.issues(50, None)).await.unwrap();
        assert_eq!(page.failure.map(|error| error.code), Some(code), "{kind:?}");
    }
}

#[tokio::test]
async fn a_list_in_the_provider_s_own_order_is_read_on_and_does_not_end_where_reading_failed() {
    let world = World::new().await;
    let repositories = ["a", "b", "c", "d"];
    let listed = |world: &World, broken: bool| {
        let writes: Vec<NodeWrite> = repositories.iter().map(|id| written(world, id, card(id))).collect();
        world.upstream.answer(move |want| {
            let FetchWant::Page(want) = want else { return Err(UpstreamError::new(Kind::Down, "not a page")) };
            if broken && want.cursor.is_some() {
                return Err(UpstreamError::new(Kind::Down, "not now"));
            }
            let (from, next) = if want.cursor.is_none() { (0, Some("c".to_owned())) } else { (2, None) };
            let items = repositories[from..from + 2].iter().map(|id| repository(id)).collect();
            let page = FetchedPage { want: want.clone(), items, next, total: Some(4) };
            Ok(Fetched { found: None, writes: writes.clone(), pages: vec![page], ..Fetched::default() })
        });
    };
    let query = |first| ListQuery {
        fields: ["name"].into_iter().collect(),
        ..world.list_of(None, "repositories", (first, None))
    };
    listed(&world, true);
    let cut = world.session().list(query(3)).await.unwrap();
    assert_eq!((ids(&cut), cut.has_next, cut.failure.is_some()), (vec!["a", "b"], true, true));
    listed(&world, false);
    let three = world.session().list(query(3)).await.unwrap();
    assert_eq!((ids(&three), three.has_next, three.failure.is_some()), (vec!["a", "b", "c"], true, false));
    let all = world.session().list(query(9)).await.unwrap();
    assert_eq!((ids(&all), all.has_next), (vec!["a", "b", "c", "d"], false));
}

#[tokio::test]
async fn an_item_that_could_not_be_read_is_missing_with_an_error_and_the_others_are_there() {
    let world = World::new().await;
    let page = FetchedPage {
        want: PageWant { list: ListRef { parent: None, name: "repositories" }, filter: Filter::new(), cursor: None },
        items: vec![repository("R1"), repository("R2")],
        next: None,
        total: Some(2),
    };
    world.fetched(vec![written(&world, "R1", card("web"))], vec![page]).await;
    let query = ListQuery { fields: ["name"].into_iter().collect(), ..world.list_of(None, "repositories", (9, None)) };
    let listed = world.session().list(query).await.unwrap();
    assert_eq!(ids(&listed), ["R1"]);
    assert_eq!(listed.failure.map(|error| error.code), Some(ErrorCode::ProviderUnavailable));
}

#[tokio::test]
async fn fields_that_a_page_does_not_bring_are_asked_for_in_one_batch_and_once() {
    let world = World::new().await;
    let at = Version::at(world.store.clock.now());
    let cards: Vec<NodeWrite> = ["a", "b"].iter().map(|id| written(&world, id, card(id))).collect();
    world.upstream.answer(move |want| match want {
        FetchWant::Page(want) => {
            let page = FetchedPage {
                want: want.clone(),
                items: vec![repository("a"), repository("b")],
                next: None,
                total: None,
            };
            Ok(Fetched { found: None, writes: cards.clone(), pages: vec![page], ..Fetched::default() })
        }
        // The provider tells the number for one of the two only.
        FetchWant::Node { node, asks } if node.native_id.as_ref() == "a" && asks.contains("openIssueCount") => {
            let writes = vec![NodeWrite::core(node.clone(), at, body(json!({ "openIssueCount": 7 })))];
            Ok(Fetched { found: Some(node.clone()), writes, ..Fetched::default() })
        }
        FetchWant::Node { node, .. } => Ok(Fetched { found: Some(node.clone()), ..Fetched::default() }),
        FetchWant::Lookup { .. } => panic!("nothing is looked up"),
    });
    let fields = ["name", "openIssueCount"].into_iter().collect();
    let query = ListQuery { fields, ..world.list_of(None, "repositories", (9, None)) };
    let session = world.session();
    for _ in 0..2 {
        let page = session.list(query.clone()).await.unwrap();
        let counts: Vec<_> = page.items.iter().map(|(_, view)| view.int("openIssueCount")).collect();
        assert_eq!(counts, [Some(7), None]);
        assert!(page.items.iter().all(|(_, view)| view.failure.is_none()));
    }
    assert_eq!(world.upstream.batches().iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_name_is_found_in_what_was_listed_while_the_provider_cannot_be_asked() {
    let lookup = |world: &World, name: &str| Lookup {
        integration: world.account.clone(),
        name: "repository",
        type_name: "GithubRepository",
        arguments: [("owner", "Acme".to_owned()), ("name", name.to_owned())].into(),
    };
    for (kind, code, reason) in FAILURES {
        let world = World::new().await;
        let page = FetchedPage {
            want: PageWant {
                list: ListRef { parent: None, name: "repositories" },
                filter: Filter::new(),
                cursor: None,
            },
            items: vec![repository("R1")],
            next: None,
            total: None,
        };
        world.fetched(vec![written(&world, "R1", card("web"))], vec![page]).await;
        world.upstream.fail(kind);
        let session = world.session();
        let found = session.find(lookup(&world, "web"), want(&["name"])).await.unwrap().unwrap();
        assert_eq!((found.key.native_id.as_ref(), freshness(&found)), ("R1", (FreshnessSource::Stale, Some(reason))));
        assert!(session.scope().is_stale(), "{kind:?}: the answer is not kept");
        let unknown = world.session().find(lookup(&world, "other"), want(&["name"])).await;
        assert_eq!(unknown.unwrap_err().code, code, "{kind:?}: it may exist");
    }
    let world = World::new().await;
    world.upstream.fail(Kind::NotFound);
    assert!(world.session().find(lookup(&world, "web"), want(&["name"])).await.unwrap().is_none());
}

#[tokio::test]
async fn a_page_is_as_long_as_it_was_where_what_lies_behind_it_is_known_by_other_ways() {
    let world = World::new().await;
    world.lists_issues(PAGE + 50, |place| place.to_string());
    world.end_of(PAGE).await;
    // Heard of by a webhook, far behind what was read.
    let at = world.store.clock.now() - Duration::days(30);
    world.fetched(vec![issue("R1", "I9999", at, json!({}))], Vec::new()).await;
    world.grow_old();
    world.upstream.fail(Kind::Down);
    let page = world.session().list(world.issues(100, world.end_of(50).await)).await.unwrap();
    assert_eq!((page.items.len(), page.has_next, page.failure.is_some()), (50, true, true));
    assert!(!ids(&page).contains(&"I9999"), "it is not what comes next");
}

#[tokio::test]
async fn a_page_that_is_out_of_reach_is_an_error_and_the_next_try_gets_further() {
    const PAGES: usize = 35;
    let world = World::new().await;
    world.lists_issues(PAGE, |place| place.to_string());
    let end = world.end_of(PAGE).await.unwrap();
    let behind = Position { sort: format!("{}~", end.sort), ..end };
    // All that the provider lists now stands in front of the page, but for the end.
    let now = world.store.clock.now();
    world.grow_old();
    world.upstream.answer(move |want| {
        let FetchWant::Page(want) = want else { panic!("{want:?} is no page") };
        let place: usize = want.cursor.as_deref().unwrap_or("0").parse().unwrap();
        let last = place + 1 == PAGES;
        let at = if last { now - Duration::days(9) } else { now };
        let id = format!("N{place}");
        let page = FetchedPage {
            want: want.clone(),
            items: vec![NodeRef::new("GithubIssue", id.as_str())],
            next: (!last).then(|| (place + 1).to_string()),
            total: None,
        };
        Ok(Fetched { writes: vec![issue("R1", &id, at, json!({}))], pages: vec![page], ..Fetched::default() })
    });
    let error = world.session().list(world.issues(1, Some(behind.clone()))).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderUnavailable);
    let page = world.session().list(world.issues(1, Some(behind))).await.unwrap();
    assert_eq!((ids(&page), page.has_next), (vec!["N34"], false));
}
