//! Windows: how far a list was read from the provider.

use sea_orm_migration::prelude::*;

use crate::column::{flag, key, key_or_null, number_or_null, text_or_null, time, time_or_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("list_window");
        table.col(key(backend, "tenant"));
        table.col(key(backend, "integration"));
        table.col(key(backend, "list"));
        table.col(key(backend, "filter"));
        table.col(text_or_null("next"));
        table.col(key_or_null(backend, "boundary"));
        table.col(flag("exhausted"));
        table.col(number_or_null("total"));
        table.col(time("fetched_at"));
        table.col(time_or_null("stale_at"));
        table.col(text_or_null("opaque"));
        table.primary_key(Index::create().col("tenant").col("integration").col("list").col("filter"));
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("list_window").take()).await
    }
}
