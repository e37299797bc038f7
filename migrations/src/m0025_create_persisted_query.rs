//! Documents that clients ask for by their hash, of each tenant.

use sea_orm_migration::prelude::*;

use crate::column::{bytes, key, number, time};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("persisted_query");
        table.col(key(backend, "tenant"));
        table.col(key(backend, "hash"));
        // Bytes, since a comment may hold U+0000, which a text of PostgreSQL may not.
        table.col(bytes("document"));
        table.col(number("length"));
        table.col(time("used_at"));
        table.primary_key(Index::create().col("tenant").col("hash"));
        manager.create_table(table).await?;
        let mut by_use = Index::create();
        by_use.name("persisted_query_by_use").table("persisted_query").col("used_at");
        manager.create_index(by_use).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("persisted_query").take()).await
    }
}
