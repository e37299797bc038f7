//! Divides fetches among all replicas: one that finds another fetching a thing, or just done with it, waits and reads the store.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use mullion_schema::{
    id::IntegrationId,
    ports::{Filter, List},
};
use tokio::time::{Instant, sleep};

use crate::{
    error_chain::chain,
    provider::{FetchWant, Fetched, ListRef},
    reading::{integrations::Integration, list_items::opaque_items, lookup_lists::lookup_list},
    store::{Database, StoreError, list::Window, merge::Source},
};

/// How long another replica's fetch is waited for: it may be paused, or dead.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked whether it is done.
const LOOK: Duration = Duration::from_millis(25);

/// Claims of this process, or of none where there is no other.
pub struct Claims(Option<Shared>);

struct Shared {
    database: Database,
    owner: Arc<str>,
}

impl Claims {
    /// For a process that is alone with its database: all is its own, and nothing is written.
    pub fn alone() -> Self {
        Self(None)
    }

    /// For one of several over a database.
    pub fn shared(database: Database) -> Result<Self, StoreError> {
        let owner = database.new_id()?.into();
        Ok(Self(Some(Shared { database, owner })))
    }

    /// Whether there may be others.
    pub(crate) fn are_shared(&self) -> bool {
        self.0.is_some()
    }

    /// Claims fetches: `None`, it is ours to fetch; else since when another replica fetches it. Without the database they are all ours: asking twice is better than not at all.
    pub(crate) async fn take(&self, integration: &IntegrationId, names: &[String]) -> Vec<Option<DateTime<Utc>>> {
        let Some(shared) = &self.0 else { return vec![None; names.len()] };
        let others = match shared.database.claim(integration, &shared.owner, names).await {
            Ok(others) => others,
            Err(error) => {
                tracing::debug!(error = %chain(&error), "fetches were not claimed");
                Vec::new()
            }
        };
        let since = |name: &String| others.iter().find(|claim| claim.subject == *name).map(|claim| claim.since);
        names.iter().map(since).collect()
    }

    /// Waits until other replicas are done with these fetches, or long enough.
    pub(crate) async fn wait(&self, integration: &IntegrationId, names: &[String]) {
        let Some(shared) = &self.0 else { return };
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match shared.database.claims(integration, names).await {
                Ok(claims) if claims.iter().any(|claim| !claim.done) => sleep(LOOK).await,
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// The result that another replica's fetch has left in the store since then; `None`: there is none, or it no longer holds.
    pub(crate) async fn brought(
        &self,
        integration: &Integration,
        want: &FetchWant,
        since: DateTime<Utc>,
    ) -> Option<Fetched> {
        let database = &self.0.as_ref()?.database;
        match want {
            FetchWant::Node { node, asks } => {
                let key = integration.key_of(node);
                let stored = database.nodes(&integration.tenant, &[key]).await.ok()?.pop()??;
                let fetched = stored.source() == Source::Provider && !stored.is_stale_in(asks);
                let answered = stored.fetched_at() >= since && (stored.is_unknown() || fetched);
                let known = stored.is_deleted() || answered;
                known.then(Fetched::default)
            }
            FetchWant::Lookup { lookup, .. } => {
                let window = self.window(integration, lookup_list(lookup)).await?;
                let found = opaque_items(integration, &window).into_iter().next();
                is_of(&window, since).then(|| Fetched { found, ..Fetched::default() })
            }
            FetchWant::Page(page) => {
                let window = self.window(integration, list_of(integration, &page.list, page.filter.clone())).await?;
                let read = match &page.cursor {
                    None => is_of(&window, since),
                    Some(_) => !window.stale && window.next != page.cursor,
                };
                read.then(Fetched::default)
            }
        }
    }

    async fn window(&self, integration: &Integration, list: List) -> Option<Window> {
        let windows = self.0.as_ref()?.database.windows(&integration.tenant, &[list]).await;
        windows.ok()?.pop()?
    }

    /// Notes that claimed fetches are over: they are stored, or could not be.
    pub(crate) async fn finish(&self, integration: &IntegrationId, names: &[String]) {
        let Some(shared) = &self.0 else { return };
        if let Err(error) = shared.database.finish_claims(integration, &shared.owner, names).await {
            tracing::debug!(error = %chain(&error), "claims were not given back");
        }
    }
}

/// The name of a fetch among replicas: the same for the same want.
pub(crate) fn name_of(want: &FetchWant) -> String {
    blake3::hash(format!("{want:?}").as_bytes()).to_hex().to_string()
}

fn is_of(window: &Window, since: DateTime<Utc>) -> bool {
    !window.stale && window.fetched_at >= since
}

fn list_of(integration: &Integration, list: &ListRef, filter: Filter) -> List {
    let parent = list.parent.as_ref().map(|parent| (parent.type_name, Arc::clone(&parent.native_id)));
    List { integration: integration.id.clone(), parent, name: list.name, filter }
}
