//! Deliveries as administrators see them: without bodies and headers, which may hold secrets. And their replay.

use chrono::{DateTime, Utc};
use mullion_entities::delivery;
use mullion_schema::id::{IntegrationId, TenantId};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, ExprTrait, Func},
};
use ulid::Ulid;

use super::{APPLIED, DeliverySource, IGNORED, PARKED, RECEIVED};
use crate::store::{Database, StoreError, text::clean, time::from_micros};

/// A delivery, without what was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryInfo {
    /// Its id.
    pub id: String,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// The integration it belongs to.
    pub integration: IntegrationId,
    /// The provider's key.
    pub provider: String,
    /// The provider's id of it; `None`: the provider gives none.
    pub delivery_id: Option<String>,
    /// How it came in.
    pub source: DeliverySource,
    /// The event that it reports, such as `issues.closed`.
    pub event: String,
    /// `received`, `applied`, `ignored` or `failed`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When its last byte came.
    pub received_at: DateTime<Utc>,
    /// When it was applied, ignored or parked.
    pub settled_at: Option<DateTime<Utc>>,
    /// When it is tried again, where it failed before.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The error, or why it was ignored.
    pub error: Option<String>,
    /// Bytes of the body.
    pub size: i64,
}

/// Which deliveries: every condition that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only those of this tenant; `None`: of all, for the command line.
    pub tenant: Option<TenantId>,
    /// Only those of these integrations.
    pub integrations: Option<Vec<IntegrationId>>,
    /// Only those of these providers.
    pub providers: Option<Vec<String>>,
    /// Only those in one of these states.
    pub states: Option<Vec<String>>,
    /// Only those of these events: `issues.closed`, or `issues` for all that begin so.
    pub events: Option<Vec<String>>,
    /// Only those that came in at this time or later.
    pub received_after: Option<DateTime<Utc>>,
    /// Only those that came in before this time.
    pub received_before: Option<DateTime<Utc>>,
}

/// The columns that are read.
#[derive(FromQueryResult)]
struct Row {
    id: String,
    tenant: String,
    integration: String,
    provider: String,
    dedupe_key: String,
    source: String,
    event: String,
    state: String,
    attempts: i64,
    received_at: i64,
    settled_at: Option<i64>,
    due_at: i64,
    error: Option<String>,
    size: i64,
}

impl Database {
    /// The deliveries that pass the filter and came before one of this id, newest first.
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        before: Option<&str>,
        limit: u64,
    ) -> Result<Vec<DeliveryInfo>, StoreError> {
        let mut query = filtered(filter);
        if let Some(before) = before {
            query = query.filter(delivery::Column::Id.lt(clean(before)));
        }
        let rows = query.order_by_desc(delivery::Column::Id).limit(limit).into_model::<Row>();
        Ok(rows.all(&self.0.reader).await?.into_iter().map(info_of).collect())
    }

    /// One delivery; of any tenant where none is given.
    pub async fn delivery(&self, tenant: Option<&TenantId>, id: &str) -> Result<Option<DeliveryInfo>, StoreError> {
        let filter = DeliveryFilter { tenant: tenant.cloned(), ..DeliveryFilter::default() };
        let query = filtered(&filter).filter(delivery::Column::Id.eq(clean(id)));
        Ok(query.into_model::<Row>().one(&self.0.reader).await?.map(info_of))
    }

    /// Puts a delivery back to what waits, with all its tries. One that was applied is applied again: the end state is the same, and
    /// people are not told twice. [`StoreError::NotFound`]: the tenant has none of this id.
    pub async fn replay_delivery(&self, tenant: &TenantId, id: &str) -> Result<DeliveryInfo, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let written = delivery::Entity::update_many()
            .col_expr(delivery::Column::State, Expr::value(RECEIVED))
            .col_expr(delivery::Column::Attempts, Expr::value(0_i64))
            .col_expr(delivery::Column::DueAt, Expr::value(0_i64))
            .col_expr(delivery::Column::Error, Expr::value(None::<String>))
            .col_expr(delivery::Column::SettledAt, Expr::value(None::<i64>))
            .filter(delivery::Column::Tenant.eq(tenant.as_str()))
            .filter(delivery::Column::Id.eq(clean(id)))
            .exec(&transaction)
            .await?;
        if written.rows_affected == 0 {
            return Err(StoreError::NotFound);
        }
        transaction.commit().await?;
        self.delivery(Some(tenant), id).await?.ok_or(StoreError::NotFound)
    }
}

fn filtered(filter: &DeliveryFilter) -> Select<delivery::Entity> {
    use delivery::Column;
    let mut query = delivery::Entity::find().select_only().columns([
        Column::Id,
        Column::Tenant,
        Column::Integration,
        Column::Provider,
        Column::DedupeKey,
        Column::Source,
        Column::Event,
        Column::State,
        Column::Attempts,
        Column::ReceivedAt,
        Column::SettledAt,
        Column::DueAt,
        Column::Error,
        Column::Size,
    ]);
    if let Some(tenant) = &filter.tenant {
        query = query.filter(Column::Tenant.eq(tenant.as_str()));
    }
    if let Some(integrations) = &filter.integrations {
        query = query.filter(Column::Integration.is_in(integrations.iter().map(IntegrationId::as_str)));
    }
    if let Some(providers) = &filter.providers {
        query = query.filter(Column::Provider.is_in(providers.iter().map(|provider| clean(provider))));
    }
    if let Some(states) = &filter.states {
        query = query.filter(one_of_states(states));
    }
    if let Some(events) = &filter.events {
        let any = events.iter().map(|event| is_event(event)).reduce(ExprTrait::or);
        query = query.filter(any.unwrap_or_else(|| Expr::cust("1 = 0")));
    }
    if let Some(after) = filter.received_after {
        // Ids are made after the last byte came: an older id needs not be looked at.
        let millis = u64::try_from(after.timestamp_millis()).unwrap_or(0);
        query = query.filter(Column::Id.gte(Ulid::from_parts(millis, 0).to_string()));
        query = query.filter(Column::ReceivedAt.gte(after.timestamp_micros()));
    }
    if let Some(before) = filter.received_before {
        query = query.filter(Column::ReceivedAt.lt(before.timestamp_micros()));
    }
    query
}

/// Written out, so that the partial indexes of what waits and of what is parked can serve. Only known states get here.
fn one_of_states(states: &[String]) -> Expr {
    let known =
        [RECEIVED, APPLIED, IGNORED, PARKED].into_iter().filter(|known| states.iter().any(|state| state == known));
    let any = known.map(|state| Expr::cust(format!("state = '{state}'"))).reduce(ExprTrait::or);
    any.unwrap_or_else(|| Expr::cust("1 = 0"))
}

fn is_event(event: &str) -> Expr {
    let event = clean(event);
    let begin = format!("{event}.");
    let length = i32::try_from(begin.chars().count()).unwrap_or(i32::MAX);
    let column = Expr::col(delivery::Column::Event);
    let beginning = Func::cust("substr").args([column, Expr::value(1_i32), Expr::value(length)]);
    delivery::Column::Event.eq(event).or(Expr::from(beginning).eq(begin))
}

fn info_of(row: Row) -> DeliveryInfo {
    let retried = row.state == RECEIVED && row.attempts > 0;
    DeliveryInfo {
        id: row.id,
        tenant: row.tenant.into(),
        integration: row.integration.into(),
        provider: row.provider,
        delivery_id: row.dedupe_key.strip_prefix("id:").map(str::to_owned),
        source: DeliverySource::read(&row.source),
        event: row.event,
        state: row.state,
        attempts: row.attempts,
        received_at: from_micros(row.received_at),
        settled_at: row.settled_at.map(from_micros),
        next_attempt_at: retried.then(|| from_micros(row.due_at)),
        error: row.error,
        size: row.size,
    }
}
