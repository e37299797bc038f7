//! The time in which a closed socket may have missed events, and since when nothing is heard because it was taken away.

use sea_orm_migration::prelude::*;

use crate::column::time_or_null;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const COLUMNS: [&str; 3] = ["missed_since", "missed_until", "unheard_at"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in COLUMNS {
            let column = time_or_null(name);
            manager.alter_table(Table::alter().table("catch_up").add_column(column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in COLUMNS {
            manager.alter_table(Table::alter().table("catch_up").drop_column(name).take()).await?;
        }
        Ok(())
    }
}
