//! An API key; the key itself is not stored.

use sea_orm::entity::prelude::*;

/// A row of `api_key`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_key")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The tenant it belongs to.
    pub tenant: String,
    /// SHA-256 of the key.
    pub hash: Vec<u8>,
    /// The first characters, to recognise it by.
    pub prefix: String,
    /// For people.
    pub name: String,
    /// Its role.
    pub role: String,
    /// When it was made.
    pub created_at: i64,
    /// Since when it is not accepted.
    pub revoked_at: Option<i64>,
    /// When it was last used, roughly.
    pub last_used_at: Option<i64>,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
