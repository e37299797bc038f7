//! A provider's node.

use sea_orm::entity::prelude::*;

/// A row of `node`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "node")]
pub struct Model {
    /// The tenant it belongs to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: String,
    /// Seen through which integration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration: String,
    /// The provider's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub native_id: String,
    /// Its GraphQL type.
    #[sea_orm(primary_key, auto_increment = false)]
    pub type_name: String,
    /// Its normalised fields, a JSON object.
    pub body: String,
    /// How new each field is, JSON.
    pub stamps: String,
    /// The version of its deletion.
    pub deleted_at: Option<i64>,
    /// The same, its rank.
    pub deleted_rank: Option<i64>,
    /// Something unknown changed at this time.
    pub stale_at: Option<i64>,
    /// The provider did not know it at this time.
    pub unknown_at: Option<i64>,
    /// When the newest part was read or brought.
    pub fetched_at: i64,
    /// webhook or provider.
    pub source: String,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
