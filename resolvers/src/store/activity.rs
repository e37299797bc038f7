//! Activities: the changes that are told to people.

use chrono::{DateTime, Utc};
use mullion_entities::{change, change_container};
use mullion_schema::id::{IntegrationId, TenantId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, sea_query::Expr};
use serde::{Deserialize, Serialize};

use super::{Database, StoreError, time::from_micros};
use crate::provider::sentence::Details;

/// An activity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Its id.
    pub id: String,
    /// Its place in the stream.
    pub position: i64,
    /// Where it happened.
    pub integration: IntegrationId,
    /// The provider's key.
    pub provider: String,
    /// `pull_request.closed`.
    pub kind: String,
    /// The actor: `Type:nativeId`.
    pub actor: Option<String>,
    /// The subject, to which it was done: `Type:nativeId`.
    pub subject: Option<String>,
    /// One line as it was worded when it was written: shown where there are no details.
    pub summary: String,
    /// The parts that the line is worded from when it is read; `None`: it was written before there were any.
    pub details: Option<Details>,
    /// The containers it belongs to: `Type:nativeId` each.
    pub containers: Vec<String>,
    /// When, by the provider's clock.
    pub occurred_at: DateTime<Utc>,
    /// When it came in.
    pub received_at: DateTime<Utc>,
    /// It waits for the names in its sentence: `position` is that of the change it came with, and nobody is told of it yet.
    pub pending: bool,
}

/// Which activities are wanted. `None`: any; empty: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ActivityFilter {
    /// Provider keys.
    pub providers: Option<Vec<String>>,
    /// Integrations.
    pub integrations: Option<Vec<IntegrationId>>,
    /// Kinds.
    pub kinds: Option<Vec<String>>,
    /// Containers: an integration and `Type:nativeId`.
    pub containers: Option<Vec<(IntegrationId, String)>>,
}

impl ActivityFilter {
    /// Whether an activity passes: the same answer as the query gives.
    pub fn admits(&self, activity: &Activity) -> bool {
        let any =
            |wanted: &Option<Vec<String>>, value: &String| wanted.as_ref().is_none_or(|list| list.contains(value));
        let container = |(integration, reference): &(IntegrationId, String)| {
            *integration == activity.integration && activity.containers.contains(reference)
        };
        any(&self.providers, &activity.provider)
            && any(&self.kinds, &activity.kind)
            && self.integrations.as_ref().is_none_or(|list| list.contains(&activity.integration))
            && self.containers.as_ref().is_none_or(|list| list.iter().any(container))
    }
}

impl Database {
    /// The activities that pass the filter and stand before a position, newest first.
    pub async fn activities(
        &self,
        tenant: &TenantId,
        filter: &ActivityFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Activity>, StoreError> {
        let mut query = change::Entity::find()
            .filter(change::Column::Tenant.eq(tenant.as_str()))
            .filter(change::Column::Activity.is_not_null());
        if let Some(before) = before {
            query = query.filter(change::Column::Position.lt(before));
        }
        if let Some(providers) = &filter.providers {
            query = query.filter(change::Column::Provider.is_in(providers));
        }
        if let Some(integrations) = &filter.integrations {
            query = query.filter(change::Column::Integration.is_in(integrations.iter().map(IntegrationId::as_str)));
        }
        if let Some(kinds) = &filter.kinds {
            query = query.filter(change::Column::Kind.is_in(kinds));
        }
        if let Some(containers) = &filter.containers {
            let names = containers.iter().map(|(integration, reference)| format!("{integration}/{reference}"));
            let positions = change_container::Entity::find()
                .select_only()
                .column(change_container::Column::Position)
                .filter(change_container::Column::Tenant.eq(tenant.as_str()))
                .filter(change_container::Column::Container.is_in(names))
                .into_query();
            query = query.filter(change::Column::Position.in_subquery(positions));
        }
        let rows = query.order_by_desc(change::Column::Position).limit(limit).all(&self.0.reader).await?;
        rows.into_iter().filter_map(|row| activity_of(row).transpose()).collect()
    }

    /// One activity.
    pub async fn activity(&self, tenant: &TenantId, id: &str) -> Result<Option<Activity>, StoreError> {
        let row = change::Entity::find()
            .filter(change::Column::Tenant.eq(tenant.as_str()))
            .filter(change::Column::Activity.eq(id))
            .one(&self.0.reader)
            .await?;
        row.map(activity_of).transpose().map(Option::flatten)
    }
}

impl Database {
    /// The first activity after this one that has the same subject and kind, and a part of this name.
    pub async fn next_such_activity(
        &self,
        tenant: &TenantId,
        activity: &Activity,
        part: &str,
    ) -> Result<Option<Activity>, StoreError> {
        let row = change::Entity::find()
            .filter(change::Column::Tenant.eq(tenant.as_str()))
            .filter(change::Column::Position.gt(activity.position))
            .filter(change::Column::Activity.is_not_null())
            .filter(change::Column::Integration.eq(activity.integration.as_str()))
            .filter(change::Column::Kind.eq(activity.kind.as_str()))
            .filter(change::Column::Subject.eq(activity.subject.as_deref()))
            .filter(change::Column::Details.contains(format!("\"{part}\":")))
            .order_by_asc(change::Column::Position)
            .one(&self.0.reader)
            .await?;
        row.map(activity_of).transpose().map(Option::flatten)
    }

    /// Keeps parts that were added to an activity's sentence, unless somebody else has added some since it was read. Gives the parts
    /// that are kept now.
    pub async fn settle_activity(
        &self,
        tenant: &TenantId,
        (before, settled): (&Activity, Details),
    ) -> Result<Option<Details>, StoreError> {
        let json = |details: &Details| {
            serde_json::to_string(details)
                .map_err(|source| StoreError::Corrupt { what: "details of an activity", source })
        };
        let Some(known) = before.details.as_ref().map(json).transpose()? else { return Ok(None) };
        let updated = change::Entity::update_many()
            .col_expr(change::Column::Details, Expr::value(json(&settled)?))
            .filter(change::Column::Tenant.eq(tenant.as_str()))
            .filter(change::Column::Position.eq(before.position))
            .filter(change::Column::Details.eq(known))
            .exec(&self.0.writer)
            .await?;
        if updated.rows_affected > 0 {
            return Ok(Some(settled));
        }
        Ok(self.activity(tenant, &before.id).await?.and_then(|activity| activity.details))
    }
}

/// The activity of a change, where it is one.
pub(super) fn activity_of(row: change::Model) -> Result<Option<Activity>, StoreError> {
    let (Some(id), Some(integration)) = (row.activity, row.integration) else { return Ok(None) };
    let containers = row.containers.as_deref().unwrap_or("[]");
    let containers = serde_json::from_str(containers)
        .map_err(|source| StoreError::Corrupt { what: "containers of an activity", source })?;
    let details = row.details.as_deref().map(serde_json::from_str).transpose();
    Ok(Some(Activity {
        id,
        position: row.position,
        integration: integration.into(),
        provider: row.provider.unwrap_or_default(),
        kind: row.kind.unwrap_or_default(),
        actor: row.actor,
        subject: row.subject,
        summary: row.summary.unwrap_or_default(),
        details: details.map_err(|source| StoreError::Corrupt { what: "details of an activity", source })?,
        containers,
        occurred_at: from_micros(row.occurred_at.unwrap_or_default()),
        received_at: from_micros(row.received_at.unwrap_or_default()),
        pending: false,
    }))
}
