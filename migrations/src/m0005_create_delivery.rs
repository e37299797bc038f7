//! The inbox: deliveries as they came in, bodies as bytes (PostgreSQL's text refuses U+0000).

use sea_orm_migration::prelude::*;

use crate::column::{bytes, key, number, number_or_null, text, text_or_null, time, time_or_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("delivery");
        table.col(key(backend, "id"));
        table.col(key(backend, "endpoint"));
        table.col(key(backend, "tenant"));
        table.col(key(backend, "integration"));
        table.col(text("provider"));
        table.col(key(backend, "dedupe_key"));
        table.col(text("event"));
        table.col(text("headers"));
        table.col(bytes("body"));
        table.col(time("received_at"));
        table.col(text("state"));
        table.col(number("attempts"));
        table.col(time("due_at"));
        table.col(text_or_null("error"));
        table.col(number_or_null("position"));
        table.col(time_or_null("settled_at"));
        table.primary_key(Index::create().col("id"));
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create()
                    .name("delivery_dedupe")
                    .table("delivery")
                    .col("endpoint")
                    .col("dedupe_key")
                    .unique()
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create().name("delivery_queue").table("delivery").col("state").col("due_at").col("id").take(),
            )
            .await?;
        manager
            .create_index(Index::create().name("delivery_received").table("delivery").col("received_at").take())
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("delivery_integration")
                    .table("delivery")
                    .col("tenant")
                    .col("integration")
                    .col("received_at")
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("delivery").take()).await
    }
}
