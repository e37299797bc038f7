//! A quota of an integration as its provider last told it to any replica.

use sea_orm::entity::prelude::*;

/// A row of `quota`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "quota")]
pub struct Model {
    /// The integration it belongs to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration: String,
    /// `graphql`, `core`, `conversations.history`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bucket: String,
    /// Its size.
    pub most: Option<i64>,
    /// How much is left.
    pub remaining: Option<i64>,
    /// When it is full again.
    pub resets_at: Option<i64>,
    /// When that was told.
    pub told_at: i64,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
