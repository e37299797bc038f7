//! Which lists a feed of each kind reads. How far, `read_source` decides.

use std::sync::Arc;

use chrono::Duration;
use futures::future::join_all;
use mullion_schema::{
    enums::{PullRequestState, WorkItemType},
    error::PortError,
    id::NodeReference,
    ports::{BuildsSource, Filter, PullRequestsSource},
    view::NodeView,
};

use super::{
    container::Container,
    feed::{Admits, BegunReads, By, Feed, NewestFirst, Source},
    filter::WorkFilter,
    gathered::Gathered,
};
use crate::reading::{cached_store::derived::DerivedFacts, integrations::Integration};

impl Feed<'_> {
    /// Issues, tasks and, where they are wanted, pull requests.
    pub(super) async fn work_items(&self, filter: &WorkFilter<'_>) -> Result<Gathered, PortError> {
        let wanted = &filter.source;
        let found = self
            .containers(wanted.containers.as_deref(), wanted.providers.as_deref(), |lists| {
                lists.work_items.is_some() || lists.pull_requests.is_some()
            })
            .await?;
        let shares = |container: &&Container| container.lists.work_items.as_ref().is_some_and(|lists| lists.in_several);
        let several = found.containers.iter().filter(shares).count() > 1;
        let mut sources = Vec::new();
        for container in &found.containers {
            sources.extend(self.issues(container, filter, several));
            sources.extend(self.changes(container, filter));
        }
        let admits =
            |integration: &Integration, view: &NodeView, facts: &DerivedFacts| filter.admits(integration, view, facts);
        Ok(self.gather(found.gathered, sources, found.begun, &admits).await)
    }

    fn issues<'f>(&self, container: &'f Container, filter: &WorkFilter<'_>, several: bool) -> Option<Source<'f>> {
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
        Some(Source {
            container,
            name: lists.list,
            filter: arguments,
            in_order: lists.newest_first.is_some_and(|key| self.is_by(key)),
            newest_first: lists.newest_first.map(NewestFirst::by),
            exact: filter.is_only_of_states() && (filter.takes_all_states() || narrowed.is_some()),
            overlaps: container.is_twice || (lists.in_several && several),
        })
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
        Some(Source {
            container,
            name,
            filter: arguments,
            in_order: self.is_by("updatedAt"),
            newest_first: Some(NewestFirst::by("updatedAt")),
            exact: filter.is_only_of_states(),
            overlaps: container.is_twice,
        })
    }

    /// Whether the feed goes by this time, newest first.
    fn is_by(&self, key: &'static str) -> bool {
        self.order.by == By::Key(key) && !self.order.ascending
    }

    /// Pull requests, in the order of their lists.
    pub(super) async fn pull_requests(&self, source: &PullRequestsSource) -> Result<Gathered, PortError> {
        let found = self.containers(Some(&source.containers), None, |lists| lists.pull_requests.is_some()).await?;
        let states = source.states.as_ref().map(|states| {
            let mut names: Vec<String> = states.iter().map(PullRequestState::to_string).collect();
            names.sort();
            names.dedup();
            names
        });
        let wanted = states.as_ref().is_none_or(|states| !states.is_empty());
        let sources = found.containers.iter().filter(|_| wanted).filter_map(|container| {
            let (name, argument) = container.lists.pull_requests?;
            let filter = states.clone().map(|states| (argument, states)).into_iter().collect();
            let exact = source.authors.is_none();
            Some(Source { exact, ..Source::listed(container, name, filter, NewestFirst::by("updatedAt")) })
        });
        let admits = |integration: &Integration, view: &NodeView, _: &DerivedFacts| {
            source.authors.as_ref().is_none_or(|authors| {
                let author = view.reference("author");
                authors.iter().any(|known| {
                    known.integration == integration.id && author == Some((&*known.type_name, &*known.native_id))
                })
            })
        };
        Ok(self.gather(found.gathered, sources.collect(), found.begun, &admits).await)
    }

    /// Builds, in the order of their lists.
    pub(super) async fn builds(&self, source: &BuildsSource) -> Result<Gathered, PortError> {
        let found = self.containers(Some(&source.containers), None, |lists| lists.builds.is_some()).await?;
        let sources = found.containers.iter().filter_map(|container| {
            let (name, argument) = container.lists.builds?;
            let filter = source.branch.clone().map(|branch| (argument, vec![branch])).into_iter().collect();
            let order = NewestFirst { key: "createdAt", lag: Duration::days(container.lists.days_of_a_build) };
            Some(Source::listed(container, name, filter, order))
        });
        Ok(self.gather(found.gathered, sources.collect(), found.begun, &|_, _, _| true).await)
    }

    /// Messages, in the order of their lists.
    pub(super) async fn messages(&self, containers: &[NodeReference]) -> Result<Gathered, PortError> {
        let found = self.containers(Some(containers), None, |lists| lists.messages.is_some()).await?;
        let sources = found.containers.iter().filter_map(|container| {
            let name = container.lists.messages?;
            Some(Source::listed(container, name, Filter::new(), NewestFirst::by("sentAt")))
        });
        Ok(self.gather(found.gathered, sources.collect(), found.begun, &|_, _, _| true).await)
    }

    async fn gather(
        &self,
        mut gathered: Gathered,
        sources: Vec<Source<'_>>,
        begun: BegunReads,
        admits: &Admits<'_>,
    ) -> Gathered {
        for source in sources.iter().filter(|source| source.overlaps) {
            gathered.overlaps = true;
            let integration = &source.container.integration;
            gathered.shown_by.entry(integration.id.clone()).or_insert_with(|| Arc::clone(integration));
        }
        let reads = sources.iter().map(|source| {
            let reading = begun.get(&source.container.integration.id).cloned();
            self.read(source, reading, admits)
        });
        let reads: Vec<_> = reads.collect();
        drop(begun);
        for part in join_all(reads).await {
            gathered.join(part);
        }
        gathered
    }
}
