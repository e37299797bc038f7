//! A node's place in a list.

use sea_orm::entity::prelude::*;

/// A row of `member`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "member")]
pub struct Model {
    /// The tenant it belongs to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: String,
    /// Seen through which integration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration: String,
    /// `Type:nativeId/name`, or the name alone.
    #[sea_orm(primary_key, auto_increment = false)]
    pub list: String,
    /// The node.
    #[sea_orm(primary_key, auto_increment = false)]
    pub native_id: String,
    /// The node's type.
    #[sea_orm(primary_key, auto_increment = false)]
    pub type_name: String,
    /// Ascending order is the list's order.
    pub sort: String,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
