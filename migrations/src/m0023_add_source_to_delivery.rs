//! How each delivery came in. Existing deliveries only show whether they were asked for: sockets left no mark.

use sea_orm_migration::prelude::*;

use crate::column::text;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = text("source").default("webhook").take();
        manager.alter_table(Table::alter().table("delivery").add_column(column).take()).await?;
        let asked_for = "UPDATE delivery SET source = 'log' WHERE headers LIKE '%\"mullion-recovered\"%'";
        manager.get_connection().execute_unprepared(asked_for).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("delivery").drop_column("source").take()).await
    }
}
