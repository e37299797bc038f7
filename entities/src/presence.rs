//! That somebody watches values of an integration live, at a replica.

use sea_orm::entity::prelude::*;

/// A row of `presence`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "presence")]
pub struct Model {
    /// The integration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration: String,
    /// Where.
    #[sea_orm(primary_key, auto_increment = false)]
    pub replica: String,
    /// Until when that counts, by the database's clock.
    pub expires_at: i64,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
