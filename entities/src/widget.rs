//! A widget on a dashboard.

use sea_orm::entity::prelude::*;

/// A row of `widget`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "widget")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The tenant it belongs to.
    pub tenant: String,
    /// Where it stands.
    pub dashboard: String,
    /// For people.
    pub title: String,
    /// Which kind of source.
    pub kind: String,
    /// The data it shows, a JSON object.
    pub source: String,
    /// Column.
    pub x: i64,
    /// Row.
    pub y: i64,
    /// Columns it spans.
    pub width: i64,
    /// Rows it spans.
    pub height: i64,
    /// When it was made.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
