//! An activity's container.

use sea_orm::entity::prelude::*;

/// A row of `change_container`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "change_container")]
pub struct Model {
    /// The tenant it belongs to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: String,
    /// `integration/Type:nativeId`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub container: String,
    /// The activity's place in the stream.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
