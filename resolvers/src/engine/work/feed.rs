//! Feeds: the lists of several containers as one.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, NaiveTime};
use futures::future::join_all;
use mullion_schema::{
    enums::{PullRequestState, WorkItemType},
    error::{ErrorCode, PortError},
    fields::FieldSet,
    id::{IntegrationId, NodeReference},
    ports::{BuildsSource, Filter, List, ListQuery, PageRequest, Position, Problem, PullRequestsSource},
    view::NodeView,
};

use super::{By, DEEP, Facts, Gathered, filter::WorkFilter, problem};
use crate::{
    engine::{integrations::Integration, readers::Reading, session::Session, whole::Whole},
    provider::ContainerLists,
};

/// Containers of one account that are looked at where a filter names none.
const CONTAINERS: usize = 100;
/// Items that are read of a list in one go.
const STEP: usize = 100;
/// Items in memory that are looked at before others may have their turn.
const STRETCH: usize = 64;

/// The order of a feed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) by: By,
    pub(super) ascending: bool,
}

/// One reading of several containers.
pub(super) struct Feed<'a> {
    pub(super) session: &'a Session,
    pub(super) order: Order,
    pub(super) fields: FieldSet,
    /// How much is enough; `None`: everything, within bounds.
    pub(super) enough: Option<&'a PageRequest>,
}

/// A container with the adapter's word on its lists.
struct Container {
    integration: Arc<Integration>,
    lists: &'static ContainerLists,
    native_id: Arc<str>,
}

/// Reads that have begun, by integration: their lists are read next.
type Begun = HashMap<IntegrationId, Reading>;

/// Whether an item passes.
type Admits<'a> = dyn Fn(&Integration, &NodeView, &Facts) -> bool + Sync + 'a;

/// One list to read.
struct Source<'f> {
    container: &'f Container,
    name: &'static str,
    filter: Filter,
    /// The list comes in the order of the feed, so that its head is enough.
    in_order: bool,
}

impl Feed<'_> {
    /// Issues, tasks and, where they are wanted, pull requests.
    pub(super) async fn work_items(&self, filter: &WorkFilter<'_>) -> Result<Gathered, PortError> {
        let wanted = &filter.source;
        let (containers, mut gathered, begun) = self
            .containers(wanted.containers.as_deref(), wanted.providers.as_deref(), |lists| {
                lists.work_items.is_some() || lists.pull_requests.is_some()
            })
            .await?;
        let mut sources = Vec::new();
        for container in &containers {
            sources.extend(self.issues(container, filter));
            sources.extend(self.changes(container, filter));
        }
        let admits =
            |integration: &Integration, view: &NodeView, facts: &Facts| filter.admits(integration, view, facts);
        self.gather(&mut gathered, (sources, begun), &admits).await;
        Ok(gathered)
    }

    fn issues<'f>(&self, container: &'f Container, filter: &WorkFilter<'_>) -> Option<Source<'f>> {
        let lists = container.lists.work_items.as_ref()?;
        let kind = if lists.item_type == "TASK" { WorkItemType::Task } else { WorkItemType::Issue };
        if !filter.wants(kind) {
            return None;
        }
        let narrowed = match filter.open_and_closed() {
            (true, true) => None,
            (true, false) => lists.open,
            (false, true) => lists.closed,
            (false, false) => return None,
        };
        let arguments = narrowed.map(|(name, value)| (name, vec![value.to_owned()])).into_iter().collect();
        let in_order = lists.newest_first.is_some_and(|key| By::Key(key) == self.order.by) && !self.order.ascending;
        Some(Source { container, name: lists.list, filter: arguments, in_order })
    }

    fn changes<'f>(&self, container: &'f Container, filter: &WorkFilter<'_>) -> Option<Source<'f>> {
        let (name, argument) = container.lists.pull_requests?;
        if !filter.wants(WorkItemType::PullRequest) {
            return None;
        }
        let states = match filter.open_and_closed() {
            (true, true) => Vec::new(),
            (true, false) => vec!["OPEN".to_owned()],
            (false, true) => vec!["CLOSED".to_owned(), "MERGED".to_owned()],
            (false, false) => return None,
        };
        let arguments = if states.is_empty() { Filter::new() } else { Filter::from([(argument, states)]) };
        let in_order = self.order.by == By::Key("updatedAt") && !self.order.ascending;
        Some(Source { container, name, filter: arguments, in_order })
    }

    /// Pull requests, in the order of their lists.
    pub(super) async fn pull_requests(&self, source: &PullRequestsSource) -> Result<Gathered, PortError> {
        let (containers, mut gathered, begun) =
            self.containers(Some(&source.containers), None, |lists| lists.pull_requests.is_some()).await?;
        let states = source.states.as_ref().map(|states| {
            let mut names: Vec<String> = states.iter().map(PullRequestState::to_string).collect();
            names.sort();
            names.dedup();
            names
        });
        let sources = containers.iter().filter_map(|container| {
            let (name, argument) = container.lists.pull_requests?;
            let filter = states.clone().map(|states| (argument, states)).into_iter().collect();
            Some(Source { container, name, filter, in_order: true })
        });
        let admits = |integration: &Integration, view: &NodeView, _: &Facts| {
            source.authors.as_ref().is_none_or(|authors| {
                let author = view.reference("author");
                authors.iter().any(|known| {
                    known.integration == integration.id && author == Some((&*known.type_name, &*known.native_id))
                })
            })
        };
        self.gather(&mut gathered, (sources.collect(), begun), &admits).await;
        Ok(gathered)
    }

    /// Builds, in the order of their lists.
    pub(super) async fn builds(&self, source: &BuildsSource) -> Result<Gathered, PortError> {
        let (containers, mut gathered, begun) =
            self.containers(Some(&source.containers), None, |lists| lists.builds.is_some()).await?;
        let sources = containers.iter().filter_map(|container| {
            let (name, argument) = container.lists.builds?;
            let filter = source.branch.clone().map(|branch| (argument, vec![branch])).into_iter().collect();
            Some(Source { container, name, filter, in_order: true })
        });
        self.gather(&mut gathered, (sources.collect(), begun), &|_, _, _| true).await;
        Ok(gathered)
    }

    /// Messages, in the order of their lists.
    pub(super) async fn messages(&self, containers: &[NodeReference]) -> Result<Gathered, PortError> {
        let (containers, mut gathered, begun) =
            self.containers(Some(containers), None, |lists| lists.messages.is_some()).await?;
        let sources = containers.iter().filter_map(|container| {
            Some(Source { container, name: container.lists.messages?, filter: Filter::new(), in_order: true })
        });
        self.gather(&mut gathered, (sources.collect(), begun), &|_, _, _| true).await;
        Ok(gathered)
    }

    /// The containers that are named, or all that fit.
    pub(super) async fn named_or_all(
        &self,
        named: Option<Vec<NodeReference>>,
        fits: impl Fn(&ContainerLists) -> bool + Send + Sync,
    ) -> Result<Vec<NodeReference>, PortError> {
        if let Some(named) = named {
            return Ok(named);
        }
        let (containers, ..) = self.containers(None, None, fits).await?;
        Ok(containers
            .into_iter()
            .map(|container| NodeReference {
                integration: container.integration.id.clone(),
                type_name: container.lists.container.into(),
                native_id: container.native_id,
            })
            .collect())
    }

    async fn gather(&self, gathered: &mut Gathered, (sources, begun): (Vec<Source<'_>>, Begun), admits: &Admits<'_>) {
        let reads = sources.iter().map(|source| {
            let id = &source.container.integration.id;
            let reading = begun.get(id).cloned();
            self.read(source, reading, admits)
        });
        let reads: Vec<_> = reads.collect();
        drop(begun);
        for part in join_all(reads).await {
            gathered.join(part);
        }
    }

    /// Reads one list as far as the page needs it.
    async fn read(&self, source: &Source<'_>, begun: Option<Reading>, admits: &Admits<'_>) -> Gathered {
        let integration = &source.container.integration;
        let list = List {
            integration: integration.id.clone(),
            parent: Some((source.container.lists.container, Arc::clone(&source.container.native_id))),
            name: source.name,
            filter: source.filter.clone(),
        };
        let engine = self.session.engine();
        // From the head of an ordered list, one more than the page holds tells whether it goes on.
        let page = self.enough.filter(|page| source.in_order && page.after.is_none());
        let first = page.map_or(STEP, |page| STEP.min(page.first + 1));
        let mut query = ListQuery { list, first, after: None, fields: self.fields.clone() };
        let scope = self.session.scope();
        // Batches of this integration wait while the store is looked into.
        let mut reading = begun.unwrap_or_else(|| engine.reading(scope, &integration.id));
        if let Some(whole) = engine.whole_list(scope, &query).await
            && let Some(part) = self.walk(&whole, (source.in_order, first), admits).await
        {
            return part;
        }
        let mut part = Gathered { total: Some(0), ..Gathered::default() };
        let mut looked_at = 0;
        loop {
            let listed = match engine.read_list_while(scope, &query, reading).await {
                Ok(listed) => listed,
                Err(error) => {
                    part.problems.push(problem(&error, engine.clock.now()));
                    part.total = None;
                    return part;
                }
            };
            reading = engine.reading(scope, &integration.id);
            part.refreshed_at = listed.refreshed_at;
            let (count, total) = (listed.items.len(), listed.total);
            looked_at += count;
            query.first = STEP;
            query.after = listed.items.last().map(|(position, _)| position.clone()).or(query.after);
            let admitted = listed.items.into_iter().filter(|(_, view)| admits(integration, view, &Facts::default()));
            part.items.extend(admitted.map(|(listed, view)| (self.position(&listed, &view), view)));
            if let Some(error) = &listed.failure {
                part.problems.push(problem(error, engine.clock.now()));
                part.stale = true;
            }
            let complete = !listed.has_next || count == 0;
            let enough = source.in_order && self.enough.is_some_and(|page| part.reaches(page));
            if complete || enough || looked_at >= DEEP || part.stale {
                part.has_more = !complete;
                // Only where nothing was filtered out does the provider's count say how many pass.
                part.total = if complete {
                    i64::try_from(part.items.len()).ok()
                } else {
                    total.filter(|_| part.items.len() == looked_at)
                };
                return part;
            }
        }
    }

    /// The same over a list that is all in memory, as if it were read page by page, the first with `first` items. `None`: not all
    /// is known that is needed.
    async fn walk(&self, whole: &Whole, (in_order, first): (bool, usize), admits: &Admits<'_>) -> Option<Gathered> {
        let enough = self.enough.filter(|_| in_order);
        let mut part = Gathered { refreshed_at: Some(whole.refreshed_at()), ..Gathered::default() };
        let mut tags = Vec::new();
        let (mut looked_at, mut end_of_page) = (0, first);
        for item in whole.items() {
            let (listed, known) = item?;
            if looked_at == end_of_page {
                end_of_page += STEP;
                if enough.is_some_and(|page| part.reaches(page)) {
                    part.has_more = true;
                    part.total = Some(whole.count()).filter(|_| part.items.len() == looked_at);
                    self.session.scope().record_all(tags);
                    return Some(part);
                }
            }
            looked_at += 1;
            if enough.is_some() {
                tags.push(known.tag.clone());
            }
            if admits(&whole.integration, &known.view, &known.facts) {
                part.items.push((self.position(listed, &known.view), Arc::clone(&known.view)));
            }
            if looked_at.is_multiple_of(STRETCH) {
                // One document may ask for many such walks: others have their turn in between.
                tokio::task::consume_budget().await;
            }
        }
        self.session.scope().record_group(whole.tags());
        part.total = i64::try_from(part.items.len()).ok();
        Some(part)
    }

    /// Where an item stands in the feed.
    fn position(&self, listed: &Position, view: &NodeView) -> Position {
        // Where everything is wanted, nobody pages through it.
        if self.enough.is_none() {
            return Position { sort: String::new(), native_id: String::new() };
        }
        let sort = match self.order.by {
            By::Listed => listed.sort.clone(),
            By::Key(key) => {
                let time =
                    view.time(key).or_else(|| view.date(key).map(|date| date.and_time(NaiveTime::MIN).and_utc()));
                sort_text(time, self.order.ascending)
            }
        };
        Position { sort, native_id: view.key.reference() }
    }

    /// The containers that are named, or all that the account lists; those that cannot be used are problems.
    async fn containers(
        &self,
        named: Option<&[NodeReference]>,
        providers: Option<&[String]>,
        fits: impl Fn(&ContainerLists) -> bool + Send + Sync,
    ) -> Result<(Vec<Container>, Gathered, Begun), PortError> {
        let mut gathered = Gathered { total: Some(0), ..Gathered::default() };
        let mut containers = Vec::new();
        let wanted = |integration: &Integration| {
            providers.is_none_or(|keys| keys.iter().any(|key| key == integration.provider.descriptor().key))
        };
        let engine = self.session.engine();
        let Some(named) = named else {
            let all = engine.directory.all(&self.session.scope().tenant).await?;
            self.session.scope().record(crate::tag::Tag::own_list(&self.session.scope().tenant, "integrations"));
            for integration in all.into_iter().filter(|integration| wanted(integration)) {
                self.all_containers(integration, &fits, &mut containers, &mut gathered).await;
            }
            return Ok((containers, gathered, Begun::new()));
        };
        // Batches of these integrations wait for us from here on: lists are going to be read.
        let scope = self.session.scope();
        let reading = |id: &IntegrationId| (id.clone(), engine.reading(scope, id));
        let begun = named.iter().map(|reference| reading(&reference.integration)).collect();
        for reference in named {
            let integration = engine.directory.get(&self.session.scope().tenant, &reference.integration).await?;
            let Some(integration) = integration else {
                gathered.problems.push(gone(&reference.integration));
                continue;
            };
            let lists = lists_of(&integration, &reference.type_name);
            match lists.filter(|lists| fits(lists)) {
                Some(_) if !wanted(&integration) => {}
                Some(lists) => {
                    containers.push(Container { integration, lists, native_id: Arc::clone(&reference.native_id) });
                }
                None => {
                    gathered.unsupported = true;
                    gathered.problems.push(unsupported(&integration, &reference.type_name));
                }
            }
        }
        Ok((containers, gathered, begun))
    }

    async fn all_containers(
        &self,
        integration: Arc<Integration>,
        fits: &(impl Fn(&ContainerLists) -> bool + Send + Sync),
        containers: &mut Vec<Container>,
        gathered: &mut Gathered,
    ) {
        let engine = self.session.engine();
        for lists in integration.provider.containers().iter().filter(|lists| fits(lists)) {
            let list =
                List { integration: integration.id.clone(), parent: None, name: lists.all, filter: Filter::new() };
            let query = ListQuery { list, first: CONTAINERS, after: None, fields: FieldSet::default() };
            match engine.read_list(self.session.scope(), &query).await {
                Ok(listed) => {
                    // Containers that could not be listed are missing, whatever the others give.
                    if let Some(error) = &listed.failure {
                        gathered.problems.push(problem(error, engine.clock.now()));
                    }
                    if listed.failure.is_some() || listed.has_next {
                        gathered.total = None;
                    }
                    containers.extend(listed.items.into_iter().map(|(_, view)| Container {
                        integration: Arc::clone(&integration),
                        lists,
                        native_id: Arc::clone(&view.key.native_id),
                    }));
                }
                Err(error) => gathered.problems.push(problem(&error, engine.clock.now())),
            }
        }
    }
}

impl Gathered {
    /// Whether there are enough items for a page, and one more to know whether it goes on.
    fn reaches(&self, page: &PageRequest) -> bool {
        let after = page.after.as_ref();
        self.items.iter().filter(|(position, _)| after.is_none_or(|after| position > after)).count() > page.first
    }
}

fn lists_of(integration: &Integration, type_name: &str) -> Option<&'static ContainerLists> {
    integration.provider.containers().iter().find(|lists| lists.container == type_name)
}

fn gone(integration: &IntegrationId) -> Problem {
    Problem {
        code: ErrorCode::NotFound,
        message: "the integration that this was read through is not connected any more".into(),
        integration: Some(integration.clone()),
        retry_after: None,
    }
}

fn unsupported(integration: &Integration, type_name: &str) -> Problem {
    Problem {
        code: ErrorCode::BadUserInput,
        message: format!("this version has no such lists of a {type_name}; take it out of the widget's source"),
        integration: Some(integration.id.clone()),
        retry_after: None,
    }
}

/// Text whose ascending order is the order of the times, those without one last either way.
fn sort_text(time: Option<DateTime<chrono::Utc>>, ascending: bool) -> String {
    const LAST: &str = "~";
    let Some(time) = time else { return LAST.to_owned() };
    // Shifted so that times before 1970 are positive: 19 digits hold every microsecond that chrono knows.
    let micros = time.timestamp_micros().saturating_add(1 << 62);
    let key = if ascending { micros } else { i64::MAX - micros };
    format!("{key:019}")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::sort_text;

    #[test]
    fn times_sort_both_ways_and_nothing_comes_last() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        assert!(sort_text(at(-5), true) < sort_text(at(0), true));
        assert!(sort_text(at(0), true) < sort_text(at(1_700_000_000), true));
        assert!(sort_text(at(1_700_000_000), false) < sort_text(at(0), false));
        assert!(sort_text(at(1_700_000_000), true) < sort_text(None, true));
        assert!(sort_text(at(-5), false) < sort_text(None, false));
    }
}
