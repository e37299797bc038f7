//! A dashboard.

use sea_orm::entity::prelude::*;

/// A row of `dashboard`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dashboard")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The tenant it belongs to.
    pub tenant: String,
    /// Its name in URLs, unique in a tenant.
    pub slug: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Width of the grid.
    pub columns: i64,
    /// When it was made.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
