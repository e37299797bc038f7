//! The one way into the store for what providers tell: apply in one transaction, then epochs, caches, live operations, in that order.

use std::sync::{Arc, atomic::Ordering};

use chrono::{DateTime, Utc};
use futures::{FutureExt as _, future::BoxFuture};
use mullion_schema::id::{NodeKey, TenantId};

use super::announcer::Announcer;
use crate::{
    error_chain::chain,
    provider::{FetchWant, Fetched, change::Change},
    reading::{Absorbed, CachedStore, Sink, Unstored, integrations::Integration, lookup_page},
    store::{
        StoreError,
        apply::{Applied, Batch, Source},
        integration::{IntegrationDraft, IntegrationStatus},
        stream::AppliedChange,
    },
    upstream::{UpstreamError, UpstreamErrorKind},
};

/// Applies and announces.
pub struct Applier {
    cached_store: Arc<CachedStore>,
    announcer: Arc<Announcer>,
}

impl Applier {
    /// An applier.
    pub fn new(cached_store: Arc<CachedStore>, announcer: Arc<Announcer>) -> Self {
        Self { cached_store, announcer }
    }

    /// Notes why an integration fails: for after a restart, and for replicas that have not seen the provider's answer.
    async fn note_refusal(&self, integration: &Integration) {
        let why = "the provider refused the token: give another one with updateIntegration";
        let noted =
            self.cached_store.database().note_integration_error(&integration.tenant, &integration.id, why).await;
        if let Err(error) = noted {
            tracing::warn!(error = %chain(&error), "why an integration fails could not be noted");
        }
    }

    /// Applies a batch of an integration and announces what changed.
    pub async fn apply(&self, integration: &Integration, batch: Batch) -> Result<Applied, StoreError> {
        self.apply_all(integration, vec![batch]).await
    }

    /// The same of several, in one go: all of them or none.
    pub async fn apply_all(&self, integration: &Integration, batches: Vec<Batch>) -> Result<Applied, StoreError> {
        let tenant = &integration.tenant;
        self.start(tenant).await?;
        let of_fetch = batches.iter().any(|batch| batch.source == Source::Provider);
        let database = self.cached_store.database();
        let applied = database.apply_all(tenant, &integration.id, &integration.provider, batches).await?;
        if of_fetch {
            self.cached_store.fetched(&integration.id);
        }
        self.tell(tenant, &applied).await;
        Ok(applied)
    }

    /// Has the tenant's head in memory, before its stream moves: so that no change falls between the two.
    pub(crate) async fn start(&self, tenant: &TenantId) -> Result<(), StoreError> {
        self.announcer.start(tenant).await
    }

    /// Tells of what was applied.
    pub(crate) async fn tell(&self, tenant: &TenantId, applied: &Applied) {
        // Before it is announced, so that whom that wakes finds them.
        for node in &applied.nodes {
            self.cached_store.cache().put(tenant, &node.key, applied.head, Some(Arc::new(node.clone())));
        }
        self.announce(tenant, &applied.changes).await;
    }

    /// Writes what was fetched although nobody asked for it just now.
    pub(crate) async fn take_in(
        &self,
        integration: &Arc<Integration>,
        sent_at: DateTime<Utc>,
        fetched: Vec<(FetchWant, Fetched)>,
    ) -> Result<(), UpstreamError> {
        let absorbed = self.absorb(Arc::clone(integration), Absorbed { sent_at, fetched }).await;
        absorbed.map_err(|unstored| unstored.error)
    }

    /// Announces changes that are in the stream: outdates what was read before, wakes who watches.
    pub async fn announce(&self, tenant: &TenantId, changes: &[AppliedChange]) {
        self.announcer.announce(tenant, changes).await;
    }
}

impl Sink for Applier {
    fn absorb(&self, integration: Arc<Integration>, absorbed: Absorbed) -> BoxFuture<'_, Result<(), Unstored>> {
        async move {
            let mut batch = Batch::of_fetch(absorbed.sent_at);
            let mut change = Change::default();
            for (want, fetched) in absorbed.fetched {
                match (&want, &fetched.found) {
                    (FetchWant::Node { node, .. }, None) => batch.unknown.push(node.clone()),
                    (FetchWant::Lookup { lookup, .. }, found) => batch.pages.push(lookup_page(lookup, found.clone())),
                    _ => {}
                }
                if matches!(want, FetchWant::Page(_)) && fetched.refused.is_some() {
                    batch.with_gaps.extend(fetched.pages.iter().map(|page| page.want.clone()));
                }
                change.writes.extend(fetched.writes);
                batch.pages.extend(fetched.pages);
            }
            batch.changes.push(change);
            let Err(error) = self.apply(&integration, batch.clone()).await else { return Ok(()) };
            tracing::error!(error = %chain(&error), "the fetched data could not be stored");
            // No fault of the provider's.
            let error = UpstreamError::new(UpstreamErrorKind::Internal, "the fetched data could not be stored");
            Err(Unstored::of(self.cached_store.database(), &integration, batch, error).await)
        }
        .boxed()
    }

    fn doubt(&self, integration: &Integration, wants: &[FetchWant]) {
        let nodes = wants.iter().filter_map(|want| match want {
            FetchWant::Node { node, .. } => Some(node),
            FetchWant::Lookup { .. } | FetchWant::Page(_) => None,
        });
        let keys = nodes.map(|node| NodeKey::new(&integration.id, node.type_name, Arc::clone(&node.native_id)));
        self.cached_store.doubt(&integration.tenant, &integration.id, keys);
    }

    fn credential(&self, integration: Arc<Integration>, refused: bool) -> BoxFuture<'_, ()> {
        async move {
            let status = if refused { IntegrationStatus::NeedsReconnect } else { IntegrationStatus::Connected };
            let database = self.cached_store.database();
            let change = |draft: &mut IntegrationDraft| draft.status = status;
            match database.update_integration(&integration.tenant, &integration.id, None, change).await {
                Ok(written) => {
                    self.announce(&integration.tenant, std::slice::from_ref(&written.change)).await;
                    if refused {
                        self.note_refusal(&integration).await;
                    }
                }
                Err(error) => {
                    // As if the provider had not said it: the next answer says it again.
                    integration.refused.store(!refused, Ordering::Relaxed);
                    tracing::error!(
                        error = %chain(&error),
                        "an integration's state could not be written"
                    );
                }
            }
        }
        .boxed()
    }
}
