//! The containers of an activity, so that it can be found by them.

use sea_orm_migration::prelude::*;

use crate::column::{key, number};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("change_container");
        table.col(key(backend, "tenant"));
        table.col(key(backend, "container"));
        table.col(number("position"));
        table.primary_key(Index::create().col("tenant").col("container").col("position"));
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("change_container").take()).await
    }
}
