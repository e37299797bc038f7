//! Sockets that events come over: the sealed token that opens one, and how it stands.

use sea_orm_migration::prelude::*;

use crate::column::{bytes, key, number, text, text_or_null, time};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("event_socket");
        table.col(key(backend, "integration"));
        table.col(key(backend, "tenant"));
        table.col(bytes("token"));
        table.col(number("revision"));
        table.col(text("state"));
        table.col(text_or_null("message"));
        table.col(time("changed_at"));
        table.primary_key(Index::create().col("integration"));
        table.foreign_key(
            ForeignKey::create()
                .from("event_socket", "integration")
                .to("integration", "id")
                .on_delete(ForeignKeyAction::Cascade),
        );
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("event_socket").take()).await
    }
}
