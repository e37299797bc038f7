//! Webhook endpoints: the paths that deliveries come in at. Found by path before anything is known of the tenant.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering,
};

use chrono::{DateTime, Utc};
use mullion_entities::{endpoint, sealed::Sealed};
use mullion_schema::id::{IntegrationId, TenantId};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, SimpleExpr},
};

use super::{
    Database, StoreError,
    integration::{Integration, integration_of, row_in},
    session::CHUNK,
    text::clean,
    time::from_micros,
};

/// A webhook endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: String,
    /// The last part of its URL.
    pub path: String,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// The integration whose deliveries come in here.
    pub integration: IntegrationId,
    /// The provider's key.
    pub provider: String,
    /// The fields that change.
    pub draft: EndpointDraft,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The fields of an endpoint that are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointDraft {
    /// The sealed secrets that are accepted.
    pub secrets: Option<Sealed>,
    /// Whether a handshake may set the secret.
    pub handshake_pending: bool,
    /// The provider's id of the webhook.
    pub external_id: Option<String>,
    /// The container it was registered for: `Type:nativeId`; `None`: it is the integration's default endpoint.
    pub container: Option<String>,
}

impl Database {
    /// Makes an endpoint of an integration, at a fixed path (development) or at one that nobody can guess.
    pub async fn create_endpoint(
        &self,
        tenant: &TenantId,
        integration: &IntegrationId,
        path: Option<&str>,
        draft: EndpointDraft,
    ) -> Result<Endpoint, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let owner = integration_of(row_in(&transaction, tenant, integration).await?)?;
        let made = self.insert_endpoint(&transaction, &owner, path.map(str::to_owned), draft).await?;
        transaction.commit().await?;
        self.note_endpoint_change();
        Ok(made)
    }

    /// Makes the row, in a transaction that may do more.
    pub(super) async fn insert_endpoint(
        &self,
        connection: &impl ConnectionTrait,
        owner: &Integration,
        path: Option<String>,
        draft: EndpointDraft,
    ) -> Result<Endpoint, StoreError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| StoreError::Random)?;
        let row = endpoint::Model {
            id: self.new_id()?,
            path: path.unwrap_or_else(|| hex::encode(random)),
            tenant: owner.tenant.as_str().to_owned(),
            integration: owner.id.as_str().to_owned(),
            provider: owner.provider.clone(),
            secrets: draft.secrets,
            handshake_pending: draft.handshake_pending,
            external_id: draft.external_id.as_deref().map(clean),
            container: draft.container.as_deref().map(clean),
            created_at: self.now().timestamp_micros(),
        };
        let active = row.clone().into_active_model().reset_all();
        endpoint::Entity::insert(active).exec_without_returning(connection).await?;
        Ok(endpoint_of(row))
    }

    /// The endpoint at a path.
    pub async fn endpoint_at(&self, provider: &str, path: &str) -> Result<Option<Endpoint>, StoreError> {
        let row = endpoint::Entity::find()
            .filter(endpoint::Column::Provider.eq(provider))
            .filter(endpoint::Column::Path.eq(clean(path)))
            .filter(of_a_present_integration())
            .one(&self.0.essential)
            .await?;
        Ok(row.map(endpoint_of))
    }

    /// The endpoints of an integration, oldest first.
    pub async fn endpoints(&self, tenant: &TenantId, integration: &IntegrationId) -> Result<Vec<Endpoint>, StoreError> {
        let rows = endpoint::Entity::find()
            .filter(endpoint::Column::Tenant.eq(tenant.as_str()))
            .filter(endpoint::Column::Integration.eq(integration.as_str()))
            .filter(of_a_present_integration())
            .order_by_asc(endpoint::Column::Id)
            .all(&self.0.reader)
            .await?;
        Ok(rows.into_iter().map(endpoint_of).collect())
    }

    /// The containers of these integrations for which webhooks are registered: `Type:nativeId`.
    pub async fn registered_containers(
        &self,
        integrations: &[IntegrationId],
    ) -> Result<HashMap<IntegrationId, HashSet<String>>, StoreError> {
        let mut registered: HashMap<IntegrationId, HashSet<String>> = HashMap::new();
        for chunk in integrations.chunks(CHUNK) {
            let rows = endpoint::Entity::find()
                .select_only()
                .column(endpoint::Column::Integration)
                .column(endpoint::Column::Container)
                .filter(endpoint::Column::Integration.is_in(chunk.iter().map(IntegrationId::as_str)))
                .filter(endpoint::Column::ExternalId.is_not_null())
                .filter(endpoint::Column::Container.is_not_null())
                .into_tuple::<(String, String)>()
                .all(&self.0.reader)
                .await?;
            for (integration, container) in rows {
                registered.entry(integration.into()).or_default().insert(container);
            }
        }
        Ok(registered)
    }

    /// Changes an endpoint, by id. If `change` refuses (`false`), it stays as it was, and the answer is [`StoreError::Conflict`]:
    /// so two handshakes cannot both set the secret.
    pub async fn update_endpoint(
        &self,
        tenant: &TenantId,
        id: &str,
        change: impl FnOnce(&mut EndpointDraft) -> bool + Send,
    ) -> Result<Endpoint, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let row = endpoint::Entity::find_by_id(id)
            .filter(endpoint::Column::Tenant.eq(tenant.as_str()))
            .one(&transaction)
            .await?
            .ok_or(StoreError::NotFound)?;
        let mut draft = endpoint_of(row.clone()).draft;
        if !change(&mut draft) {
            return Err(StoreError::Conflict);
        }
        let mut active = row.into_active_model();
        active.secrets = Set(draft.secrets);
        active.handshake_pending = Set(draft.handshake_pending);
        active.external_id = Set(draft.external_id.as_deref().map(clean));
        active.container = Set(draft.container.as_deref().map(clean));
        let row = active.update(&transaction).await?;
        transaction.commit().await?;
        self.note_endpoint_change();
        Ok(endpoint_of(row))
    }

    /// Deletes an endpoint; whether it was there.
    pub async fn delete_endpoint(&self, tenant: &TenantId, id: &str) -> Result<bool, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let deleted = endpoint::Entity::delete_by_id(id)
            .filter(endpoint::Column::Tenant.eq(tenant.as_str()))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        self.note_endpoint_change();
        Ok(deleted.rows_affected > 0)
    }

    /// Grows with each change of an endpoint that this process makes. Read it before an endpoint: while it stays, so did what was
    /// read, unless another process changed it.
    pub fn endpoint_changes(&self) -> u64 {
        self.0.endpoint_changes.load(Ordering::Acquire)
    }

    pub(super) fn note_endpoint_change(&self) {
        self.0.endpoint_changes.fetch_add(1, Ordering::AcqRel);
    }
}

/// An integration that is being removed has no endpoints, whatever rows are left of them.
fn of_a_present_integration() -> SimpleExpr {
    Expr::cust("EXISTS (SELECT 1 FROM integration i WHERE i.id = endpoint.integration AND i.removed_at IS NULL)")
}

pub(super) fn endpoint_of(row: endpoint::Model) -> Endpoint {
    Endpoint {
        id: row.id,
        path: row.path,
        tenant: row.tenant.into(),
        integration: row.integration.into(),
        provider: row.provider,
        draft: EndpointDraft {
            secrets: row.secrets,
            handshake_pending: row.handshake_pending,
            external_id: row.external_id,
            container: row.container,
        },
        created_at: from_micros(row.created_at),
    }
}
