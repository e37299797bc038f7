//! The containers of a feed: those that are named, or all that the accounts have.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use futures::future::join_all;
use mullion_schema::{
    error::{ErrorCode, PortError},
    id::{IntegrationId, NodeKey, NodeReference},
    ports::Problem,
};
use url::Url;

use super::{
    container::{CONTAINERS, Container, all_containers},
    feed::{BegunReads, Feed},
    gathered::Gathered,
};
use crate::{
    provider::ContainerLists,
    reading::{failure::token_refused, integrations::Integration},
    tag::Tag,
};

/// The next step of a tenant that has no integrations, or none any more.
fn nothing_connected() -> Problem {
    Problem {
        code: ErrorCode::NotFound,
        message: "no account is connected: an admin connects one with the mutation connectIntegration".to_owned(),
        integration: None,
        retry_after: None,
    }
}

/// The containers that a feed reads.
pub(super) struct FeedContainers {
    pub(super) containers: Vec<Container>,
    /// The problems with those that it cannot read; no items yet.
    pub(super) gathered: Gathered,
    pub(super) begun: BegunReads,
}

impl Feed<'_> {
    /// The containers that are named, or all that fit.
    pub(super) async fn named_or_all(
        &self,
        named: Option<Vec<NodeReference>>,
        fits: impl Fn(&ContainerLists) -> bool + Send + Sync,
    ) -> Result<(Vec<NodeReference>, Gathered), PortError> {
        if let Some(named) = named {
            return Ok((named, Gathered::nothing()));
        }
        let found = self.containers(None, None, fits).await?;
        let containers = found.containers.into_iter().map(|container| NodeReference {
            integration: container.integration.id.clone(),
            type_name: container.lists.container.into(),
            native_id: container.native_id,
        });
        Ok((containers.collect(), found.gathered))
    }

    /// The containers that are named, or all that the accounts list; those that cannot be used are problems.
    pub(super) async fn containers(
        &self,
        named: Option<&[NodeReference]>,
        providers: Option<&[String]>,
        fits: impl Fn(&ContainerLists) -> bool + Send + Sync,
    ) -> Result<FeedContainers, PortError> {
        let wanted = |integration: &Integration| {
            providers.is_none_or(|keys| keys.iter().any(|key| key == integration.provider.descriptor().key))
        };
        let mut found =
            FeedContainers { containers: Vec::new(), gathered: Gathered::nothing(), begun: BegunReads::new() };
        let (engine, scope) = (self.session.engine(), self.session.scope());
        let Some(named) = named else {
            let all = engine.directory.all(&scope.tenant).await?;
            scope.record(Tag::own_list(&scope.tenant, "integrations"));
            found.gathered.hint = all.is_empty().then(nothing_connected);
            let all: Vec<_> = all.into_iter().filter(|integration| wanted(integration)).collect();
            // Side by side: one that answers slowly is waited for once.
            for (containers, gathered) in join_all(all.iter().map(|one| self.all_containers(one, &fits))).await {
                found.containers.extend(containers);
                found.gathered.join(gathered);
            }
            return Ok(self.checked(found));
        };
        // Batches of these integrations wait for us from here on: lists are going to be read.
        let reading = |id: &IntegrationId| (id.clone(), engine.reading(scope, id));
        found.begun = named.iter().map(|reference| reading(&reference.integration)).collect();
        let mut known = HashSet::new();
        for reference in named.iter().filter(|reference| known.insert(*reference)) {
            let Some(integration) = engine.directory.get(&scope.tenant, &reference.integration).await? else {
                found.gathered.lack(gone(&reference.integration));
                continue;
            };
            let lists = lists_of(&integration, &reference.type_name);
            match lists.filter(|lists| fits(lists)) {
                Some(_) if !wanted(&integration) => {}
                Some(lists) => found.containers.push(Container::new(&integration, lists, &reference.native_id)),
                None => {
                    found.gathered.unsupported = true;
                    found.gathered.lack(unsupported(&integration, &reference.type_name));
                }
            }
        }
        self.leave_out_deleted(&mut found).await?;
        Ok(self.checked(found))
    }

    /// With what is to be said of all of them.
    fn checked(&self, mut found: FeedContainers) -> FeedContainers {
        found.note_twice();
        let now = self.session.engine().clock.now();
        let mut known = HashSet::new();
        for integration in found.containers.iter().map(|container| &container.integration) {
            // Also where everything is known: nobody finds what webhooks did not tell.
            if integration.refused.load(Ordering::Relaxed) && known.insert(&integration.id) {
                found.gathered.outdate(&token_refused(integration), now);
            }
        }
        found
    }

    /// Takes out the containers that were deleted, and says so. Their items may still be known, and no webhook tells of them.
    async fn leave_out_deleted(&self, found: &mut FeedContainers) -> Result<(), PortError> {
        let (engine, scope) = (self.session.engine(), self.session.scope());
        let keys: Vec<NodeKey> = found.containers.iter().map(Container::key).collect();
        scope.record_all(keys.iter().map(|key| Tag::node(&scope.tenant, key)));
        let mut are_deleted = engine.cached_store.are_deleted(&scope.tenant, &keys).await?.into_iter();
        let FeedContainers { containers, gathered, .. } = found;
        containers.retain(|container| {
            let is_deleted = are_deleted.next() == Some(true);
            if is_deleted {
                gathered.lack(deleted(container));
            }
            !is_deleted
        });
        Ok(())
    }

    async fn all_containers(
        &self,
        integration: &Arc<Integration>,
        fits: &(impl Fn(&ContainerLists) -> bool + Send + Sync),
    ) -> (Vec<Container>, Gathered) {
        let engine = self.session.engine();
        let (mut found, mut gathered) = (Vec::new(), Gathered::nothing());
        for lists in integration.provider.containers().iter().filter(|lists| fits(lists)) {
            let listed = match engine.read_list(self.session.scope(), &all_containers(integration, lists)).await {
                Ok(listed) => listed,
                Err(error) => {
                    gathered.miss(&error, engine.clock.now());
                    continue;
                }
            };
            let containers = listed.items.iter().map(|(_, view)| &view.key.native_id);
            found.extend(containers.map(|id| Container::new(integration, lists, id)));
            match &listed.failure {
                Some(error) if listed.is_cut => gathered.miss(error, engine.clock.now()),
                Some(error) => gathered.outdate(error, engine.clock.now()),
                None if listed.has_next => gathered.cut(too_many(&integration.id)),
                None => {}
            }
        }
        (found, gathered)
    }
}

impl FeedContainers {
    /// Notes which containers several integrations show: their items are the same.
    fn note_twice(&mut self) {
        let mut times: HashMap<(&Url, &str, &str), usize> = HashMap::new();
        for container in &self.containers {
            *times.entry(container.identity()).or_default() += 1;
        }
        if times.len() == self.containers.len() {
            return;
        }
        let is_twice = |container: &Container| times.get(&container.identity()).is_some_and(|times| *times > 1);
        let twice: Vec<bool> = self.containers.iter().map(is_twice).collect();
        for (container, is_twice) in self.containers.iter_mut().zip(twice) {
            container.is_twice = is_twice;
        }
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

fn deleted(container: &Container) -> Problem {
    let type_name = container.lists.container;
    Problem {
        code: ErrorCode::NotFound,
        message: format!(
            "a {type_name} of the widget's source was deleted or goes on under another id: choose another one"
        ),
        integration: Some(container.integration.id.clone()),
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

fn too_many(integration: &IntegrationId) -> Problem {
    Problem {
        code: ErrorCode::Incomplete,
        message: format!(
            "only the first {CONTAINERS} containers of the account are looked at: name those that you need"
        ),
        integration: Some(integration.clone()),
        retry_after: None,
    }
}
