//! Activities that wait for the names in their sentences. They are as safe as the change that they came with, because they are
//! stored with it.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use mullion_entities::pending_activity;
use mullion_schema::id::{IntegrationId, TenantId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::Expr,
};

use super::{
    Database, StoreError,
    activity::Activity,
    session::{CHUNK, Session},
    time::from_micros,
};
use crate::provider::change::Act;

/// How long an activity waits for names at most.
pub const LONGEST_WAIT: TimeDelta = TimeDelta::seconds(2);
/// So many are read, and released, in one go.
const AT_A_TIME: u64 = 200;

/// An activity that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingActivity {
    /// The position of the change that it came with: the order of their release.
    pub position: i64,
    /// When it is released at the latest.
    pub due_at: DateTime<Utc>,
    /// Whether the other half of its act may still come.
    pub partial: bool,
    /// The activity that will be told.
    pub activity: Activity,
}

impl Database {
    /// The tenants of which activities wait.
    pub async fn tenants_with_pending_activities(&self) -> Result<Vec<TenantId>, StoreError> {
        let rows = pending_activity::Entity::find()
            .select_only()
            .column(pending_activity::Column::Tenant)
            .distinct()
            .into_tuple::<String>()
            .all(&self.0.reader)
            .await?;
        Ok(rows.into_iter().map(TenantId::from).collect())
    }

    /// The oldest of a tenant's activities that wait, in order.
    pub async fn pending_activities(&self, tenant: &TenantId) -> Result<Vec<PendingActivity>, StoreError> {
        let rows = oldest(tenant).all(&self.0.reader).await?;
        rows.into_iter().map(|row| pending_of(&row)).collect()
    }
}

/// The oldest of a tenant's activities that wait, in order.
pub(super) fn oldest(tenant: &TenantId) -> Select<pending_activity::Entity> {
    pending_activity::Entity::find()
        .filter(pending_activity::Column::Tenant.eq(tenant.as_str()))
        .order_by_asc(pending_activity::Column::Position)
        .limit(AT_A_TIME)
}

/// The newest activities of an integration that wait, the newest first.
pub(super) fn newest(tenant: &TenantId, integration: &IntegrationId) -> Select<pending_activity::Entity> {
    pending_activity::Entity::find()
        .filter(pending_activity::Column::Tenant.eq(tenant.as_str()))
        .filter(pending_activity::Column::Integration.eq(integration.as_str()))
        .order_by_desc(pending_activity::Column::Position)
        .limit(AT_A_TIME)
}

/// Writes what an activity that waits became.
pub(super) async fn update(
    connection: &impl Session,
    tenant: &TenantId,
    position: i64,
    act: &Act,
    activity: &Activity,
) -> Result<(), StoreError> {
    let update = pending_activity::Entity::update_many()
        .col_expr(pending_activity::Column::Partial, Expr::value(act.partial))
        .col_expr(pending_activity::Column::Activity, Expr::value(serde_json::to_string(activity).map_err(corrupt)?))
        .filter(pending_activity::Column::Tenant.eq(tenant.as_str()))
        .filter(pending_activity::Column::Position.eq(position))
        .build(connection.backend());
    Ok(connection.run(update).await?)
}

/// Stores activities that wait, each with its act.
pub(super) async fn insert(
    connection: &impl Session,
    tenant: &TenantId,
    now: DateTime<Utc>,
    activities: &[(&Activity, &Act)],
) -> Result<(), StoreError> {
    let rows = activities.iter().map(|(activity, act)| {
        Ok(pending_activity::ActiveModel {
            tenant: Set(tenant.as_str().to_owned()),
            position: Set(activity.position),
            integration: Set(activity.integration.as_str().to_owned()),
            due_at: Set((now + LONGEST_WAIT).timestamp_micros()),
            acts: Set(serde_json::to_string(&act.names).map_err(corrupt)?),
            partial: Set(act.partial),
            activity: Set(serde_json::to_string(activity).map_err(corrupt)?),
        })
    });
    let rows = rows.collect::<Result<Vec<_>, StoreError>>()?;
    for chunk in rows.chunks(CHUNK) {
        connection.run(pending_activity::Entity::insert_many(chunk.to_vec()).build(connection.backend())).await?;
    }
    Ok(())
}

/// The activities that wait and came with these changes.
pub(super) async fn of_changes(
    connection: &impl Session,
    tenant: &TenantId,
    positions: Vec<i64>,
) -> Result<HashMap<i64, Activity>, StoreError> {
    let mut found = HashMap::new();
    for chunk in positions.chunks(CHUNK) {
        let chosen = pending_activity::Entity::find()
            .filter(pending_activity::Column::Tenant.eq(tenant.as_str()))
            .filter(pending_activity::Column::Position.is_in(chunk.iter().copied()));
        for row in connection.all(chosen).await? {
            found.insert(row.position, pending_of(&row)?.activity);
        }
    }
    Ok(found)
}

/// The activity of a row.
pub(super) fn pending_of(row: &pending_activity::Model) -> Result<PendingActivity, StoreError> {
    let activity: Activity = serde_json::from_str(&row.activity).map_err(corrupt)?;
    Ok(PendingActivity {
        position: row.position,
        due_at: from_micros(row.due_at),
        partial: row.partial,
        activity: Activity { position: row.position, ..activity },
    })
}

/// The error of a row that cannot be read or written.
pub(super) fn corrupt(source: serde_json::Error) -> StoreError {
    StoreError::Corrupt { what: "activity that waits", source }
}
