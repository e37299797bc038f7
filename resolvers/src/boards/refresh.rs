//! Refreshing a widget: the lists that it is read from become stale, so that the next reading asks their providers.

use std::{collections::HashSet, sync::Arc};

use mullion_schema::{
    enums::MetricKind,
    error::PortError,
    id::{IntegrationId, NodeReference},
    ports::{Nodes as _, Source},
};

use super::BoardsAnswer;
use crate::{
    provider::{ContainerLists, ListRef, NodeRef, change::Change},
    reading::{all_containers, integrations::Integration, internal, session::Session},
    store::apply::Batch,
};

impl BoardsAnswer {
    /// Makes the lists stale that a widget with this source is read from.
    pub(super) async fn outdate(&self, source: &Source) -> Result<(), PortError> {
        let directory = self.services.engine.directory();
        match source.containers() {
            Some(named) => {
                let ids: HashSet<&IntegrationId> = named.iter().map(|node| &node.integration).collect();
                for id in ids {
                    // One that was disconnected since has nothing to read.
                    let Some(integration) = directory.get(&self.scope.tenant, id).await? else { continue };
                    let lists = lists_of_named(source, &integration, named);
                    self.outdate_lists(&integration, lists).await?;
                }
            }
            None => {
                for integration in directory.all(&self.scope.tenant).await? {
                    if has_provider(source, &integration) {
                        let lists = self.lists_of_all(source, &integration).await;
                        self.outdate_lists(&integration, lists).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn outdate_lists(&self, integration: &Integration, stale_lists: Vec<ListRef>) -> Result<(), PortError> {
        if stale_lists.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::of_fetch(self.services.clock.now());
        batch.changes.push(Change { stale_lists, ..Change::default() });
        self.services.applier.apply(integration, batch).await.map_err(internal).map(drop)
    }

    /// The lists of all containers of an integration that a source can be read from, and the lists of these containers.
    async fn lists_of_all(&self, source: &Source, integration: &Integration) -> Vec<ListRef> {
        let session = Session::new(Arc::clone(&self.services.engine), Arc::clone(&self.scope));
        let mut stale = Vec::new();
        for lists in integration.provider.containers().iter().filter(|lists| !names(source, lists).is_empty()) {
            match session.list(all_containers(integration, lists)).await {
                Ok(page) => stale.extend(page.items.iter().flat_map(|(_, view)| {
                    let container = NodeRef::new(lists.container, Arc::clone(&view.key.native_id));
                    lists_of(source, lists, &container)
                })),
                // The widget meets the same failure when it is read, and says so.
                Err(error) => tracing::debug!(error = error.message, "the containers of a widget could not be listed"),
            }
            stale.push(ListRef { parent: None, name: lists.all });
        }
        stale
    }
}

fn lists_of_named(source: &Source, integration: &Integration, named: &[NodeReference]) -> Vec<ListRef> {
    let containers = integration.provider.containers();
    let of_it = named.iter().filter(|node| node.integration == integration.id);
    let lists = of_it.flat_map(|node| {
        let known = containers.iter().filter(|lists| lists.container == &*node.type_name);
        known.flat_map(|lists| {
            lists_of(source, lists, &NodeRef::new(lists.container, Arc::clone(&node.native_id))).collect::<Vec<_>>()
        })
    });
    lists.collect()
}

/// The lists of a container that a source is read from.
fn lists_of(source: &Source, lists: &ContainerLists, container: &NodeRef) -> impl Iterator<Item = ListRef> + use<> {
    let container = container.clone();
    names(source, lists).into_iter().map(move |name| ListRef { parent: Some(container.clone()), name })
}

/// The names of the lists that a source is read from.
fn names(source: &Source, lists: &ContainerLists) -> Vec<&'static str> {
    let work_items = lists.work_items.as_ref().map(|items| items.list);
    let pull_requests = lists.pull_requests.map(|(name, _)| name);
    let builds = lists.builds.map(|(name, _)| name);
    let (first, second) = match source {
        Source::WorkItems(_) => (work_items, pull_requests),
        Source::PullRequests(_) => (pull_requests, None),
        Source::Builds(_) => (builds, None),
        Source::Messages(_) => (lists.messages, None),
        // Activities are not read from providers.
        Source::Activity(_) => (None, None),
        Source::Metric(metric) => match metric.metric {
            MetricKind::OpenPullRequests | MetricKind::MedianTimeToMerge => (pull_requests, None),
            MetricKind::BuildSuccessRate => (builds, None),
            MetricKind::OpenWorkItems | MetricKind::CompletedWorkItems => (work_items, pull_requests),
            MetricKind::Messages => (lists.messages, None),
        },
    };
    first.into_iter().chain(second).collect()
}

/// Whether a source reads integrations of this provider.
fn has_provider(source: &Source, integration: &Integration) -> bool {
    let providers = match source {
        Source::WorkItems(source) => source.filter.providers.as_deref(),
        _ => None,
    };
    providers.is_none_or(|keys| keys.iter().any(|key| key == integration.provider.descriptor().key))
}
