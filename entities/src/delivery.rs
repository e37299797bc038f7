//! A webhook delivery in the inbox.

use sea_orm::entity::prelude::*;

/// A row of `delivery`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery")]
pub struct Model {
    /// Its id; ids are in order of arrival.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// Where it came in.
    pub endpoint: String,
    /// The tenant it belongs to.
    pub tenant: String,
    /// The integration it came in for.
    pub integration: String,
    /// The provider's key.
    pub provider: String,
    /// The provider's delivery id, or the hash of the body.
    pub dedupe_key: String,
    /// How it came in: webhook, socket or log.
    pub source: String,
    /// The event, in the provider's words.
    pub event: String,
    /// The kept headers, a JSON array of pairs.
    pub headers: String,
    /// When its last byte came.
    pub received_at: i64,
    /// Bytes of the body.
    pub size: i64,
    /// A hash of what it must stay in order with: the integration, and the repository or channel that it is about.
    pub ordering: i64,
    /// Which lane it is worked in: the lowest bits of `ordering`.
    pub lane: i64,
    /// received, applied, ignored or failed (what people call parked).
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is to be tried next.
    pub due_at: i64,
    /// The last error, or the reason why it was ignored.
    pub error: Option<String>,
    /// The stream's head after it was applied; it stays when it is replayed.
    pub position: Option<i64>,
    /// The stream's head before it was applied, if that was since this column exists.
    pub position_before: Option<i64>,
    /// When it was applied, ignored or given up.
    pub settled_at: Option<i64>,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
