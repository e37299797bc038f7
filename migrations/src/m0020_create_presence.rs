//! Presence: which integrations somebody watches live, at which replica.

use sea_orm_migration::prelude::*;

use crate::column::{key, number};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("presence");
        table.col(key(backend, "integration"));
        table.col(key(backend, "replica"));
        table.col(number("expires_at"));
        table.primary_key(Index::create().col("integration").col("replica"));
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("presence").take()).await
    }
}
