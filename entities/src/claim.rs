//! A fetch from a provider that some replica does, or has just done.

use sea_orm::entity::prelude::*;

/// A row of `claim`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "claim")]
pub struct Model {
    /// The integration it is fetched through.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration: String,
    /// A hash of the want that is fetched.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    /// The process that fetches; empty: it is done.
    pub owner: String,
    /// When it was claimed, by its owner's clock.
    pub since: i64,
    /// Until when it counts, by the database's clock.
    pub expires_at: i64,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
