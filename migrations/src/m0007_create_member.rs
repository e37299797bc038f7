//! Members: which nodes stand where in the lists that are kept as windows.

use sea_orm_migration::prelude::*;

use crate::column::key;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("member");
        table.col(key(backend, "tenant"));
        table.col(key(backend, "integration"));
        table.col(key(backend, "list"));
        table.col(key(backend, "native_id"));
        table.col(key(backend, "type_name"));
        table.col(key(backend, "sort"));
        table.primary_key(
            Index::create().col("tenant").col("integration").col("list").col("native_id").col("type_name"),
        );
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create()
                    .name("member_order")
                    .table("member")
                    .col("tenant")
                    .col("integration")
                    .col("list")
                    .col("sort")
                    .col("native_id")
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("member_node")
                    .table("member")
                    .col("tenant")
                    .col("integration")
                    .col("native_id")
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("member").take()).await
    }
}
