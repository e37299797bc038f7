//! Dashboards.

use sea_orm_migration::prelude::*;

use crate::column::{key, number, text, text_or_null, time};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("dashboard");
        table.col(key(backend, "id"));
        table.col(key(backend, "tenant"));
        table.col(key(backend, "slug"));
        table.col(text("name"));
        table.col(text_or_null("description"));
        table.col(number("columns"));
        table.col(time("created_at"));
        table.col(time("updated_at"));
        table.primary_key(Index::create().col("id"));
        table.foreign_key(
            ForeignKey::create().from("dashboard", "tenant").to("tenant", "id").on_delete(ForeignKeyAction::Cascade),
        );
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create().name("dashboard_slug").table("dashboard").col("tenant").col("slug").unique().take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("dashboard").take()).await
    }
}
