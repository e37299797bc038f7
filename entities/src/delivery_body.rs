//! The body of a webhook delivery, apart from the delivery's state, which is written more than once.

use sea_orm::entity::prelude::*;

/// A row of `delivery_body`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery_body")]
pub struct Model {
    /// The delivery's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The JSON document: as it came, or the byte 1 and the document packed as an LZ4 block, of the size that the delivery has.
    pub body: Vec<u8>,
}

/// Relations are joined by hand, where they are needed.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
