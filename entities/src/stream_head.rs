//! The head of a tenant's stream.

use sea_orm::entity::prelude::*;

/// A row of `stream_head`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stream_head")]
pub struct Model {
    /// The tenant whose stream it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: String,
    /// The last position that was given.
    pub head: i64,
    /// Positions up to here were removed.
    pub floor: i64,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
