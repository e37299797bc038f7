//! How far an integration, or one of its containers, was caught up with its provider.

use sea_orm::entity::prelude::*;

/// A row of `catch_up`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "catch_up")]
pub struct Model {
    /// The integration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration: String,
    /// Which container: `Type:nativeId`; empty: the integration as a whole.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    /// Where its provider's log was read up to: JSON that only the provider understands.
    pub mark: Option<String>,
    /// When it was last looked at with success.
    pub caught_up_at: Option<i64>,
    /// When that last left nothing out.
    pub covered_at: Option<i64>,
    /// For an integration: when its webhooks were last found in order at the provider.
    pub proven_at: Option<i64>,
    /// For an integration: when something may last have been missed; what was read before is read again when it is asked for.
    pub suspect_at: Option<i64>,
    /// For an integration: since when events may be missing because its socket was closed, where that is not made up for yet.
    pub missed_since: Option<i64>,
    /// The same: when the socket was open again.
    pub missed_until: Option<i64>,
    /// For an integration: when its socket was taken away, so that what was heard before is no sign of life any more.
    pub unheard_at: Option<i64>,
    /// When somebody last wanted it looked after.
    pub wanted_at: i64,
    /// How often it failed since it last went well.
    pub failures: i64,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
