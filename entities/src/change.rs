//! A change in a tenant's stream; with the activity fields set, one that is told to people.

use sea_orm::entity::prelude::*;

/// A row of `change`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "change")]
pub struct Model {
    /// The tenant it belongs to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: String,
    /// Its place in the stream.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
    /// The tags it outdates, a JSON array.
    pub tags: String,
    /// The activity's id.
    pub activity: Option<String>,
    /// Where it happened.
    pub integration: Option<String>,
    /// The provider's key.
    pub provider: Option<String>,
    /// `issues.closed`.
    pub kind: Option<String>,
    /// The person or bot that did it: `Type:nativeId`.
    pub actor: Option<String>,
    /// The node it was done to: `Type:nativeId`.
    pub subject: Option<String>,
    /// One readable line, as it was worded when it was written: read where there are no details.
    pub summary: Option<String>,
    /// The containers it belongs to, a JSON array of `Type:nativeId`.
    pub containers: Option<String>,
    /// When, by the provider's clock.
    pub occurred_at: Option<i64>,
    /// When it came in.
    pub received_at: Option<i64>,
    /// By what it is recognised when it is told a second time.
    pub told_key: Option<String>,
    /// When it was written.
    pub created_at: i64,
    /// The parts that its sentence is worded from, a JSON object.
    pub details: Option<String>,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
