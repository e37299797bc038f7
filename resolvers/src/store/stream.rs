//! The tenants' streams: every change with its tags, in the order in which it became true.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mullion_entities::{change, change_container, stream_head};
use mullion_schema::id::{IntegrationId, TenantId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Statement,
};

use super::{
    Database, StoreError,
    activity::{Activity, activity_of},
    pending,
    session::{CHUNK, Session},
};
use crate::{provider::change::Act, tag::Tag};

/// Changes that are removed in one transaction.
const PRUNED_AT_A_TIME: u64 = 200;

/// A change in a tenant's stream.
#[derive(Debug, Clone, PartialEq)]
pub struct AppliedChange {
    /// Its place: 1 is the first.
    pub position: i64,
    /// The tags that it outdates.
    pub tags: Vec<Tag>,
    /// The activity, where people are told of it; or will be, where it is pending.
    pub activity: Option<Activity>,
}

/// A row of ours after a change of it, with the change in the stream.
#[derive(Debug, Clone)]
pub struct Written<T> {
    /// The row.
    pub value: T,
    /// For the hub.
    pub change: AppliedChange,
}

/// A change before it has a position.
#[derive(Debug, Default)]
pub(super) struct NewChange {
    pub(super) tags: Vec<Tag>,
    pub(super) activity: Option<Activity>,
    /// The key that it is recognised by when an integration tells it a second time.
    pub(super) told_key: Option<(IntegrationId, String)>,
    /// How its activity joins others while it is pending.
    pub(super) act: Act,
}

impl Database {
    /// The last position of a tenant's stream; 0 before the first change.
    pub async fn head(&self, tenant: &TenantId) -> Result<i64, StoreError> {
        head_in(&self.0.reader, tenant).await
    }

    /// The heads of all tenants that have one.
    pub async fn heads(&self) -> Result<Vec<(TenantId, i64)>, StoreError> {
        let rows = stream_head::Entity::find().all(&self.0.reader).await?;
        Ok(rows.into_iter().map(|row| (row.tenant.into(), row.head)).collect())
    }

    /// The changes after a position, in order.
    pub async fn changes_since(
        &self,
        tenant: &TenantId,
        position: i64,
        limit: u64,
    ) -> Result<Vec<AppliedChange>, StoreError> {
        let rows = change::Entity::find()
            .filter(change::Column::Tenant.eq(tenant.as_str()))
            .filter(change::Column::Position.gt(position))
            .order_by_asc(change::Column::Position)
            .limit(limit)
            .all(&self.0.reader)
            .await?;
        let kept = rows.iter().filter(|row| row.activity.is_none() && row.told_key.is_some()).map(|row| row.position);
        let mut pending = pending::of_changes(&self.0.reader, tenant, kept.collect()).await?;
        let change = |row: change::Model| {
            let waiting = pending.remove(&row.position);
            let change = change_of(row)?;
            Ok(AppliedChange { activity: change.activity.or(waiting), ..change })
        };
        rows.into_iter().map(change).collect()
    }

    /// The oldest position that a reader may resume after: changes up to it were removed. A reader with an older one missed some.
    pub async fn oldest_position(&self, tenant: &TenantId) -> Result<i64, StoreError> {
        let row = stream_head::Entity::find_by_id(tenant.as_str()).one(&self.0.reader).await?;
        Ok(row.map_or(0, |row| row.floor))
    }

    /// Removes some of the oldest changes of a tenant: those written before `before`, and those beyond the newest `keep`. Says how
    /// many; nothing is left to remove when none went. A few at a time, so that nobody waits for it.
    pub async fn prune_changes(&self, tenant: &TenantId, before: DateTime<Utc>, keep: i64) -> Result<u64, StoreError> {
        let enough = self.head(tenant).await?.saturating_sub(keep);
        let oldest = change::Entity::find()
            .select_only()
            .column(change::Column::Position)
            .column(change::Column::CreatedAt)
            .column(change::Column::Integration)
            .column(change::Column::Containers)
            .filter(change::Column::Tenant.eq(tenant.as_str()))
            .order_by_asc(change::Column::Position)
            .limit(PRUNED_AT_A_TIME)
            .into_tuple::<(i64, i64, Option<String>, Option<String>)>()
            .all(&self.0.reader)
            .await?;
        let before = before.timestamp_micros();
        // Up to the first that is to stay: a floor with a gap above it would be none.
        let old: Vec<_> = oldest
            .into_iter()
            .take_while(|(position, created_at, ..)| *created_at < before || *position <= enough)
            .collect();
        let Some(floor) = old.last().map(|(position, ..)| *position) else { return Ok(0) };
        let transaction = self.begin_for(tenant).await?;
        change_container::Entity::delete_many()
            .filter(change_container::Column::Tenant.eq(tenant.as_str()))
            .filter(change_container::Column::Container.is_in(containers_in(&old)))
            .filter(change_container::Column::Position.lte(floor))
            .exec(&transaction)
            .await?;
        let removed = change::Entity::delete_many()
            .filter(change::Column::Tenant.eq(tenant.as_str()))
            .filter(change::Column::Position.lte(floor))
            .exec(&transaction)
            .await?;
        stream_head::Entity::update_many()
            .col_expr(stream_head::Column::Floor, floor.into())
            .filter(stream_head::Column::Tenant.eq(tenant.as_str()))
            .filter(stream_head::Column::Floor.lt(floor))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(removed.rows_affected)
    }

    /// Appends one change and commits: how every write of our own rows ends.
    pub(super) async fn finish<T>(
        &self,
        tenant: &TenantId,
        transaction: sea_orm::DatabaseTransaction,
        value: T,
        tags: Vec<Tag>,
    ) -> Result<Written<T>, StoreError> {
        let change = NewChange { tags, ..NewChange::default() };
        let mut changes = append(&transaction, tenant, self.now(), vec![change]).await?;
        transaction.commit().await?;
        let change = changes.pop().ok_or(StoreError::NotFound)?;
        Ok(Written { value, change })
    }
}

/// The containers of activities, as they are indexed.
fn containers_in(rows: &[(i64, i64, Option<String>, Option<String>)]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, _, integration, containers) in rows {
        let (Some(integration), Some(containers)) = (integration, containers) else { continue };
        // Where they cannot be read, rows of an index stay that point to nothing: no answer shows them.
        let containers: Vec<String> = serde_json::from_str(containers).unwrap_or_default();
        names.extend(containers.into_iter().map(|container| format!("{integration}/{container}")));
    }
    names
}

/// The last position, as this connection sees it.
pub(super) async fn head_in(connection: &impl Session, tenant: &TenantId) -> Result<i64, StoreError> {
    let rows = connection.all(stream_head::Entity::find_by_id(tenant.as_str())).await?;
    Ok(rows.first().map_or(0, |row| row.head))
}

/// Appends changes. The last thing before the commit: the head row is locked from here on.
pub(super) async fn append(
    connection: &impl Session,
    tenant: &TenantId,
    now: DateTime<Utc>,
    changes: Vec<NewChange>,
) -> Result<Vec<AppliedChange>, StoreError> {
    let count = i64::try_from(changes.len()).unwrap_or(i64::MAX);
    if count == 0 {
        return Ok(Vec::new());
    }
    let first = take_positions(connection, tenant, count).await?;
    let mut keys = Vec::with_capacity(changes.len());
    let mut acts = Vec::with_capacity(changes.len());
    let applied: Vec<AppliedChange> = (first..)
        .zip(changes)
        .map(|(position, change)| {
            keys.push(change.told_key);
            acts.push(change.act);
            let activity = change.activity.map(|activity| Activity { position, ..activity });
            AppliedChange { position, tags: change.tags, activity }
        })
        .collect();
    let mut keys = keys.into_iter();
    for chunk in applied.chunks(CHUNK) {
        let rows: Result<Vec<_>, _> =
            chunk.iter().map(|change| row_of(tenant, keys.next().flatten(), now, change)).collect();
        connection.run(change::Entity::insert_many(rows?).build(connection.backend())).await?;
    }
    let containers: Vec<_> = applied.iter().flat_map(|change| container_rows(tenant, change)).collect();
    for chunk in containers.chunks(CHUNK) {
        connection.run(change_container::Entity::insert_many(chunk.to_vec()).build(connection.backend())).await?;
    }
    let pending: Vec<(&Activity, &Act)> = applied
        .iter()
        .zip(&acts)
        .filter_map(|(change, act)| Some((change.activity.as_ref().filter(|activity| activity.pending)?, act)))
        .collect();
    pending::insert(connection, tenant, now, &pending).await?;
    Ok(applied)
}

/// Takes the next positions; the first of them.
async fn take_positions(connection: &impl Session, tenant: &TenantId, count: i64) -> Result<i64, StoreError> {
    let take = Statement::from_sql_and_values(
        connection.backend(),
        "INSERT INTO stream_head (tenant, head, floor) VALUES ($1, $2, 0) \
         ON CONFLICT (tenant) DO UPDATE SET head = stream_head.head + excluded.head RETURNING head",
        [tenant.as_str().into(), count.into()],
    );
    let head = connection.numbers(take).await?.into_iter().next().ok_or(StoreError::NotFound)?;
    Ok(head - count + 1)
}

fn row_of(
    tenant: &TenantId,
    told_key: Option<(IntegrationId, String)>,
    now: DateTime<Utc>,
    change: &AppliedChange,
) -> Result<change::ActiveModel, StoreError> {
    let json = |source| StoreError::Corrupt { what: "tags of a change", source };
    let activity = change.activity.as_ref().filter(|activity| !activity.pending);
    let details = activity.and_then(|activity| activity.details.as_ref()).map(serde_json::to_string);
    let (told_by, told_key) = told_key.unzip();
    let integration = activity.map(|activity| &activity.integration).or(told_by.as_ref());
    let containers = activity.map(|activity| serde_json::to_string(&activity.containers)).transpose().map_err(json)?;
    Ok(change::ActiveModel {
        tenant: Set(tenant.as_str().to_owned()),
        position: Set(change.position),
        tags: Set(serde_json::to_string(&change.tags).map_err(json)?),
        activity: Set(activity.map(|activity| activity.id.clone())),
        integration: Set(integration.map(|integration| integration.as_str().to_owned())),
        provider: Set(activity.map(|activity| activity.provider.clone())),
        kind: Set(activity.map(|activity| activity.kind.clone())),
        actor: Set(activity.and_then(|activity| activity.actor.clone())),
        subject: Set(activity.and_then(|activity| activity.subject.clone())),
        summary: Set(activity.map(|activity| activity.summary.clone())),
        containers: Set(containers),
        occurred_at: Set(activity.map(|activity| activity.occurred_at.timestamp_micros())),
        received_at: Set(activity.map(|activity| activity.received_at.timestamp_micros())),
        told_key: Set(told_key),
        created_at: Set(now.timestamp_micros()),
        details: Set(details.transpose().map_err(json)?),
    })
}

fn container_rows(tenant: &TenantId, change: &AppliedChange) -> Vec<change_container::ActiveModel> {
    let Some(activity) = change.activity.as_ref().filter(|activity| !activity.pending) else { return Vec::new() };
    let mut containers = activity.containers.clone();
    containers.sort_unstable();
    containers.dedup();
    let rows = containers.iter().map(|container| change_container::ActiveModel {
        tenant: Set(tenant.as_str().to_owned()),
        container: Set(format!("{}/{container}", activity.integration)),
        position: Set(change.position),
    });
    rows.collect()
}

fn change_of(row: change::Model) -> Result<AppliedChange, StoreError> {
    let tags =
        serde_json::from_str(&row.tags).map_err(|source| StoreError::Corrupt { what: "tags of a change", source })?;
    Ok(AppliedChange { position: row.position, tags, activity: activity_of(row)? })
}
