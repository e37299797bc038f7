//! Sockets that events come over: the sealed tokens that open them, and how they stand. One replica holds a socket, all show it.

use std::time::Duration;

use mullion_entities::{event_socket, sealed::Sealed};
use mullion_schema::id::{IntegrationId, TenantId};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};

use super::{Database, StoreError, catch_up, integration::row_in, lease::Lease, stream::Written, text::clean};
use crate::tag::Tag;

/// How long the hold on a socket lasts that is not renewed: so long after a crash another replica opens it.
const HOLD: Duration = Duration::from_secs(5);

/// The socket of an integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSocket {
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// The integration whose events it brings.
    pub integration: IntegrationId,
    /// Which token it is: grows with each that was given.
    pub revision: i64,
    /// How it stands.
    pub state: SocketState,
    /// Why it is not open.
    pub message: Option<String>,
}

/// How a socket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum SocketState {
    /// It is being opened.
    Connecting,
    /// Events come over it.
    Open,
    /// The provider refuses it: its owner must do something.
    Failed,
}

impl EventSocket {
    /// Whether events come over it now, so that no webhook is missing.
    pub fn is_live(&self) -> bool {
        self.state == SocketState::Open
    }
}

impl Database {
    /// Gives an integration a token for its socket, in place of an earlier one.
    pub async fn set_socket_token(
        &self,
        tenant: &TenantId,
        integration: &IntegrationId,
        token: Sealed,
    ) -> Result<Written<()>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        row_in(&transaction, tenant, integration).await?;
        self.put_socket_token(&transaction, (tenant, integration), token).await?;
        self.finish(tenant, transaction, (), tags(tenant, integration)).await
    }

    /// The same in a transaction that does more; the integration is there.
    pub(super) async fn put_socket_token(
        &self,
        connection: &impl ConnectionTrait,
        (tenant, integration): (&TenantId, &IntegrationId),
        token: Sealed,
    ) -> Result<(), StoreError> {
        let row = event_socket::ActiveModel {
            integration: Set(integration.as_str().to_owned()),
            tenant: Set(tenant.as_str().to_owned()),
            token: Set(token),
            revision: Set(self.now().timestamp_micros()),
            state: Set(SocketState::Connecting.to_string()),
            message: Set(None),
            changed_at: Set(self.now().timestamp_micros()),
        };
        let mut instead = OnConflict::column(event_socket::Column::Integration);
        instead.update_columns([
            event_socket::Column::Token,
            event_socket::Column::State,
            event_socket::Column::Message,
            event_socket::Column::ChangedAt,
        ]);
        // Also where the clock stands still, it is another token.
        instead.value(
            event_socket::Column::Revision,
            Expr::cust("CASE WHEN excluded.revision > event_socket.revision THEN excluded.revision ELSE event_socket.revision + 1 END"),
        );
        catch_up::begin_gap(connection, integration).await?;
        event_socket::Entity::insert(row).on_conflict(instead).exec_without_returning(connection).await?;
        Ok(())
    }

    /// Takes the token away, where there is one.
    pub async fn remove_socket_token(
        &self,
        tenant: &TenantId,
        integration: &IntegrationId,
    ) -> Result<Written<()>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        self.take_socket_token(&transaction, (tenant, integration)).await?;
        self.finish(tenant, transaction, (), tags(tenant, integration)).await
    }

    /// The same in a transaction that does more.
    pub(super) async fn take_socket_token(
        &self,
        connection: &impl ConnectionTrait,
        (tenant, integration): (&TenantId, &IntegrationId),
    ) -> Result<(), StoreError> {
        let its = event_socket::Entity::find_by_id(integration.as_str())
            .filter(event_socket::Column::Tenant.eq(tenant.as_str()));
        if its.one(connection).await?.is_some() {
            catch_up::begin_gap(connection, integration).await?;
            catch_up::note_unheard(connection, integration, self.now()).await?;
            event_socket::Entity::delete_by_id(integration.as_str()).exec(connection).await?;
        }
        Ok(())
    }

    /// A socket was closed for good. Where that is because its token was taken away, what came until now is no sign of life.
    pub async fn socket_left(&self, integration: &IntegrationId) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        let socket = event_socket::Entity::find_by_id(integration.as_str()).one(&transaction).await?;
        if socket.is_none() {
            catch_up::note_unheard(&transaction, integration, self.now()).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The token of an integration's socket, with its revision.
    pub async fn socket_token(
        &self,
        tenant: &TenantId,
        integration: &IntegrationId,
    ) -> Result<Option<Sealed>, StoreError> {
        Ok(self.socket_row(tenant, integration).await?.map(|row| row.token))
    }

    /// The socket of an integration, where it has one.
    pub async fn event_socket(
        &self,
        tenant: &TenantId,
        integration: &IntegrationId,
    ) -> Result<Option<EventSocket>, StoreError> {
        Ok(self.socket_row(tenant, integration).await?.map(socket_of))
    }

    /// All sockets, of all tenants.
    pub async fn event_sockets(&self) -> Result<Vec<EventSocket>, StoreError> {
        let rows =
            event_socket::Entity::find().order_by_asc(event_socket::Column::Integration).all(&self.0.reader).await?;
        Ok(rows.into_iter().map(socket_of).collect())
    }

    /// Takes or renews the hold on a socket. `None`: another process has it.
    pub async fn hold_socket(&self, integration: &IntegrationId, owner: &str) -> Result<Option<Lease>, StoreError> {
        self.take_lease(&format!("socket/{integration}"), owner, HOLD).await
    }

    /// Notes how a socket stands. `None`: the token was replaced, so there is nothing to note; an error when another process holds the
    /// socket by now.
    pub async fn note_socket(
        &self,
        lease: &Lease,
        socket: &EventSocket,
        state: SocketState,
        message: Option<&str>,
    ) -> Result<Option<Written<()>>, StoreError> {
        let transaction = self.begin_for(&socket.tenant).await?;
        lease.check(&transaction).await?;
        if state == SocketState::Open {
            catch_up::end_gap(&transaction, &socket.integration, self.now()).await?;
        } else {
            catch_up::begin_gap(&transaction, &socket.integration).await?;
        }
        let noted = event_socket::Entity::update_many()
            .col_expr(event_socket::Column::State, Expr::value(state.to_string()))
            .col_expr(event_socket::Column::Message, Expr::value(message.map(clean)))
            .col_expr(event_socket::Column::ChangedAt, Expr::value(self.now().timestamp_micros()))
            .filter(event_socket::Column::Integration.eq(socket.integration.as_str()))
            .filter(event_socket::Column::Revision.eq(socket.revision))
            .exec(&transaction)
            .await?;
        if noted.rows_affected == 0 {
            return Ok(None);
        }
        self.finish(&socket.tenant, transaction, (), tags(&socket.tenant, &socket.integration)).await.map(Some)
    }

    async fn socket_row(
        &self,
        tenant: &TenantId,
        integration: &IntegrationId,
    ) -> Result<Option<event_socket::Model>, StoreError> {
        let found = event_socket::Entity::find_by_id(integration.as_str())
            .filter(event_socket::Column::Tenant.eq(tenant.as_str()))
            .limit(1);
        Ok(found.one(&self.0.reader).await?)
    }
}

/// The tags of a socket: whatever shows an integration shows its socket.
fn tags(tenant: &TenantId, integration: &IntegrationId) -> Vec<Tag> {
    vec![Tag::own(tenant, "Integration", integration.as_str())]
}

fn socket_of(row: event_socket::Model) -> EventSocket {
    EventSocket {
        tenant: row.tenant.into(),
        integration: row.integration.into(),
        revision: row.revision,
        state: row.state.parse().unwrap_or(SocketState::Connecting),
        message: row.message,
    }
}
