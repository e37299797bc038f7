//! Lanes: what keeps deliveries in order and lets workers share them, and the indexes that find what waits, what is parked and
//! what is old. Indexes over all states gave way to partial ones: a delivery is inserted far more often than it is looked for.

use sea_orm_migration::prelude::*;

use crate::column::{key, number};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const WAITING: &str = "received";
const PARKED: &str = "failed";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["ordering", "lane", "size"] {
            let column = number(name).default(0).take();
            manager.alter_table(Table::alter().table("delivery").add_column(column).take()).await?;
        }
        manager.get_connection().execute_unprepared("UPDATE delivery SET size = length(body)").await?;
        for name in ["delivery_queue", "delivery_received", "delivery_integration"] {
            manager.drop_index(Index::drop().name(name).table("delivery").to_owned()).await?;
        }
        let waits = || Expr::col("state").eq(Expr::cust(format!("'{WAITING}'")));
        let mut waiting = Index::create();
        waiting.name("delivery_waiting").table("delivery").col("lane").col("id").col("ordering").col("due_at");
        manager.create_index(waiting.cond_where(waits()).take()).await?;
        let mut retried = Index::create();
        retried.name("delivery_retried").table("delivery").col("lane").col("due_at").col("ordering");
        let tried = Expr::col("attempts").gt(Expr::cust("0"));
        manager.create_index(retried.cond_where(waits().and(tried)).take()).await?;
        let mut parked = Index::create();
        parked.name("delivery_parked").table("delivery").col("tenant").col("id");
        let is_parked = Expr::col("state").eq(Expr::cust(format!("'{PARKED}'")));
        manager.create_index(parked.cond_where(is_parked).take()).await?;
        let mut listed = Index::create();
        listed.name("delivery_listed").table("delivery").col("tenant").col("id").col("size");
        manager.create_index(listed.take()).await?;
        create_lease(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("lease").take()).await?;
        for name in ["delivery_waiting", "delivery_retried", "delivery_parked", "delivery_listed"] {
            manager.drop_index(Index::drop().name(name).table("delivery").to_owned()).await?;
        }
        for (name, columns) in [
            ("delivery_queue", &["state", "due_at", "id"][..]),
            ("delivery_received", &["received_at"]),
            ("delivery_integration", &["tenant", "integration", "received_at"]),
        ] {
            let mut index = Index::create();
            index.name(name).table("delivery");
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index.take()).await?;
        }
        for name in ["ordering", "lane", "size"] {
            manager.alter_table(Table::alter().table("delivery").drop_column(name).take()).await?;
        }
        Ok(())
    }
}

/// The table of leases, each held by one process at a time: of lanes, and of chores that only one replica is to do.
async fn create_lease(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    let mut table = Table::create();
    table.table("lease");
    table.col(key(backend, "name"));
    table.col(key(backend, "owner"));
    table.col(number("expires_at"));
    table.col(number("fence"));
    table.primary_key(Index::create().col("name"));
    manager.create_table(table).await
}
