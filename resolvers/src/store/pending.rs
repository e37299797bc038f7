//! Activities that wait for the names in their sentences. They are as safe as the change that they came with, and get their place in
//! the stream when they are released: by one transaction, so once, whoever tries and whatever breaks off in between.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use mullion_entities::pending_activity;
use mullion_schema::id::{IntegrationId, TenantId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, sea_query::Expr,
};

use super::{
    Database, StoreError,
    activity::Activity,
    node::CHUNK,
    session::Session,
    stream::{AppliedChange, NewChange, append},
    transaction::from_micros,
};
use crate::{
    provider::{
        change::Act,
        sentence::{Detail, Details},
    },
    tag::Tag,
};

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

    /// Puts a tenant's activities that wait, up to that of a position, at the end of the stream. Those that somebody else released
    /// meanwhile are none of them. `settle` adds what is known only now.
    pub async fn release_activities(
        &self,
        tenant: &TenantId,
        through: i64,
        settle: impl Fn(&mut Activity) + Send,
    ) -> Result<Vec<AppliedChange>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let chosen = oldest(tenant).filter(pending_activity::Column::Position.lte(through));
        let rows = Session::all(&transaction, chosen).await?;
        let Some(last) = rows.last().map(|row| row.position) else { return Ok(Vec::new()) };
        let tags = vec![Tag::own_list(tenant, "activity")];
        let changes: Result<Vec<NewChange>, StoreError> = rows
            .into_iter()
            .map(|row| {
                let mut activity = Activity { pending: false, ..pending_of(&row)?.activity };
                settle(&mut activity);
                Ok(NewChange { tags: tags.clone(), activity: Some(activity), ..NewChange::default() })
            })
            .collect();
        pending_activity::Entity::delete_many()
            .filter(pending_activity::Column::Tenant.eq(tenant.as_str()))
            .filter(pending_activity::Column::Position.lte(last))
            .exec(&transaction)
            .await?;
        let released = append(&transaction, tenant, self.now(), changes?).await?;
        transaction.commit().await?;
        Ok(released)
    }
}

fn oldest(tenant: &TenantId) -> sea_orm::Select<pending_activity::Entity> {
    pending_activity::Entity::find()
        .filter(pending_activity::Column::Tenant.eq(tenant.as_str()))
        .order_by_asc(pending_activity::Column::Position)
        .limit(AT_A_TIME)
}

/// Joins new activities that wait to those of the same act that wait already, or came before them in the same batch.
pub(super) async fn join(
    connection: &impl Session,
    (tenant, integration): (&TenantId, &IntegrationId),
    changes: &mut [NewChange],
) -> Result<(), StoreError> {
    let joins = |change: &NewChange| is_pending(change.activity.as_ref()) && !change.act.names.is_empty();
    if !changes.iter().any(joins) {
        return Ok(());
    }
    let chosen = pending_activity::Entity::find()
        .filter(pending_activity::Column::Tenant.eq(tenant.as_str()))
        .filter(pending_activity::Column::Integration.eq(integration.as_str()))
        .order_by_desc(pending_activity::Column::Position)
        .limit(AT_A_TIME);
    let mut open = Vec::new();
    for row in connection.all(chosen).await?.into_iter().rev() {
        let names = serde_json::from_str(&row.acts).map_err(corrupt)?;
        let act = Act { names, partial: row.partial };
        open.push(Open { at: Where::Row(row.position), act, activity: pending_of(&row)?.activity, joined: false });
    }
    for (index, change) in changes.iter_mut().enumerate().filter(|(_, change)| joins(change)) {
        let Some(activity) = change.activity.take() else { continue };
        match open.iter_mut().rev().find(|known| known.takes(&change.act, &activity)) {
            Some(known) => known.join(&change.act, activity),
            None => {
                open.push(Open { at: Where::Change(index), act: change.act.clone(), activity, joined: false });
            }
        }
    }
    for Open { at, act, activity, joined } in open {
        match at {
            Where::Change(index) => {
                if let Some(change) = changes.get_mut(index) {
                    (change.act, change.activity) = (act, Some(activity));
                }
            }
            Where::Row(position) if joined => update(connection, tenant, position, (&act, &activity)).await?,
            Where::Row(_) => {}
        }
    }
    Ok(())
}

/// An activity that others may join.
struct Open {
    at: Where,
    act: Act,
    activity: Activity,
    joined: bool,
}

/// Where it is kept.
#[derive(Clone, Copy)]
enum Where {
    Row(i64),
    Change(usize),
}

impl Open {
    /// Whether an event belongs to the same act: it has a name in common, and says nothing else of anything.
    fn takes(&self, act: &Act, activity: &Activity) -> bool {
        let agrees = |(name, detail): (&String, &Detail)| {
            self.details().is_none_or(|known| known.get(name).is_none_or(|known| known == detail))
        };
        self.act.names.iter().any(|name| act.names.contains(name)) && activity.details.iter().flatten().all(agrees)
    }

    fn details(&self) -> Option<&Details> {
        self.activity.details.as_ref()
    }

    fn join(&mut self, act: &Act, other: Activity) {
        self.joined = true;
        if self.act.partial && !act.partial {
            self.activity.kind = other.kind;
            self.act.partial = false;
        }
        self.activity.details.get_or_insert_default().extend(other.details.into_iter().flatten());
        for container in other.containers {
            if !self.activity.containers.contains(&container) {
                self.activity.containers.push(container);
            }
        }
    }
}

fn is_pending(activity: Option<&Activity>) -> bool {
    activity.is_some_and(|activity| activity.pending)
}

async fn update(
    connection: &impl Session,
    tenant: &TenantId,
    position: i64,
    (act, activity): (&Act, &Activity),
) -> Result<(), StoreError> {
    let update = pending_activity::Entity::update_many()
        .col_expr(pending_activity::Column::Partial, Expr::value(act.partial))
        .col_expr(pending_activity::Column::Activity, Expr::value(serde_json::to_string(activity).map_err(corrupt)?))
        .filter(pending_activity::Column::Tenant.eq(tenant.as_str()))
        .filter(pending_activity::Column::Position.eq(position))
        .build(connection.backend());
    Ok(connection.run(update).await?)
}

/// Keeps the activities that wait among changes that were appended.
pub(super) async fn insert<'a>(
    connection: &impl Session,
    tenant: &TenantId,
    now: DateTime<Utc>,
    changes: impl Iterator<Item = (&'a AppliedChange, &'a Act)>,
) -> Result<(), StoreError> {
    let pending =
        changes.filter_map(|(change, act)| Some((change.activity.as_ref().filter(|activity| activity.pending)?, act)));
    let rows = pending.map(|(activity, act)| {
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

fn pending_of(row: &pending_activity::Model) -> Result<PendingActivity, StoreError> {
    let activity: Activity = serde_json::from_str(&row.activity).map_err(corrupt)?;
    Ok(PendingActivity {
        position: row.position,
        due_at: from_micros(row.due_at),
        partial: row.partial,
        activity: Activity { position: row.position, ..activity },
    })
}

fn corrupt(source: serde_json::Error) -> StoreError {
    StoreError::Corrupt { what: "activity that waits", source }
}
