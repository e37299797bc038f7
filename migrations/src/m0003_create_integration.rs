//! Integrations: a tenant's accounts at providers, with their sealed tokens.

use sea_orm_migration::prelude::*;

use crate::column::{bytes_or_null, key, text, text_or_null, time, time_or_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("integration");
        table.col(key(backend, "id"));
        table.col(key(backend, "tenant"));
        table.col(text("provider"));
        table.col(text("name"));
        table.col(text_or_null("base_url"));
        table.col(text_or_null("account_name"));
        table.col(text_or_null("account_user"));
        table.col(text("scopes"));
        table.col(text("facts"));
        table.col(text("status"));
        table.col(text("stage"));
        table.col(bytes_or_null("token"));
        table.col(time_or_null("connected_at"));
        table.col(time_or_null("expires_at"));
        table.col(time_or_null("last_delivery_at"));
        table.col(text_or_null("last_error"));
        table.col(time_or_null("last_error_at"));
        table.col(time("created_at"));
        table.col(time("updated_at"));
        table.primary_key(Index::create().col("id"));
        table.foreign_key(
            ForeignKey::create().from("integration", "tenant").to("tenant", "id").on_delete(ForeignKeyAction::Cascade),
        );
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create().name("integration_tenant").table("integration").col("tenant").col("id").take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("integration").take()).await
    }
}
