//! Bodies of deliveries in a table of their own: what becomes of a delivery is written without writing its body again.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

use crate::column::{bytes, key};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table.table("delivery_body");
        table.col(key(backend, "id"));
        table.col(bytes("body"));
        table.primary_key(Index::create().col("id"));
        manager.create_table(table).await?;
        let connection = manager.get_connection();
        if backend == DbBackend::Postgres {
            // Compressing each would take longer than all else that is done with it.
            connection.execute_unprepared("ALTER TABLE delivery_body ALTER COLUMN body SET STORAGE EXTERNAL").await?;
        }
        connection.execute_unprepared("INSERT INTO delivery_body (id, body) SELECT id, body FROM delivery").await?;
        manager.alter_table(Table::alter().table("delivery").drop_column("body").take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let empty = if manager.get_database_backend() == DbBackend::Postgres { "''::bytea" } else { "x''" };
        let column = bytes("body").default(Expr::cust(empty)).take();
        manager.alter_table(Table::alter().table("delivery").add_column(column).take()).await?;
        let fill = "UPDATE delivery SET body = (SELECT b.body FROM delivery_body b WHERE b.id = delivery.id) \
                    WHERE EXISTS (SELECT 1 FROM delivery_body b WHERE b.id = delivery.id)";
        manager.get_connection().execute_unprepared(fill).await?;
        manager.drop_table(Table::drop().table("delivery_body").take()).await
    }
}
