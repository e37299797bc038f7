//! A tenant's account at a provider.

use sea_orm::entity::prelude::*;

use crate::sealed::Sealed;

/// A row of `integration`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "integration")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The tenant it belongs to.
    pub tenant: String,
    /// The provider's key.
    pub provider: String,
    /// For people.
    pub name: String,
    /// The API root, where it is not the provider's public one.
    pub base_url: Option<String>,
    /// The account's name at the provider.
    pub account_name: Option<String>,
    /// The user that the token acts as: `Type:nativeId`.
    pub account_user: Option<String>,
    /// Granted scopes, a JSON array.
    pub scopes: String,
    /// Facts that later calls need, a JSON object.
    pub facts: String,
    /// `PENDING`, `CONNECTED`, `NEEDS_RECONNECT` or `DISABLED`.
    pub status: String,
    /// `PROTOTYPE`, `PILOT`, `PRODUCTION` or `RETIRED`.
    pub stage: String,
    /// The sealed token.
    pub token: Option<Sealed>,
    /// When the token was last accepted anew.
    pub connected_at: Option<i64>,
    /// When the token expires.
    pub expires_at: Option<i64>,
    /// When a webhook last came in.
    pub last_delivery_at: Option<i64>,
    /// The last failure.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
    /// Since when it is removed: nobody sees it, and its rows are being deleted.
    pub removed_at: Option<i64>,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
