//! A page from memory is the page that the store gives: same items, same places, same words on what follows and how many there are.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use mullion_schema::{
    enums::{OrderDirection, WorkItemOrderField, WorkItemState},
    error::ErrorCode,
    fields::FieldSet,
    id::{NodeKey, NodeReference},
    ports::{
        Filter, List, ListQuery, PageRequest, Position, Work as _, WorkItemFilter, WorkItemOrder, WorkItemsSource,
    },
    view::NodeView,
};
use proptest::prelude::*;
use serde_json::json;

use super::bench::{World, all_of, issue, issues_of};
use crate::{
    clock::Clock as _,
    provider::{
        FetchedPage, ListRef, NodeRef,
        change::{Change, NodeWrite, Version},
    },
    reading::{Scope, session::Session},
};

const LABELS: [&str; 3] = ["bug", "Docs", "later"];
const PEOPLE: [&str; 2] = ["ann", "bob"];

/// An issue as the cases make it: minutes are few, so that many stand at the same time.
#[derive(Debug, Clone)]
struct Made {
    repository: usize,
    open: bool,
    labels: Vec<usize>,
    people: Vec<usize>,
    minute: i64,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Known,
    Deleted,
    /// Something about it changed that nobody told.
    Stale,
}

fn made(stale: bool) -> impl Strategy<Value = Made> {
    let fate = prop_oneof![
        40 => Just(Fate::Known),
        3 => Just(Fate::Deleted),
        1 => Just(if stale { Fate::Stale } else { Fate::Known }),
    ];
    let marks = || prop::sample::subsequence(vec![0usize, 1], 0..=2);
    (0usize..2, any::<bool>(), prop::sample::subsequence(vec![0usize, 1, 2], 0..=3), marks(), 0i64..90, fate).prop_map(
        |(repository, open, labels, people, minute, fate)| Made { repository, open, labels, people, minute, fate },
    )
}

/// A question to a list or to a feed.
#[derive(Debug, Clone)]
struct Asked {
    of: usize,
    states: Option<Vec<usize>>,
    labels: Option<Vec<usize>>,
    person: Option<usize>,
    order: (usize, bool),
    first: usize,
    /// Behind the item that stands so far down, in thousandths.
    after: Option<usize>,
    fields: usize,
}

fn asked() -> impl Strategy<Value = Asked> {
    let states = prop::option::of(prop::sample::subsequence(vec![0usize, 1], 1..=2));
    let labels = prop::option::of(prop::sample::subsequence(vec![0usize, 1, 2], 1..=2));
    let first = prop_oneof![Just(1usize), 2usize..30, Just(99usize), Just(100usize)];
    let order = (0usize..3, any::<bool>());
    (0usize..4, states, labels, prop::option::of(0usize..2), order, first, prop::option::of(0usize..1_000), 0usize..3)
        .prop_map(|(of, states, labels, person, order, first, after, fields)| Asked {
            of,
            states,
            labels,
            person,
            order,
            first,
            after,
            fields,
        })
}

/// A page as somebody is shown it.
#[derive(Debug, PartialEq)]
struct Shown {
    items: Vec<(Position, NodeKey)>,
    bodies: Vec<String>,
    has_next: bool,
    total: Option<i64>,
    refreshed_at: Option<DateTime<Utc>>,
    failures: Vec<ErrorCode>,
}

fn shown(items: Vec<(Position, Arc<NodeView>)>, (has_next, total): (bool, Option<i64>)) -> Shown {
    Shown {
        bodies: items.iter().map(|(_, view)| format!("{:?}", view.body)).collect(),
        items: items.into_iter().map(|(position, view)| (position, view.key.clone())).collect(),
        has_next,
        total,
        refreshed_at: None,
        failures: Vec::new(),
    }
}

impl World {
    async fn holding(issues: &[Made]) -> Self {
        let world = Self::new().await;
        let now = world.store.clock.now();
        let at = |made: &Made| now - Duration::hours(2) + Duration::minutes(made.minute);
        let writes = issues.iter().enumerate().map(|(index, made)| written(index, made, at(made)));
        let mut pages = Vec::new();
        for state in [None, Some("OPEN"), Some("CLOSED")] {
            let filter: Filter = state.map(|state| ("states", vec![state.to_owned()])).into_iter().collect();
            pages.extend((0..2).map(|repository| page_of(issues, repository, &filter)));
        }
        let found = issues.iter().enumerate().rev().map(|(index, _)| node(index));
        pages.push(all_of(ListRef { parent: None, name: "search" }, Filter::new(), found.collect()));
        world.fetched(writes.collect(), pages).await;
        for (index, made) in issues.iter().enumerate() {
            let version = Version { at: now.timestamp_micros(), rank: 0 };
            match made.fate {
                Fate::Known => {}
                Fate::Deleted => {
                    let writes = vec![NodeWrite::tombstone(node(index), version)];
                    world.told(Change { writes, ..Change::default() }).await;
                }
                Fate::Stale => world.told(Change { stale: vec![node(index)], ..Change::default() }).await,
            }
        }
        world
    }

    fn scope(&self, slowly: bool) -> Arc<Scope> {
        let scope = Scope::new(self.tenant.clone(), self.store.clock.now(), None);
        Arc::new(if slowly { scope.slowly() } else { scope })
    }

    /// A list, the one way or the other.
    async fn list(&self, query: &ListQuery, slowly: bool) -> Shown {
        let listed = self.services.engine.read_list(&self.scope(slowly), query).await.unwrap();
        let mut page = shown(listed.items, (listed.has_next, listed.total));
        page.refreshed_at = listed.refreshed_at;
        page.failures.extend(listed.failure.map(|error| error.code));
        page
    }

    /// A feed over both repositories, the one way or the other.
    async fn feed(&self, source: &WorkItemsSource, page: PageRequest, slowly: bool) -> Shown {
        let session = Session::new(Arc::clone(&self.services.engine), self.scope(slowly));
        let load = session.work_items(source, page).await.unwrap();
        let mut page = shown(load.value.items, (load.value.has_next, load.value.total));
        page.refreshed_at = load.refreshed_at;
        page.failures = load.problems.into_iter().map(|problem| problem.code).collect();
        page
    }

    fn query(&self, asked: &Asked) -> ListQuery {
        let mut filter = Filter::new();
        let names = |names: &[usize], of: &[&str]| names.iter().map(|at| of[*at].to_owned()).collect::<Vec<_>>();
        filter.extend(asked.states.as_ref().map(|states| ("states", names(states, &["OPEN", "CLOSED"]))));
        filter.extend(asked.labels.as_ref().map(|labels| ("labels", names(labels, &LABELS))));
        filter.extend(asked.person.map(|person| ("assignee", vec![PEOPLE[person].to_owned()])));
        let (parent, name, filter) = match REPOSITORIES.get(asked.of) {
            Some(repository) => (Some(("GithubRepository", Arc::from(*repository))), "issues", filter),
            None => (None, "search", Filter::new()),
        };
        let list = List { integration: self.account.clone(), parent, name, filter };
        ListQuery { list, first: asked.first, after: None, fields: fields(asked) }
    }

    fn source(&self, asked: &Asked) -> WorkItemsSource {
        let reference = |type_name: &str, id: &str| NodeReference {
            integration: self.account.clone(),
            type_name: type_name.into(),
            native_id: id.into(),
        };
        let states = asked
            .states
            .as_ref()
            .map(|states| states.iter().map(|at| [WorkItemState::Todo, WorkItemState::Done][*at]).collect());
        let filter = WorkItemFilter {
            containers: Some(REPOSITORIES.map(|id| reference("GithubRepository", id)).to_vec()),
            states,
            labels: asked.labels.as_ref().map(|labels| labels.iter().map(|at| LABELS[*at].to_owned()).collect()),
            assignees: asked.person.map(|person| vec![reference("GithubUser", PEOPLE[person])]),
            ..WorkItemFilter::default()
        };
        let field = [WorkItemOrderField::UpdatedAt, WorkItemOrderField::CreatedAt, WorkItemOrderField::DueOn];
        let direction = if asked.order.1 { OrderDirection::Asc } else { OrderDirection::Desc };
        WorkItemsSource { filter, order: WorkItemOrder { field: field[asked.order.0], direction } }
    }
}

const REPOSITORIES: [&str; 2] = ["R1", "R2"];

fn node(index: usize) -> NodeRef {
    NodeRef::new("GithubIssue", format!("I{index:03}"))
}

/// The provider's page of a repository's list with a filter.
fn page_of(issues: &[Made], repository: usize, filter: &Filter) -> FetchedPage {
    let any = |argument: &str, passes: &dyn Fn(&str) -> bool| {
        filter.get(argument).is_none_or(|values| values.iter().any(|value| passes(value)))
    };
    let belongs = |made: &Made| {
        made.repository == repository
            && any("states", &|state| (state == "OPEN") == made.open)
            && any("labels", &|label| made.labels.iter().any(|at| LABELS[*at] == label))
            && any("assignee", &|name| made.people.iter().any(|at| PEOPLE[*at] == name))
    };
    let mut items: Vec<_> = issues.iter().enumerate().filter(|(_, made)| belongs(made)).collect();
    items.sort_by_key(|(_, made)| -made.minute);
    let items = items.into_iter().map(|(at, _)| node(at)).collect();
    all_of(issues_of(REPOSITORIES[repository]), filter.clone(), items)
}

fn written(index: usize, made: &Made, at: DateTime<Utc>) -> NodeWrite {
    let labels: Vec<_> = made.labels.iter().map(|at| json!({ "name": LABELS[*at], "color": "ff0000" })).collect();
    let people: Vec<_> = made.people.iter().map(|at| PEOPLE[*at]).collect();
    let known = json!({
        "issueState": if made.open { "OPEN" } else { "CLOSED" },
        "labels": labels,
        "assigneeLogins": people,
        "assignees": people.iter().map(|name| format!("GithubUser:{name}")).collect::<Vec<_>>(),
        // Another order than that of the updates.
        "createdAt": (at - Duration::minutes(made.minute * 37 % 100)).to_rfc3339(),
    });
    issue(REPOSITORIES[made.repository], &format!("I{index:03}"), at, known)
}

fn fields(asked: &Asked) -> FieldSet {
    [&["title"][..], &["title", "labels", "updatedAt"], &[]][asked.fields].iter().copied().collect()
}

/// The position so many thousandths down.
fn down(all: &Shown, thousandths: Option<usize>) -> Option<Position> {
    all.items.get(thousandths? * all.items.len() / 1_000).map(|(position, _)| position.clone())
}

/// All that a question is about, from page after page.
async fn walked(world: &World, asked: &Asked) -> Shown {
    let mut query = ListQuery { first: 100, ..world.query(asked) };
    let mut all = world.list(&query, true).await;
    while all.has_next {
        query.after = all.items.last().map(|(position, _)| position.clone());
        let more = world.list(&query, true).await;
        all.has_next = more.has_next && !more.items.is_empty();
        all.items.extend(more.items);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_page_from_memory_is_the_page_from_the_store(
        (stale, issues) in any::<bool>().prop_flat_map(|stale| {
            (Just(stale), prop_oneof![prop::collection::vec(made(stale), 0..40), prop::collection::vec(made(stale), 180..450)])
        }),
        questions in prop::collection::vec(asked(), 24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::holding(&issues).await;
            for asked in &questions {
                if asked.of < 3 {
                    let mut query = world.query(asked);
                    if asked.of < 2 {
                        let page = page_of(&issues, asked.of, &query.list.filter);
                        world.fetched(Vec::new(), vec![page]).await;
                    }
                    query.after = down(&walked(&world, asked).await, asked.after);
                    let quick = world.list(&query, false).await;
                    prop_assert_eq!(&quick, &world.list(&query, true).await, "{:?}", query);
                    let before = world.reads();
                    prop_assert_eq!(&quick, &world.list(&query, false).await);
                    prop_assert!(stale || world.reads() == before, "it was not read from memory: {:?}", query);
                } else {
                    let source = world.source(asked);
                    let mut page = PageRequest { first: 100, fields: fields(asked), ..PageRequest::default() };
                    let all = world.feed(&source, page.clone(), true).await;
                    page.first = asked.first;
                    page.after = down(&all, asked.after);
                    let quick = world.feed(&source, page.clone(), false).await;
                    prop_assert_eq!(&quick, &world.feed(&source, page.clone(), true).await, "{:?} {:?}", source, page);
                }
            }
            Ok(())
        })?;
    }
}
