//! A document that a client of a tenant may ask for by its hash.

use sea_orm::entity::prelude::*;

/// A row of `persisted_query`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "persisted_query")]
pub struct Model {
    /// The tenant whose client registered it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: String,
    /// SHA-256 of the document, in hexadecimal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    /// The document's text.
    pub document: Vec<u8>,
    /// Its bytes.
    pub length: i64,
    /// When it was last asked for, to within a day.
    pub used_at: i64,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
