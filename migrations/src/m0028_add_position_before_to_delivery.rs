//! Where the stream stood before a delivery was applied: with the position after it, these are the changes that came of it.

use sea_orm_migration::prelude::*;

use crate::column::number_or_null;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = number_or_null("position_before");
        manager.alter_table(Table::alter().table("delivery").add_column(column).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("delivery").drop_column("position_before").take()).await
    }
}
