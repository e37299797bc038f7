//! The stream: every change with its tags; an activity is a change that is told to people.

use sea_orm_migration::prelude::*;

use crate::column::{key, key_or_null, number, text, text_or_null, time, time_or_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("change");
        table.col(key(backend, "tenant"));
        table.col(number("position"));
        table.col(text("tags"));
        table.col(key_or_null(backend, "activity"));
        table.col(key_or_null(backend, "integration"));
        table.col(text_or_null("provider"));
        table.col(text_or_null("kind"));
        table.col(text_or_null("actor"));
        table.col(text_or_null("subject"));
        table.col(text_or_null("summary"));
        table.col(text_or_null("containers"));
        table.col(time_or_null("occurred_at"));
        table.col(time_or_null("received_at"));
        table.col(time("created_at"));
        table.primary_key(Index::create().col("tenant").col("position"));
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create().name("change_activity").table("change").col("tenant").col("activity").unique().take(),
            )
            .await?;
        manager.create_index(Index::create().name("change_created").table("change").col("created_at").take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("change").take()).await
    }
}
