//! Since when an integration is removed: it is hidden at once, and its rows are deleted a few at a time before its own goes.

use sea_orm_migration::prelude::*;

use crate::column::time_or_null;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = time_or_null("removed_at");
        manager.alter_table(Table::alter().table("integration").add_column(column).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Removed ones would be shown again; what is left of them goes with them or is found by nobody.
        let removed = Query::delete().from_table("integration").and_where(Expr::col("removed_at").is_not_null()).take();
        manager.exec_stmt(removed).await?;
        manager.alter_table(Table::alter().table("integration").drop_column("removed_at").take()).await
    }
}
