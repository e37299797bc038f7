//! Webhook endpoints: the paths that deliveries come in at, with their sealed secrets.

use sea_orm_migration::prelude::*;

use crate::column::{bytes_or_null, flag, key, text, text_or_null, time};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("endpoint");
        table.col(key(backend, "id"));
        table.col(key(backend, "path"));
        table.col(key(backend, "tenant"));
        table.col(key(backend, "integration"));
        table.col(text("provider"));
        table.col(bytes_or_null("secrets"));
        table.col(flag("handshake_pending"));
        table.col(text_or_null("external_id"));
        table.col(text_or_null("container"));
        table.col(time("created_at"));
        table.primary_key(Index::create().col("id"));
        table.foreign_key(
            ForeignKey::create()
                .from("endpoint", "integration")
                .to("integration", "id")
                .on_delete(ForeignKeyAction::Cascade),
        );
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create().name("endpoint_path").table("endpoint").col("provider").col("path").unique().take(),
            )
            .await?;
        manager
            .create_index(
                Index::create().name("endpoint_integration").table("endpoint").col("tenant").col("integration").take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("endpoint").take()).await
    }
}
