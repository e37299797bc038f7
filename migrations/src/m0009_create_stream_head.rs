//! The heads of the tenants' streams: where positions are taken from.

use sea_orm_migration::prelude::*;

use crate::column::{key, number};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("stream_head");
        table.col(key(backend, "tenant"));
        table.col(number("head"));
        table.col(number("floor"));
        table.primary_key(Index::create().col("tenant"));
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("stream_head").take()).await
    }
}
