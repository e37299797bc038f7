//! Applies what a delivery or a fetch means, in one transaction: nodes through the version guard, their places in lists, the
//! windows that were read, and what the tenant's stream says about it.

mod copies;
mod counts;
mod effect;
mod group;
mod join;
mod members;
mod news;
mod nodes;
mod pages;
mod recounts;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use mullion_entities::{delivery, integration};
use mullion_schema::{
    id::{IntegrationId, TenantId},
    ports::Filter,
    view::Body,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait, Func},
};

pub use super::merge::Source;
use super::{
    Database, StoreError, catch_up,
    delivery_state::{APPLIED, waits},
    integration::present_by_id,
    lease::Lease,
    merge::Origin,
    node::{StoredNode, stored},
    session::Session,
    stream::{AppliedChange, append, head_in},
    text::key_text,
};
use crate::provider::{
    CopiedFields, Count, FetchedPage, Keeping, ListRef, NodeRef, PageWant, Provider, change::Change,
    sentence::SentenceParts,
};

/// The rules of a provider that the store needs to keep its lists.
pub trait Rules: Send + Sync {
    /// The windows that a node belongs to, with its sort key there.
    fn memberships(&self, node: &NodeRef, body: &Body) -> Vec<(ListRef, String)>;

    /// Whether an item belongs to a filtered list.
    fn matches(&self, list: &ListRef, filter: &Filter, body: &Body) -> bool;

    /// How a list is kept.
    fn keeping(&self, list: &ListRef) -> Keeping;

    /// The type of this name, if the provider has it.
    fn type_name(&self, name: &str) -> Option<&'static str>;

    /// The argument of this name, if filters of the provider's lists have it.
    fn filter_name(&self, name: &str) -> Option<&'static str>;

    /// Numbers in bodies that items of lists move.
    fn counts(&self) -> &'static [Count];

    /// Fields that items copy from what they belong to.
    fn copied(&self) -> &'static [CopiedFields];

    /// Whether nodes of a type are containers, as activities name them.
    fn is_container(&self, type_name: &str) -> bool;

    /// An activity in words.
    fn sentence(&self, parts: &SentenceParts<'_>) -> String;

    /// Whether activities wait for the names in their sentences.
    fn names_come_later(&self) -> bool;
}

impl<P: Provider + ?Sized> Rules for Arc<P> {
    fn memberships(&self, node: &NodeRef, body: &Body) -> Vec<(ListRef, String)> {
        self.as_ref().memberships(node, body)
    }

    fn matches(&self, list: &ListRef, filter: &Filter, body: &Body) -> bool {
        self.as_ref().matches(list, filter, body)
    }

    fn keeping(&self, list: &ListRef) -> Keeping {
        let parent = list.parent.as_ref().map(|parent| parent.type_name);
        let known = self.descriptor().lists.iter().find(|known| known.parent == parent && known.name == list.name);
        known.map_or(Keeping::Opaque, |known| known.keeping)
    }

    fn type_name(&self, name: &str) -> Option<&'static str> {
        self.descriptor().types.iter().find(|known| known.name == name).map(|known| known.name)
    }

    fn filter_name(&self, name: &str) -> Option<&'static str> {
        self.descriptor().filters.iter().copied().find(|known| *known == name)
    }

    fn counts(&self) -> &'static [Count] {
        self.descriptor().counts
    }

    fn copied(&self) -> &'static [CopiedFields] {
        self.descriptor().copied
    }

    fn is_container(&self, type_name: &str) -> bool {
        self.containers().iter().any(|known| known.container == type_name)
    }

    fn sentence(&self, parts: &SentenceParts<'_>) -> String {
        self.as_ref().sentence(parts)
    }

    fn names_come_later(&self) -> bool {
        self.as_ref().names_come_later()
    }
}

/// Changes and pages to be applied together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The source that brought it.
    pub source: Source,
    /// When the delivery came in; of a fetch: when it was sent, so that it outdates nothing that came while it ran.
    pub received_at: DateTime<Utc>,
    /// The changes. A fetch has the nodes that came along in one change, without an activity.
    pub changes: Vec<Change>,
    /// The pages that were fetched.
    pub pages: Vec<FetchedPage>,
    /// Those of the pages that lack items because the token may not read them.
    pub with_gaps: Vec<PageWant>,
    /// Nodes that were asked for and that the provider does not know.
    pub unknown: Vec<NodeRef>,
    /// The delivery of the inbox that this is the meaning of: marked as applied in the same transaction.
    pub delivery: Option<String>,
    /// The lane under which it is applied: whoever lost it applies nothing.
    pub lease: Option<Lease>,
}

impl Batch {
    /// The meaning of a delivery.
    pub fn of_delivery(id: &str, received_at: DateTime<Utc>, changes: Vec<Change>) -> Self {
        let delivery = Some(id.to_owned());
        Self {
            source: Source::Webhook,
            received_at,
            changes,
            pages: Vec::new(),
            with_gaps: Vec::new(),
            unknown: Vec::new(),
            delivery,
            lease: None,
        }
    }

    /// The batch of a fetch that was sent at `sent_at`, still empty.
    pub fn of_fetch(sent_at: DateTime<Utc>) -> Self {
        Self {
            source: Source::Provider,
            received_at: sent_at,
            changes: Vec::new(),
            pages: Vec::new(),
            with_gaps: Vec::new(),
            unknown: Vec::new(),
            delivery: None,
            lease: None,
        }
    }

    /// The same, applied only while this lease holds.
    #[must_use]
    pub fn under(mut self, lease: Lease) -> Self {
        self.lease = Some(lease);
        self
    }
}

/// The outcome of a [`Batch`].
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// The stream's head after it.
    pub head: i64,
    /// The changes that were appended to the stream.
    pub changes: Vec<AppliedChange>,
    /// All nodes that were written or marked, as they stand now.
    pub nodes: Vec<StoredNode>,
    /// For each batch, whether its delivery was applied before (by another process): nothing came of it now.
    pub repeated: Vec<bool>,
}

impl Applied {
    /// Whether all of it was applied before.
    pub fn is_repeated(&self) -> bool {
        self.repeated.iter().all(|repeated| *repeated)
    }
}

/// The integration that batches are applied to.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) integration: &'a IntegrationId,
    pub(super) rules: &'a dyn Rules,
}

/// The tenant and the integration that a batch is applied to, and to no others, with what is known of its origin.
struct ApplyContext<'a> {
    tenant: &'a TenantId,
    integration: &'a IntegrationId,
    provider: &'a str,
    rules: &'a dyn Rules,
    /// The origin of all that is applied together.
    origin: Origin,
    /// When each of the changes came in.
    each: &'a [DateTime<Utc>],
}

impl ApplyContext<'_> {
    /// The origin of one change of the batch.
    fn origin_of(&self, change: usize) -> Origin {
        Origin { at: self.each.get(change).copied().unwrap_or(self.origin.at), ..self.origin }
    }
}

impl Database {
    /// Applies a batch. [`StoreError::NotFound`]: the tenant has no such integration (any more).
    pub async fn apply(
        &self,
        tenant: &TenantId,
        integration: &IntegrationId,
        rules: &dyn Rules,
        batch: Batch,
    ) -> Result<Applied, StoreError> {
        self.apply_all(tenant, integration, rules, vec![batch]).await
    }

    /// Applies what several deliveries mean, in their order, in one go: what each of them touches is read once, merged in memory and
    /// written once. All of them or none.
    ///
    /// Deliveries that come from the log on SQLite are applied in the transaction that stores them instead
    /// ([`Database::insert_and_apply`]), which saves a flush to disk; both transactions do the same, in `apply_within`.
    pub async fn apply_all(
        &self,
        tenant: &TenantId,
        integration: &IntegrationId,
        rules: &dyn Rules,
        batches: Vec<Batch>,
    ) -> Result<Applied, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let leases: HashSet<&Lease> = batches.iter().filter_map(|batch| batch.lease.as_ref()).collect();
        for lease in leases {
            lease.check(&transaction).await?;
        }
        let before = applied_before(&transaction, tenant, integration, &batches).await?;
        let target = Target { tenant, integration, rules };
        let applied = self.apply_within(&transaction, target, batches, &before).await?;
        transaction.commit().await?;
        Ok(applied)
    }

    /// The same inside a transaction. `before` says of each delivery that waits whether it was applied before.
    pub(super) async fn apply_within(
        &self,
        transaction: &impl Session,
        target: Target<'_>,
        batches: Vec<Batch>,
        before: &HashMap<String, bool>,
    ) -> Result<Applied, StoreError> {
        let Target { tenant, integration, rules } = target;
        let provider = provider_of(transaction, tenant, integration).await?;
        let group = group::Group::of(batches, before);
        let mut applied = Applied { repeated: group.repeated, ..Applied::default() };
        if let Some(mut batch) = group.batch {
            let origin = Origin { source: batch.source, at: batch.received_at };
            let context = ApplyContext { tenant, integration, provider: &provider, rules, origin, each: &group.each };
            forget_told(transaction, &context, &mut batch).await?;
            batch.changes.iter_mut().for_each(Change::outdate_names);
            self.apply_in(transaction, &context, &batch, &mut applied).await?;
        } else {
            applied.head = head_in(transaction, tenant).await?;
        }
        let before = applied.head - i64::try_from(applied.changes.len()).unwrap_or(0);
        settle(transaction, &group.deliveries, (before, applied.head), self.now()).await?;
        Ok(applied)
    }

    async fn apply_in(
        &self,
        transaction: &impl Session,
        context: &ApplyContext<'_>,
        batch: &Batch,
        applied: &mut Applied,
    ) -> Result<(), StoreError> {
        let mut work = nodes::Work::load(transaction, context, batch).await?;
        work.merge(context, batch);
        recounts::outdate(transaction, context, &mut work, batch).await?;
        copies::follow(transaction, context, &mut work, batch).await?;
        let mut moves = members::recompute(transaction, context, &work, batch).await?;
        let mut windows = pages::Windows::load(transaction, context, &moves, batch).await?;
        let recounted = counts::recount(transaction, context, &mut work, &mut windows).await?;
        let told = pages::write(transaction, context, &mut work, (&windows, batch, &moves), &recounted).await?;
        members::add_lists_of_stale(transaction, context, &work, &mut moves).await?;
        work.save(transaction, context).await?;
        let news =
            news::News { provider: context.provider, work: &work, moves: &moves, windows: &windows, told: &told };
        let mut changes = news::changes(context, &batch.changes, &news, || self.new_id())?;
        join::join(transaction, context, &mut changes).await?;
        applied.changes = append(transaction, context.tenant, self.now(), changes).await?;
        applied.head = match applied.changes.last() {
            Some(last) => last.position,
            None => head_in(transaction, context.tenant).await?,
        };
        let states = work.into_states();
        applied.nodes = states.map(|(node, state)| stored(context.integration, &node, state)).collect();
        Ok(())
    }
}

async fn provider_of(
    connection: &impl Session,
    tenant: &TenantId,
    integration: &IntegrationId,
) -> Result<String, StoreError> {
    let provider = present_by_id(integration)
        .select_only()
        .column(integration::Column::Provider)
        .filter(integration::Column::Tenant.eq(tenant.as_str()))
        .build(connection.backend());
    connection.texts(provider).await?.into_iter().flatten().next().ok_or(StoreError::NotFound)
}

/// Takes activities away that people were told of already, as another delivery or by catching up, and those that add nothing to what
/// people were told.
async fn forget_told(
    connection: &impl Session,
    context: &ApplyContext<'_>,
    batch: &mut Batch,
) -> Result<(), StoreError> {
    let activities = batch.changes.iter().filter_map(|change| change.activity.as_ref());
    let keys: Vec<String> =
        activities.flat_map(|activity| activity.key.iter().chain(&activity.unless)).cloned().collect();
    if keys.is_empty() {
        return Ok(());
    }
    let mut told = catch_up::told(connection, context.tenant, context.integration, &keys).await?;
    for change in &mut batch.changes {
        let Some(activity) = &change.activity else { continue };
        let key = activity.key.as_deref().map(key_text);
        let adds_nothing = activity.key.iter().chain(&activity.unless).any(|key| told.contains(&key_text(key)));
        if adds_nothing {
            change.activity = None;
        } else {
            // The first of two in one batch is told.
            told.extend(key);
        }
    }
    Ok(())
}

/// For each delivery that waits, whether it was applied before.
async fn applied_before(
    connection: &impl ConnectionTrait,
    tenant: &TenantId,
    integration: &IntegrationId,
    batches: &[Batch],
) -> Result<HashMap<String, bool>, StoreError> {
    let ids: Vec<&str> = batches.iter().filter_map(|batch| batch.delivery.as_deref()).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = delivery::Entity::find()
        .select_only()
        .column(delivery::Column::Id)
        .column(delivery::Column::Position)
        .filter(delivery::Column::Id.is_in(ids))
        .filter(delivery::Column::Tenant.eq(tenant.as_str()))
        .filter(delivery::Column::Integration.eq(integration.as_str()))
        .filter(waits())
        .into_tuple::<(String, Option<i64>)>()
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(|(id, position)| (id, position.is_some())).collect())
}

async fn settle(
    connection: &impl Session,
    deliveries: &[String],
    (before, head): (i64, i64),
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    // A replay from which nothing came leaves what came of the delivery the first time.
    let position = |column: delivery::Column, value: i64| {
        if before == head { Func::coalesce([Expr::col(column), Expr::value(value)]).into() } else { Expr::value(value) }
    };
    let applied = delivery::Entity::update_many()
        .col_expr(delivery::Column::State, Expr::value(APPLIED))
        .col_expr(delivery::Column::Attempts, Expr::col(delivery::Column::Attempts).add(1))
        .col_expr(delivery::Column::Position, position(delivery::Column::Position, head))
        .col_expr(delivery::Column::PositionBefore, position(delivery::Column::PositionBefore, before))
        .col_expr(delivery::Column::SettledAt, Expr::value(now.timestamp_micros()))
        .col_expr(delivery::Column::Error, Expr::value(None::<String>))
        .filter(delivery::Column::Id.is_in(deliveries))
        .build(connection.backend());
    Ok(connection.run(applied).await?)
}
