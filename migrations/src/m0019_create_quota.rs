//! Quotas as the providers last told them to any replica.

use sea_orm_migration::prelude::*;

use crate::column::{key, number_or_null, time, time_or_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("quota");
        table.col(key(backend, "integration"));
        table.col(key(backend, "bucket"));
        table.col(number_or_null("most"));
        table.col(number_or_null("remaining"));
        table.col(time_or_null("resets_at"));
        table.col(time("told_at"));
        table.primary_key(Index::create().col("integration").col("bucket"));
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("quota").take()).await
    }
}
