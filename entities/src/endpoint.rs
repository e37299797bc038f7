//! A webhook endpoint.

use sea_orm::entity::prelude::*;

use crate::sealed::Sealed;

/// A row of `endpoint`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "endpoint")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The last part of its URL, unique in a provider.
    pub path: String,
    /// The tenant it belongs to.
    pub tenant: String,
    /// The integration whose deliveries come in here.
    pub integration: String,
    /// The provider's key.
    pub provider: String,
    /// The sealed secrets that are accepted.
    pub secrets: Option<Sealed>,
    /// Whether a handshake may set the secret.
    pub handshake_pending: bool,
    /// The provider's id of the webhook.
    pub external_id: Option<String>,
    /// The container it was registered for: `Type:nativeId`.
    pub container: Option<String>,
    /// When it was made.
    pub created_at: i64,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
