//! The use of the providers' quotas today, counted here: providers tell only how much is left of the current window.

use sea_orm_migration::prelude::*;

use crate::column::{key, number};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("quota_use");
        table.col(key(backend, "integration"));
        table.col(key(backend, "bucket"));
        table.col(number("day"));
        table.col(number("used"));
        table.primary_key(Index::create().col("integration").col("bucket"));
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("quota_use").take()).await
    }
}
