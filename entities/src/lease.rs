//! The lease of something that one process at a time may hold: a lane of the inbox, a chore. Processes also know of each other by
//! them.

use sea_orm::entity::prelude::*;

/// A row of `lease`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lease")]
pub struct Model {
    /// `lane/07`, `worker/01J…`, `prune`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The process that holds it; empty: nobody.
    pub owner: String,
    /// Until when, by the database's clock.
    pub expires_at: i64,
    /// Grows with each new owner.
    pub fence: i64,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
