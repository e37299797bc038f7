//! The use of a quota through an integration on one day, over all replicas.

use sea_orm::entity::prelude::*;

/// A row of `quota_use`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "quota_use")]
pub struct Model {
    /// The integration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration: String,
    /// `graphql`, `core`, `conversations.history`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bucket: String,
    /// The newest day on which something was used, in days since 1970, UTC.
    pub day: i64,
    /// How much was used on that day.
    pub used: i64,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
