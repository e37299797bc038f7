//! The node store: the providers' nodes as webhooks and fetches brought them.

use sea_orm_migration::prelude::*;

use crate::column::{key, number_or_null, text, time, time_or_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("node");
        table.col(key(backend, "tenant"));
        table.col(key(backend, "integration"));
        table.col(key(backend, "native_id"));
        table.col(key(backend, "type_name"));
        table.col(text("body"));
        table.col(text("stamps"));
        table.col(number_or_null("deleted_at"));
        table.col(number_or_null("deleted_rank"));
        table.col(time_or_null("stale_at"));
        table.col(time_or_null("unknown_at"));
        table.col(time("fetched_at"));
        table.col(text("source"));
        table.primary_key(Index::create().col("tenant").col("integration").col("native_id").col("type_name"));
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create()
                    .name("node_type")
                    .table("node")
                    .col("tenant")
                    .col("integration")
                    .col("type_name")
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("node").take()).await
    }
}
