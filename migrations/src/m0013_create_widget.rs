//! Widgets: saved views over nodes, on a dashboard.

use sea_orm_migration::prelude::*;

use crate::column::{key, number, text, time};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("widget");
        table.col(key(backend, "id"));
        table.col(key(backend, "tenant"));
        table.col(key(backend, "dashboard"));
        table.col(text("title"));
        table.col(text("kind"));
        table.col(text("source"));
        table.col(number("x"));
        table.col(number("y"));
        table.col(number("width"));
        table.col(number("height"));
        table.col(time("created_at"));
        table.col(time("updated_at"));
        table.primary_key(Index::create().col("id"));
        table.foreign_key(
            ForeignKey::create().from("widget", "dashboard").to("dashboard", "id").on_delete(ForeignKeyAction::Cascade),
        );
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create().name("widget_dashboard").table("widget").col("tenant").col("dashboard").take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("widget").take()).await
    }
}
