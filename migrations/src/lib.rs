//! History of the database schema: one change a file, in order, each with its way back.
//!
//! It does not know the rows of today (`entities`): history must not change when a model does.

use sea_orm_migration::{prelude::*, sea_orm::DatabaseConnection};

mod column;
mod m0001_create_tenant;
mod m0002_create_api_key;
mod m0003_create_integration;
mod m0004_create_endpoint;
mod m0005_create_delivery;
mod m0006_create_node;
mod m0007_create_member;
mod m0008_create_list_window;
mod m0009_create_stream_head;
mod m0010_create_change;
mod m0011_create_change_container;
mod m0012_create_dashboard;
mod m0013_create_widget;
mod m0014_create_setting;
mod m0015_add_lanes_to_delivery;
mod m0016_create_event_socket;
mod m0017_create_catch_up;
mod m0018_create_claim;
mod m0019_create_quota;
mod m0020_create_presence;
mod m0021_create_delivery_body;
mod m0022_add_missed_to_catch_up;
mod m0023_add_source_to_delivery;
mod m0024_create_pending_activity;
mod m0025_create_persisted_query;
mod m0026_create_quota_use;
mod m0027_add_removed_at_to_integration;
mod m0028_add_position_before_to_delivery;

/// Runs the migrations.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_create_tenant::Migration),
            Box::new(m0002_create_api_key::Migration),
            Box::new(m0003_create_integration::Migration),
            Box::new(m0004_create_endpoint::Migration),
            Box::new(m0005_create_delivery::Migration),
            Box::new(m0006_create_node::Migration),
            Box::new(m0007_create_member::Migration),
            Box::new(m0008_create_list_window::Migration),
            Box::new(m0009_create_stream_head::Migration),
            Box::new(m0010_create_change::Migration),
            Box::new(m0011_create_change_container::Migration),
            Box::new(m0012_create_dashboard::Migration),
            Box::new(m0013_create_widget::Migration),
            Box::new(m0014_create_setting::Migration),
            Box::new(m0015_add_lanes_to_delivery::Migration),
            Box::new(m0016_create_event_socket::Migration),
            Box::new(m0017_create_catch_up::Migration),
            Box::new(m0018_create_claim::Migration),
            Box::new(m0019_create_quota::Migration),
            Box::new(m0020_create_presence::Migration),
            Box::new(m0021_create_delivery_body::Migration),
            Box::new(m0022_add_missed_to_catch_up::Migration),
            Box::new(m0023_add_source_to_delivery::Migration),
            Box::new(m0024_create_pending_activity::Migration),
            Box::new(m0025_create_persisted_query::Migration),
            Box::new(m0026_create_quota_use::Migration),
            Box::new(m0027_add_removed_at_to_integration::Migration),
            Box::new(m0028_add_position_before_to_delivery::Migration),
        ]
    }
}

/// Brings the database to the newest schema.
pub async fn apply(connection: &DatabaseConnection) -> Result<(), DbErr> {
    Migrator::up(connection, None).await
}

/// Takes the last `steps` changes back; `None`: all of them.
pub async fn revert(connection: &DatabaseConnection, steps: Option<u32>) -> Result<(), DbErr> {
    Migrator::down(connection, steps).await
}

/// How many changes are not applied yet.
pub async fn pending(connection: &DatabaseConnection) -> Result<usize, DbErr> {
    Ok(Migrator::get_pending_migrations(connection).await?.len())
}
