//! Presence: which integrations somebody watches live, at any replica. The others need not be kept up to date.

use std::time::Duration;

use mullion_schema::id::IntegrationId;
use sea_orm::{ConnectionTrait, Statement};

use super::{Database, StoreError};

/// How long it counts that somebody was there.
pub const PRESENT: Duration = Duration::from_secs(30);

impl Database {
    /// Notes that somebody watches these integrations at `replica`; to be repeated well within [`PRESENT`].
    pub async fn note_presence(&self, replica: &str, integrations: &[IntegrationId]) -> Result<(), StoreError> {
        let (now, backend) = (self.lease_clock(), self.0.backend);
        let transaction = self.begin().await?;
        for integration in integrations {
            let sql = format!(
                "INSERT INTO presence (integration, replica, expires_at) VALUES ($1, $2, {now} + {}) \
                 ON CONFLICT (integration, replica) DO UPDATE SET expires_at = excluded.expires_at",
                PRESENT.as_micros()
            );
            let values = [integration.as_str().into(), replica.into()];
            transaction.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        }
        let past = format!("DELETE FROM presence WHERE expires_at <= {now}");
        transaction.execute_raw(Statement::from_string(backend, past)).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The integrations that somebody watches at any replica.
    pub async fn present(&self) -> Result<Vec<IntegrationId>, StoreError> {
        let now = self.lease_clock();
        let sql = format!("SELECT DISTINCT integration FROM presence WHERE expires_at > {now}");
        let rows = self.0.reader.query_all_raw(Statement::from_string(self.0.backend, sql)).await?;
        rows.iter().map(|row| Ok(row.try_get_by_index::<String>(0)?.as_str().into())).collect()
    }
}
