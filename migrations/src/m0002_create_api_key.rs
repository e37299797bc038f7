//! API keys: only their hashes are stored.

use sea_orm_migration::prelude::*;

use crate::column::{bytes, key, text, time, time_or_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("api_key");
        table.col(key(backend, "id"));
        table.col(key(backend, "tenant"));
        table.col(bytes("hash"));
        table.col(text("prefix"));
        table.col(text("name"));
        table.col(text("role"));
        table.col(time("created_at"));
        table.col(time_or_null("revoked_at"));
        table.col(time_or_null("last_used_at"));
        table.primary_key(Index::create().col("id"));
        table.foreign_key(
            ForeignKey::create().from("api_key", "tenant").to("tenant", "id").on_delete(ForeignKeyAction::Cascade),
        );
        manager.create_table(table).await?;
        manager.create_index(Index::create().name("api_key_hash").table("api_key").col("hash").unique().take()).await?;
        manager.create_index(Index::create().name("api_key_tenant").table("api_key").col("tenant").take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("api_key").take()).await
    }
}
