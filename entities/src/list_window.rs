//! How far a list was read.

use sea_orm::entity::prelude::*;

/// A row of `list_window`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "list_window")]
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
    /// The canonical filter.
    #[sea_orm(primary_key, auto_increment = false)]
    pub filter: String,
    /// The provider's cursor of the next page.
    pub next: Option<String>,
    /// The greatest sort key that was read.
    pub boundary: Option<String>,
    /// Whether everything was read.
    pub exhausted: bool,
    /// How many there are, where the provider says.
    pub total: Option<i64>,
    /// When its first page was read.
    pub fetched_at: i64,
    /// Something unknown changed at this time.
    pub stale_at: Option<i64>,
    /// For lists in the provider's own order: the items, a JSON array.
    pub opaque: Option<String>,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
