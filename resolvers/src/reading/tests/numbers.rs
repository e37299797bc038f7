//! A number is the number of the items that paging gives, and a metric is what a recomputation over all items gives.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use mullion_schema::{
    enums::{MetricKind, OrderDirection, WidgetState, WorkItemOrderField, WorkItemState},
    error::{ErrorCode, PortError},
    id::{IntegrationId, NodeReference},
    ports::{Load, MetricSource, MetricValue, PageRequest, Work as _, WorkItemFilter, WorkItemOrder, WorkItemsSource},
};
use proptest::prelude::*;
use serde_json::json;

use super::bench::{World, all_of, issue, issues_of};
use crate::{
    clock::Clock as _,
    provider::{FetchedPage, NodeRef, change::NodeWrite},
    store::tests::bench::draft,
};

const REPOSITORIES: [&str; 2] = ["R1", "R2"];
const LABELS: [&str; 2] = ["bug", "Docs"];
/// Two weeks in minutes.
const LONGEST: i64 = 14 * 24 * 60;

/// An issue as the cases make it; times are minutes before the present.
#[derive(Debug, Clone)]
struct Made {
    repository: usize,
    opened: i64,
    closed: Option<i64>,
    is_planned: bool,
    labels: Vec<usize>,
}

fn made() -> impl Strategy<Value = Made> {
    let closed = prop::option::of(0..LONGEST);
    let labels = prop::sample::subsequence(vec![0usize, 1], 0..=2);
    (0usize..2, 0..LONGEST, closed, any::<bool>(), labels).prop_map(
        |(repository, opened, closed, is_planned, labels)| Made {
            repository,
            opened,
            closed: closed.map(|closed| closed.min(opened)),
            is_planned,
            labels,
        },
    )
}

impl Made {
    fn state(&self) -> WorkItemState {
        match (self.closed, self.is_planned) {
            (None, _) => WorkItemState::Todo,
            (Some(_), true) => WorkItemState::Done,
            (Some(_), false) => WorkItemState::Canceled,
        }
    }

    fn updated(&self) -> i64 {
        self.closed.unwrap_or(self.opened)
    }

    fn written(&self, index: usize, now: DateTime<Utc>) -> NodeWrite {
        let at = |minutes: i64| now - Duration::minutes(minutes);
        let labels: Vec<_> =
            self.labels.iter().map(|label| json!({ "name": LABELS[*label], "color": "ff0000" })).collect();
        let fields = json!({
            "issueState": if self.closed.is_some() { "CLOSED" } else { "OPEN" },
            "stateReason": self.closed.map(|_| if self.is_planned { "COMPLETED" } else { "NOT_PLANNED" }),
            "createdAt": at(self.opened).to_rfc3339(),
            "closedAt": self.closed.map(|closed| at(closed).to_rfc3339()),
            "labels": labels,
        });
        issue(REPOSITORIES[self.repository], &node(index).native_id, at(self.updated()), fields)
    }
}

fn node(index: usize) -> NodeRef {
    NodeRef::new("GithubIssue", format!("I{index:04}"))
}

/// The provider's list of a repository's issues in a state, last updated first.
fn page_of(issues: &[Made], repository: usize, is_open: Option<bool>) -> FetchedPage {
    let belongs =
        |made: &Made| made.repository == repository && is_open.is_none_or(|open| open == made.closed.is_none());
    let mut items: Vec<_> = issues.iter().enumerate().filter(|(_, made)| belongs(made)).collect();
    items.sort_by_key(|(_, made)| made.updated());
    let state = is_open.map(|open| ("states", vec![if open { "OPEN" } else { "CLOSED" }.to_owned()]));
    let items = items.into_iter().map(|(at, _)| node(at)).collect();
    all_of(issues_of(REPOSITORIES[repository]), state.into_iter().collect(), items)
}

impl World {
    /// Holds these issues, as the present account sees them, and the lists of them.
    async fn hold(&self, issues: &[Made], pages: Vec<FetchedPage>) {
        let now = self.store.clock.now();
        let writes = issues.iter().enumerate().map(|(index, made)| made.written(index, now)).collect();
        self.fetched(writes, pages).await;
    }

    async fn metric(&self, metric: MetricKind, window: Duration) -> Load<MetricValue> {
        let window_seconds = u32::try_from(window.num_seconds()).unwrap();
        let source = MetricSource { metric, containers: Some(repositories(&[&self.account])), window_seconds };
        self.session().metric(&source).await.unwrap()
    }
}

fn repositories(accounts: &[&IntegrationId]) -> Vec<NodeReference> {
    let all = accounts.iter().flat_map(|account| REPOSITORIES.map(|id| (*account, id)));
    let reference = |(account, id): (&IntegrationId, &str)| NodeReference {
        integration: account.clone(),
        type_name: "GithubRepository".into(),
        native_id: id.into(),
    };
    all.map(reference).collect()
}

fn all_pages(issues: &[Made]) -> Vec<FetchedPage> {
    let states = [None, Some(true), Some(false)];
    states.into_iter().flat_map(|state| (0..2).map(move |repository| page_of(issues, repository, state))).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn open_issues_are_counted_from_openings_and_closings(
        issues in prop_oneof![prop::collection::vec(made(), 0..40), prop::collection::vec(made(), 200..400)],
        days in 1i64..8,
        read_back_only in any::<bool>(),
    ) {
        runtime().block_on(async {
            let world = World::new().await;
            let (now, window) = (world.store.clock.now(), Duration::days(days));
            let mut pages = all_pages(&issues);
            if read_back_only {
                // Closed ones are read no further than to the first that was closed before the window.
                for page in pages.iter_mut().filter(|page| page.want.filter.get("states").is_some_and(|states| states[0] == "CLOSED")) {
                    let updated = |node: &NodeRef| issues[node.native_id[1..].parse::<usize>().unwrap()].updated();
                    let recent = page.items.iter().take_while(|node| updated(node) <= window.num_minutes() + 1).count();
                    // A provider gives no half pages.
                    let read = (recent + 1).next_multiple_of(50);
                    if read < page.items.len() {
                        page.items.truncate(read);
                        page.next = Some("further down".into());
                    }
                }
            }
            world.hold(&issues, pages).await;
            let load = world.metric(MetricKind::OpenWorkItems, window).await;
            prop_assert_eq!((&load.problems[..], load.state), (&[][..], WidgetState::Ready));
            let open_at = |at: DateTime<Utc>| {
                let before = |minutes: i64| now - Duration::minutes(minutes);
                let open = |made: &&Made| before(made.opened) <= at && made.closed.is_none_or(|closed| at < before(closed));
                number(issues.iter().filter(open).count())
            };
            let measured_at = load.value.series.last().unwrap().0;
            prop_assert_eq!(load.value.value, Some(number(issues.iter().filter(|made| made.closed.is_none()).count())));
            prop_assert_eq!(load.value.previous, Some(open_at(measured_at - window)));
            prop_assert_eq!(load.value.series.len(), 14);
            for (at, value) in load.value.series {
                prop_assert_eq!(Some(value), Some(open_at(at)), "at {}", at);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_total_is_what_paging_gives_and_what_the_states_add_up_to(
        issues in prop::collection::vec(made(), 0..80),
        twice in any::<bool>(),
        questions in prop::collection::vec((
            prop::option::of(prop::sample::subsequence(vec![
                WorkItemState::Todo, WorkItemState::InProgress, WorkItemState::Done, WorkItemState::Canceled,
            ], 0..=4)),
            prop::option::of(prop::sample::subsequence(vec!["BUG", "docs"], 0..=2)),
            prop::option::of(prop_oneof![Just("issue i00"), Just("1"), Just("nowhere")]),
            1usize..60,
        ), 12),
    ) {
        runtime().block_on(async {
            let mut world = World::new().await;
            world.hold(&issues, all_pages(&issues)).await;
            let mut accounts = vec![world.account.clone()];
            if twice {
                // The same account, connected a second time.
                world.account = IntegrationId::from("hub again");
                world.store.db.create_integration(&world.tenant, &world.account, "github", draft("Again")).await.unwrap();
                world.hold(&issues, all_pages(&issues)).await;
                accounts.push(world.account.clone());
            }
            let accounts: Vec<&IntegrationId> = accounts.iter().collect();
            for (states, labels, text, first) in questions {
                let passes = |(index, made): &(usize, &Made)| {
                    let title = format!("issue i{index:04}");
                    states.as_ref().is_none_or(|states| states.contains(&made.state()))
                        && labels.as_ref().is_none_or(|labels| labels.iter().any(|label| {
                            made.labels.iter().any(|known| LABELS[*known].eq_ignore_ascii_case(label))
                        }))
                        && text.is_none_or(|text| title.contains(text))
                };
                let expected = issues.iter().enumerate().filter(passes).count();
                let filter = WorkItemFilter {
                    containers: Some(repositories(&accounts)),
                    states: states.clone(),
                    labels: labels.as_ref().map(|labels| labels.iter().map(|label| (*label).to_owned()).collect()),
                    text: text.map(str::to_owned),
                    ..WorkItemFilter::default()
                };
                let source = WorkItemsSource { filter, order: WorkItemOrder::default() };
                let (mut shown, mut after) = (Vec::new(), None);
                loop {
                    let page = PageRequest { first, after, total: true, ..PageRequest::default() };
                    let load = world.session().work_items(&source, page).await.unwrap();
                    prop_assert_eq!(load.value.total, i64::try_from(expected).ok(), "{:?}", source);
                    after = load.value.items.last().map(|(position, _)| position.clone());
                    shown.extend(load.value.items.into_iter().map(|(_, view)| view.key.native_id.clone()));
                    if !load.value.has_next {
                        break;
                    }
                    prop_assert!(after.is_some(), "there is more, and nothing to go on behind: {:?}", source);
                }
                prop_assert_eq!(shown.len(), expected, "{:?}", source);
                prop_assert_eq!(shown.iter().collect::<BTreeSet<_>>().len(), expected, "{:?}", source);
                let counts = world.session().counts_by_state(&source).await.unwrap();
                prop_assert_eq!(counts.value.values().sum::<i32>(), i32::try_from(expected).unwrap(), "{:?}", source);
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn an_item_is_shown_as_the_integration_that_was_connected_first_shows_it() {
    let mut world = World::new().await;
    let issues = [Made { repository: 0, opened: 1, closed: None, is_planned: true, labels: Vec::new() }];
    world.hold(&issues, all_pages(&issues)).await;
    let first = world.account.clone();
    world.store.clock.advance(Duration::minutes(1));
    for later in ["a", "z"] {
        world.account = IntegrationId::from(later);
        world.store.db.create_integration(&world.tenant, &world.account, "github", draft("Again")).await.unwrap();
        world.hold(&issues, all_pages(&issues)).await;
    }
    let containers = repositories(&[&"a".into(), &first, &"z".into()]);
    let filter = WorkItemFilter { containers: Some(containers), ..WorkItemFilter::default() };
    let source = WorkItemsSource { filter, order: WorkItemOrder::default() };
    let page = PageRequest { first: 9, ..PageRequest::default() };
    let load = world.session().work_items(&source, page).await.unwrap();
    let shown: Vec<_> = load.value.items.iter().map(|(_, view)| &view.key.integration).collect();
    assert_eq!(shown, [&first]);
}

#[tokio::test]
async fn where_a_list_cannot_be_read_back_far_enough_earlier_numbers_are_not_told() {
    let world = World::new().await;
    let issues: Vec<Made> = (0..4)
        .map(|index| Made {
            repository: 0,
            opened: 9_000,
            closed: (index > 1).then_some(60 * index),
            is_planned: true,
            labels: Vec::new(),
        })
        .collect();
    let mut pages = all_pages(&issues);
    for page in &mut pages {
        if page.want.filter.get("states").is_some_and(|states| states[0] == "CLOSED") && !page.items.is_empty() {
            page.next = Some("it cannot be asked for: there is no token".into());
        }
    }
    world.hold(&issues, pages).await;
    let load = world.metric(MetricKind::OpenWorkItems, Duration::days(1)).await;
    assert_eq!((load.value.value, load.value.previous, load.value.series.len()), (Some(2.0), None, 0));
    assert!(!load.problems.is_empty() && load.state != WidgetState::Ready, "{:?}", load.problems);
    let load = world.metric(MetricKind::CompletedWorkItems, Duration::days(1)).await;
    assert_eq!((load.value.value, load.value.previous, load.value.series.len()), (Some(2.0), None, 0));
    assert!(!load.problems.is_empty() && load.state != WidgetState::Ready, "{:?}", load.problems);
}

#[tokio::test]
async fn more_items_than_are_read_are_not_counted_as_if_they_were_all() {
    let many = 1_005;
    let world = World::new().await;
    let issues: Vec<Made> = (0..many)
        .map(|minute| Made { repository: 0, opened: minute, closed: None, is_planned: true, labels: vec![0] })
        .collect();
    world.hold(&issues, all_pages(&issues)).await;
    let codes = |problems: Vec<mullion_schema::ports::Problem>| {
        problems.into_iter().map(|problem| problem.code).collect::<Vec<_>>()
    };
    let load = world.metric(MetricKind::OpenWorkItems, Duration::days(1)).await;
    assert_eq!(load.value.value, Some(1_005.0), "the provider's own number");
    assert_eq!((load.value.previous, load.value.series.len()), (None, 0));
    assert_eq!((codes(load.problems), load.state), (vec![ErrorCode::Incomplete], WidgetState::Ready));

    let source = |labels: Option<&str>| WorkItemsSource {
        filter: WorkItemFilter {
            containers: Some(repositories(&[&world.account])),
            labels: labels.map(|label| vec![label.to_owned()]),
            ..WorkItemFilter::default()
        },
        order: WorkItemOrder::default(),
    };
    let page = || PageRequest { first: 10, total: true, ..PageRequest::default() };
    let all = world.session().work_items(&source(None), page()).await.unwrap();
    assert_eq!((all.value.total, all.value.has_next, codes(all.problems)), (Some(1_005), true, Vec::new()));
    let labelled = world.session().work_items(&source(Some("bug")), page()).await.unwrap();
    assert_eq!((labelled.value.total, labelled.value.has_next), (None, true));
    let is_marked = |state, missing: Option<PortError>| {
        state == WidgetState::Stale && missing.is_some_and(|error| error.code == ErrorCode::Incomplete)
    };
    assert!(is_marked(labelled.state, labelled.missing) && labelled.refreshed_at.is_some());
    assert_eq!(codes(labelled.problems), [ErrorCode::Incomplete]);
    let counts = world.session().counts_by_state(&source(None)).await.unwrap();
    assert!(is_marked(counts.state, counts.missing));
    assert_eq!(codes(counts.problems), [ErrorCode::Incomplete]);
    // An item that matches may be among those that were not read.
    let other = world.session().work_items(&source(Some("no such label")), page()).await.unwrap();
    assert_eq!((other.value.items.len(), other.value.has_next), (0, true));
    assert!(is_marked(other.state, other.missing));
}

#[tokio::test]
async fn paging_behind_the_last_item_that_is_read_ends_with_an_error_that_says_so() {
    let world = World::new().await;
    let issues: Vec<Made> = (0..1_150)
        .map(|minute| Made { repository: 0, opened: minute, closed: None, is_planned: true, labels: Vec::new() })
        .collect();
    world.hold(&issues, all_pages(&issues)).await;
    let filter = WorkItemFilter { containers: Some(repositories(&[&world.account])), ..WorkItemFilter::default() };
    let order = WorkItemOrder { field: WorkItemOrderField::CreatedAt, direction: OrderDirection::Asc };
    let source = WorkItemsSource { filter, order };
    let (mut shown, mut after) = (0, None);
    let end = loop {
        let page = PageRequest { first: 100, after: after.clone(), ..PageRequest::default() };
        let load = match world.session().work_items(&source, page).await {
            Ok(load) => load,
            Err(error) => break error,
        };
        assert_eq!(load.missing.map(|error| error.code), Some(ErrorCode::Incomplete), "the order is that of a part");
        shown += load.value.items.len();
        let last = load.value.items.last().map(|(position, _)| position.clone());
        assert!(load.value.has_next && last.is_some() && last != after, "it does not go on, and does not end");
        after = last;
    };
    assert_eq!((end.code, shown), (ErrorCode::Incomplete, 1_000));
    assert!(end.message.contains("narrow the filter"), "{}", end.message);
}

#[tokio::test]
async fn one_can_page_on_behind_more_items_than_are_counted() {
    let world = World::new().await;
    let issues: Vec<Made> = (0..1_150)
        .map(|minute| Made { repository: 0, opened: minute, closed: None, is_planned: true, labels: Vec::new() })
        .collect();
    world.hold(&issues, all_pages(&issues)).await;
    let filter = WorkItemFilter { containers: Some(repositories(&[&world.account])), ..WorkItemFilter::default() };
    let source = WorkItemsSource { filter, order: WorkItemOrder::default() };
    let (mut shown, mut after) = (0, None);
    loop {
        let page = PageRequest { first: 100, after, ..PageRequest::default() };
        let load = world.session().work_items(&source, page).await.unwrap();
        shown += load.value.items.len();
        after = load.value.items.last().map(|(position, _)| position.clone());
        if !load.value.has_next {
            break;
        }
        assert!(after.is_some(), "after {shown} items there is more, and nothing to go on behind");
    }
    assert_eq!(shown, issues.len());
}
