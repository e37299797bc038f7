//! How far each integration was caught up with its provider, and each container of it; beside it, by what an activity is recognised
//! when it is told a second time.

use sea_orm_migration::prelude::*;

use crate::column::{key, key_or_null, number, text_or_null, time, time_or_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("catch_up");
        table.col(key(backend, "integration"));
        table.col(key(backend, "subject"));
        table.col(text_or_null("mark"));
        for name in ["caught_up_at", "covered_at", "proven_at", "suspect_at"] {
            table.col(time_or_null(name));
        }
        table.col(time("wanted_at").default(0));
        table.col(number("failures").default(0));
        table.primary_key(Index::create().col("integration").col("subject"));
        manager.create_table(table).await?;
        let told = key_or_null(backend, "told_key");
        manager.alter_table(Table::alter().table("change").add_column(told).take()).await?;
        let mut once = Index::create();
        once.name("change_told_once").table("change").col("tenant").col("integration").col("told_key").unique();
        let has_one = Expr::col("told_key").is_not_null();
        manager.create_index(once.cond_where(has_one).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("change_told_once").table("change").to_owned()).await?;
        manager.alter_table(Table::alter().table("change").drop_column("told_key").take()).await?;
        manager.drop_table(Table::drop().table("catch_up").take()).await
    }
}
