//! The parts that an activity's sentence is worded from, and activities that wait until the names in their sentences are known.

use sea_orm_migration::prelude::*;

use crate::column::{flag, key, number, text, text_or_null, time};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        manager.alter_table(Table::alter().table("change").add_column(text_or_null("details")).take()).await?;
        let mut table = Table::create();
        table.table("pending_activity");
        table.col(key(backend, "tenant"));
        table.col(number("position"));
        table.col(key(backend, "integration"));
        table.col(time("due_at"));
        table.col(text("acts"));
        table.col(flag("partial"));
        table.col(text("activity"));
        table.primary_key(Index::create().col("tenant").col("position"));
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("pending_activity").take()).await?;
        manager.alter_table(Table::alter().table("change").drop_column("details").take()).await
    }
}
