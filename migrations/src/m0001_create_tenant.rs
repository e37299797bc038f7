//! Tenants: whom everything belongs to.

use sea_orm_migration::prelude::*;

use crate::column::{key, text, time};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("tenant");
        table.col(key(backend, "id"));
        table.col(text("name"));
        table.col(time("created_at"));
        table.primary_key(Index::create().col("id"));
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("tenant").take()).await
    }
}
