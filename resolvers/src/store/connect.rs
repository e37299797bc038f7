//! Connects and changes an integration with its default endpoint and its socket: all in one transaction, so that a failure leaves
//! either everything or nothing.

use chrono::{DateTime, Utc};
use mullion_entities::{endpoint, sealed::Sealed};
use mullion_schema::{
    id::{IntegrationId, TenantId},
    ports::Change,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::Expr};

use super::{
    Database, StoreError,
    endpoint::{Endpoint, EndpointDraft, endpoint_of},
    integration::{self, Integration, IntegrationDraft, tags},
    stream::Written,
};

/// The parts that a new integration is made of.
#[derive(Debug)]
pub struct NewConnection {
    /// The integration.
    pub draft: IntegrationDraft,
    /// The path of its default endpoint; `None`: one that nobody can guess.
    pub path: Option<String>,
    /// The secret of that endpoint.
    pub secret: Option<Sealed>,
    /// The token that opens its socket.
    pub socket_token: Option<Sealed>,
}

/// The changes of an integration beside its own row.
#[derive(Debug)]
pub struct ConnectionChanges {
    /// The secret of its default endpoint.
    pub secret: Change<Sealed>,
    /// The token that opens its socket.
    pub socket_token: Change<Sealed>,
}

/// An integration with its default endpoint.
#[derive(Debug, Clone)]
pub struct Connected {
    /// The integration.
    pub integration: Integration,
    /// The endpoint at which its deliveries come in.
    pub endpoint: Endpoint,
}

impl Database {
    /// Makes an integration with its default endpoint and, where there is a token for it, its socket.
    pub async fn connect_integration(
        &self,
        tenant: &TenantId,
        id: &IntegrationId,
        provider: &str,
        new: NewConnection,
    ) -> Result<Written<Connected>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let integration = integration::insert(&transaction, (tenant, id), provider, (&new.draft, self.now())).await?;
        let endpoint = EndpointDraft { secrets: new.secret, ..EndpointDraft::default() };
        let endpoint = self.insert_endpoint(&transaction, &integration, new.path, endpoint).await?;
        if let Some(token) = new.socket_token {
            self.put_socket_token(&transaction, (tenant, id), token).await?;
        }
        let written = self.finish(tenant, transaction, Connected { integration, endpoint }, tags(tenant, id)).await;
        self.note_endpoint_change();
        written
    }

    /// Changes an integration: `change` gets what is stored and turns it into what is to be. An integration that lacks its default
    /// endpoint gets one.
    pub async fn change_connection(
        &self,
        tenant: &TenantId,
        id: &IntegrationId,
        expected_updated_at: Option<DateTime<Utc>>,
        (change, others): (impl FnOnce(&mut IntegrationDraft) + Send, ConnectionChanges),
    ) -> Result<Written<Connected>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let integration = self.update_in(&transaction, (tenant, id), expected_updated_at, change).await?;
        let known = default_endpoint(&transaction, tenant, id).await?;
        let endpoint = match (known, others.secret) {
            (Some(endpoint), Change::Keep) => endpoint,
            (Some(mut endpoint), secret) => {
                endpoint.draft.secrets = set(secret);
                let secrets = endpoint.draft.secrets.clone();
                endpoint::Entity::update_many()
                    .col_expr(endpoint::Column::Secrets, Expr::value(secrets))
                    .filter(endpoint::Column::Id.eq(endpoint.id.as_str()))
                    .exec(&transaction)
                    .await?;
                endpoint
            }
            (None, secret) => {
                let draft = EndpointDraft { secrets: set(secret), ..EndpointDraft::default() };
                self.insert_endpoint(&transaction, &integration, None, draft).await?
            }
        };
        match others.socket_token {
            Change::Keep => {}
            Change::Clear => self.take_socket_token(&transaction, (tenant, id)).await?,
            Change::Set(token) => self.put_socket_token(&transaction, (tenant, id), token).await?,
        }
        let written = self.finish(tenant, transaction, Connected { integration, endpoint }, tags(tenant, id)).await;
        self.note_endpoint_change();
        written
    }
}

fn set(secret: Change<Sealed>) -> Option<Sealed> {
    match secret {
        Change::Set(secret) => Some(secret),
        Change::Keep | Change::Clear => None,
    }
}

/// The endpoint that is registered for no container of its own.
async fn default_endpoint(
    connection: &impl ConnectionTrait,
    tenant: &TenantId,
    id: &IntegrationId,
) -> Result<Option<Endpoint>, StoreError> {
    let row = endpoint::Entity::find()
        .filter(endpoint::Column::Tenant.eq(tenant.as_str()))
        .filter(endpoint::Column::Integration.eq(id.as_str()))
        .filter(endpoint::Column::Container.is_null())
        .order_by_asc(endpoint::Column::Id)
        .one(connection)
        .await?;
    Ok(row.map(endpoint_of))
}
