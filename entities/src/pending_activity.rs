//! An activity that waits until the names in its sentence are known, and has no place in the stream yet.

use sea_orm::entity::prelude::*;

/// A row of `pending_activity`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pending_activity")]
pub struct Model {
    /// The tenant that it belongs to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: String,
    /// The position of the change that it came with: the order in which such activities are released.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
    /// Where it happened.
    pub integration: String,
    /// When it is released at the latest.
    pub due_at: i64,
    /// The names of the acts that it may be part of, a JSON array.
    pub acts: String,
    /// Whether it tells only half of an act, so that the other half is worth waiting for.
    pub partial: bool,
    /// The activity, a JSON object.
    pub activity: String,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
