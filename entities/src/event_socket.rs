//! The socket of an integration that hears events over one.

use sea_orm::entity::prelude::*;

use crate::sealed::Sealed;

/// A row of `event_socket`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_socket")]
pub struct Model {
    /// The integration whose events it brings.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration: String,
    /// The tenant it belongs to.
    pub tenant: String,
    /// The sealed token that opens it.
    pub token: Sealed,
    /// Which token it is: grows with each that was given.
    pub revision: i64,
    /// `CONNECTING`, `OPEN` or `FAILED`.
    pub state: String,
    /// The reason why it is not open.
    pub message: Option<String>,
    /// When the state was noted.
    pub changed_at: i64,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
