//! Claims: which fetch from a provider some replica is just doing, so that others wait for it instead of asking too.
//!
//! Not logged on PostgreSQL: after a crash nobody fetches any more, and what was claimed is free.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

use crate::column::{key, number};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("claim");
        for name in ["integration", "subject", "owner"] {
            table.col(key(backend, name));
        }
        table.col(number("since"));
        table.col(number("expires_at"));
        table.primary_key(Index::create().col("integration").col("subject"));
        manager.create_table(table).await?;
        manager.create_index(Index::create().name("claim_expiry").table("claim").col("expires_at").take()).await?;
        if backend == DbBackend::Postgres {
            manager.get_connection().execute_unprepared("ALTER TABLE claim SET UNLOGGED").await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("claim").take()).await
    }
}
