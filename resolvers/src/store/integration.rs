//! Integrations: a tenant's accounts at providers. Tokens come and go sealed; this module cannot open them.

use chrono::{DateTime, Utc};
use mullion_entities::{integration, sealed::Sealed};
use mullion_schema::id::{IntegrationId, TenantId};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, Select, sea_query::Expr,
};
use serde_json::{Map, Value};

use super::{Database, StoreError, own::expect, stream::Written, text::clean, time::from_micros};
use crate::tag::Tag;

/// How an integration's credential stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum IntegrationStatus {
    /// Not connected yet.
    Pending,
    /// The token was accepted.
    Connected,
    /// The token is no longer accepted.
    NeedsReconnect,
    /// Switched off.
    Disabled,
}

/// How far an integration experiment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum IntegrationStage {
    /// Tried out.
    Prototype,
    /// Used by some.
    Pilot,
    /// Relied upon.
    Production,
    /// No longer used.
    Retired,
}

/// An integration. The fields that callers may set are public in [`IntegrationDraft`] too.
#[derive(Debug, Clone, PartialEq)]
pub struct Integration {
    /// Its id.
    pub id: IntegrationId,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// The provider's key; perhaps of one that was removed.
    pub provider: String,
    /// The fields that its owner set, and those that are known of the account.
    pub draft: IntegrationDraft,
    /// When a webhook last came in.
    pub last_delivery_at: Option<DateTime<Utc>>,
    /// The last error, and when it happened.
    pub last_error: Option<(String, DateTime<Utc>)>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// The fields of an integration that are written.
#[derive(Debug, Clone, PartialEq)]
pub struct IntegrationDraft {
    /// For people.
    pub name: String,
    /// The API root, where it is not the provider's public one.
    pub base_url: Option<String>,
    /// The account's name at the provider.
    pub account_name: Option<String>,
    /// The user that the token acts as: `Type:nativeId`.
    pub account_user: Option<String>,
    /// Granted scopes.
    pub scopes: Vec<String>,
    /// Facts that later calls need.
    pub facts: Map<String, Value>,
    /// How the credential stands.
    pub status: IntegrationStatus,
    /// How far it has come.
    pub stage: IntegrationStage,
    /// The sealed token.
    pub token: Option<Sealed>,
    /// When the token was last accepted anew.
    pub connected_at: Option<DateTime<Utc>>,
    /// When the token expires.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Database {
    /// Makes an integration. The id comes from [`Database::new_id`], because the token is sealed for it.
    pub async fn create_integration(
        &self,
        tenant: &TenantId,
        id: &IntegrationId,
        provider: &str,
        draft: IntegrationDraft,
    ) -> Result<Written<Integration>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let value = insert(&transaction, (tenant, id), provider, (&draft, self.now())).await?;
        self.finish(tenant, transaction, value, tags(tenant, id)).await
    }

    /// Changes an integration: `change` gets what is stored and turns it into what is to be.
    pub async fn update_integration(
        &self,
        tenant: &TenantId,
        id: &IntegrationId,
        expected_updated_at: Option<DateTime<Utc>>,
        change: impl FnOnce(&mut IntegrationDraft) + Send,
    ) -> Result<Written<Integration>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let value = self.update_in(&transaction, (tenant, id), expected_updated_at, change).await?;
        self.finish(tenant, transaction, value, tags(tenant, id)).await
    }

    /// Notes what went wrong, quietly: health is not part of the stream.
    pub async fn note_integration_error(
        &self,
        tenant: &TenantId,
        id: &IntegrationId,
        error: &str,
    ) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        integration::Entity::update_many()
            .col_expr(integration::Column::LastError, Expr::value(clean(error)))
            .col_expr(integration::Column::LastErrorAt, Expr::value(self.now().timestamp_micros()))
            .filter(integration::Column::Tenant.eq(tenant.as_str()))
            .filter(integration::Column::Id.eq(id.as_str()))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The same in a transaction that does more.
    pub(super) async fn update_in(
        &self,
        connection: &impl ConnectionTrait,
        (tenant, id): (&TenantId, &IntegrationId),
        expected_updated_at: Option<DateTime<Utc>>,
        change: impl FnOnce(&mut IntegrationDraft) + Send,
    ) -> Result<Integration, StoreError> {
        let row = row_in(connection, tenant, id).await?;
        expect(row.updated_at, expected_updated_at)?;
        let updated_at = self.changed_at(row.updated_at);
        let mut draft = integration_of(row.clone())?.draft;
        change(&mut draft);
        let mut active = row.into_active_model();
        set_draft(&mut active, &draft)?;
        active.updated_at = Set(updated_at);
        integration_of(active.update(connection).await?)
    }

    /// One integration.
    pub async fn integration(&self, tenant: &TenantId, id: &IntegrationId) -> Result<Option<Integration>, StoreError> {
        match row_in(&self.0.reader, tenant, id).await {
            Ok(row) => integration_of(row).map(Some),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The integrations of a tenant, oldest first.
    pub async fn integrations(&self, tenant: &TenantId) -> Result<Vec<Integration>, StoreError> {
        let rows = present()
            .filter(integration::Column::Tenant.eq(tenant.as_str()))
            .order_by_asc(integration::Column::Id)
            .all(&self.0.reader)
            .await?;
        rows.into_iter().map(integration_of).collect()
    }
}

/// The rows of integrations that are there: those that are being removed are not.
pub(super) fn present() -> Select<integration::Entity> {
    integration::Entity::find().filter(integration::Column::RemovedAt.is_null())
}

/// The row with an id, where it is there.
pub(super) fn present_by_id(id: &IntegrationId) -> Select<integration::Entity> {
    present().filter(integration::Column::Id.eq(id.as_str()))
}

/// Makes the row.
pub(super) async fn insert(
    connection: &impl ConnectionTrait,
    (tenant, id): (&TenantId, &IntegrationId),
    provider: &str,
    (draft, now): (&IntegrationDraft, DateTime<Utc>),
) -> Result<Integration, StoreError> {
    let now = now.timestamp_micros();
    let mut row = integration::ActiveModel {
        id: Set(id.as_str().to_owned()),
        tenant: Set(tenant.as_str().to_owned()),
        provider: Set(provider.to_owned()),
        last_delivery_at: Set(None),
        last_error: Set(None),
        last_error_at: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
        removed_at: Set(None),
        ..Default::default()
    };
    set_draft(&mut row, draft)?;
    integration::Entity::insert(row).exec_without_returning(connection).await?;
    integration_of(row_in(connection, tenant, id).await?)
}

pub(super) fn tags(tenant: &TenantId, id: &IntegrationId) -> Vec<Tag> {
    vec![Tag::own(tenant, "Integration", id.as_str()), Tag::own_list(tenant, "integrations")]
}

pub(super) async fn row_in(
    connection: &impl ConnectionTrait,
    tenant: &TenantId,
    id: &IntegrationId,
) -> Result<integration::Model, StoreError> {
    let row = present_by_id(id).filter(integration::Column::Tenant.eq(tenant.as_str())).one(connection).await?;
    row.ok_or(StoreError::NotFound)
}

fn set_draft(row: &mut integration::ActiveModel, draft: &IntegrationDraft) -> Result<(), StoreError> {
    let json = |source| StoreError::Corrupt { what: "facts of an integration", source };
    row.name = Set(clean(&draft.name));
    row.base_url = Set(draft.base_url.clone());
    row.account_name = Set(draft.account_name.as_deref().map(clean));
    row.account_user = Set(draft.account_user.as_deref().map(clean));
    row.scopes = Set(serde_json::to_string(&draft.scopes).map_err(json)?);
    row.facts = Set(serde_json::to_string(&draft.facts).map_err(json)?);
    row.status = Set(draft.status.to_string());
    row.stage = Set(draft.stage.to_string());
    row.token = Set(draft.token.clone());
    row.connected_at = Set(draft.connected_at.map(|at| at.timestamp_micros()));
    row.expires_at = Set(draft.expires_at.map(|at| at.timestamp_micros()));
    Ok(())
}

pub(super) fn integration_of(row: integration::Model) -> Result<Integration, StoreError> {
    let json = |source| StoreError::Corrupt { what: "facts of an integration", source };
    let draft = IntegrationDraft {
        name: row.name,
        base_url: row.base_url,
        account_name: row.account_name,
        account_user: row.account_user,
        scopes: serde_json::from_str(&row.scopes).map_err(json)?,
        facts: serde_json::from_str(&row.facts).map_err(json)?,
        // A value that only a newer version knows is not used here.
        status: row.status.parse().unwrap_or(IntegrationStatus::Disabled),
        stage: row.stage.parse().unwrap_or(IntegrationStage::Prototype),
        token: row.token,
        connected_at: row.connected_at.map(from_micros),
        expires_at: row.expires_at.map(from_micros),
    };
    Ok(Integration {
        id: row.id.into(),
        tenant: row.tenant.into(),
        provider: row.provider,
        draft,
        last_delivery_at: row.last_delivery_at.map(from_micros),
        last_error: row.last_error.zip(row.last_error_at.map(from_micros)),
        created_at: from_micros(row.created_at),
        updated_at: from_micros(row.updated_at),
    })
}
