//! Settings of the whole installation: few, by name.

use sea_orm_migration::prelude::*;

use crate::column::{key, text};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("setting");
        table.col(key(backend, "name"));
        table.col(text("value"));
        table.primary_key(Index::create().col("name"));
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("setting").take()).await
    }
}
