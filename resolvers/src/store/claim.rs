//! Claims: over all replicas, one fetches a thing from its provider; the others wait and read what it stored.
//!
//! A claim is a courtesy, not a lock: one who finds none, or waits for too long, fetches too. A second fetch does no harm.

use std::time::Duration;

use chrono::{DateTime, Utc};
use mullion_entities::claim;
use mullion_schema::id::IntegrationId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement};

use super::{Database, StoreError, time::from_micros};

/// How long a claim lasts whose owner says nothing more: as long as others would wait for it.
const CLAIMED: Duration = Duration::from_secs(3);
/// How long a finished fetch answers those who looked into the store just before it was.
const REMEMBERED: Duration = Duration::from_secs(1);

/// A fetch that another process does or has just done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The thing that is fetched.
    pub subject: String,
    /// When it was claimed, by its owner's clock: what it brings was read at the provider after that.
    pub since: DateTime<Utc>,
    /// Whether it is done.
    pub done: bool,
}

impl Database {
    /// Claims fetches of an integration, each named by a hexadecimal hash, for `owner`. Those that it does not get, another has.
    pub async fn claim(
        &self,
        integration: &IntegrationId,
        owner: &str,
        subjects: &[String],
    ) -> Result<Vec<Claim>, StoreError> {
        let now = self.lease_clock();
        let since = self.0.clock.now().timestamp_micros();
        let rows =
            values(subjects, |subject| format!("($1, '{subject}', $2, {since}, {now} + {})", CLAIMED.as_micros()));
        let sql = format!(
            "INSERT INTO claim (integration, subject, owner, since, expires_at) VALUES {rows} \
             ON CONFLICT (integration, subject) DO UPDATE SET owner = excluded.owner, since = excluded.since, \
             expires_at = excluded.expires_at WHERE claim.expires_at <= {now} OR claim.owner = excluded.owner \
             RETURNING subject"
        );
        let mut mine: Vec<String> = Vec::with_capacity(subjects.len());
        let backend = self.0.backend;
        let statement = Statement::from_sql_and_values(backend, sql, [integration.as_str().into(), owner.into()]);
        let transaction = self.begin().await?;
        for row in transaction.query_all_raw(statement).await? {
            mine.push(row.try_get_by_index(0)?);
        }
        transaction.commit().await?;
        let others: Vec<&String> = subjects.iter().filter(|subject| !mine.contains(subject)).collect();
        if others.is_empty() { Ok(Vec::new()) } else { self.claims(integration, others).await }
    }

    /// Claims of an integration that are held, or were until just now.
    pub async fn claims(
        &self,
        integration: &IntegrationId,
        subjects: impl IntoIterator<Item = &String>,
    ) -> Result<Vec<Claim>, StoreError> {
        let rows = claim::Entity::find()
            .filter(claim::Column::Integration.eq(integration.as_str()))
            .filter(claim::Column::Subject.is_in(subjects))
            .all(&self.0.reader)
            .await?;
        let claim = |row: claim::Model| Claim {
            done: row.owner.is_empty(),
            since: from_micros(row.since),
            subject: row.subject,
        };
        Ok(rows.into_iter().map(claim).collect())
    }

    /// The fetches are done, and what they brought is stored.
    pub async fn finish_claims(
        &self,
        integration: &IntegrationId,
        owner: &str,
        subjects: &[String],
    ) -> Result<(), StoreError> {
        let (now, names) = (self.lease_clock(), values(subjects, |subject| format!("'{subject}'")));
        let sql = format!(
            "UPDATE claim SET owner = '', expires_at = {now} + {} WHERE integration = $1 AND owner = $2 \
             AND subject IN ({names})",
            REMEMBERED.as_micros()
        );
        self.execute(sql, [integration.as_str().into(), owner.into()]).await
    }

    /// Forgets claims that count no more.
    pub async fn forget_claims(&self) -> Result<(), StoreError> {
        let now = self.lease_clock();
        self.execute(format!("DELETE FROM claim WHERE expires_at <= {now}"), []).await
    }
}

/// In one order everywhere, so that two processes cannot wait for each other's rows.
fn values(subjects: &[String], row: impl Fn(&str) -> String) -> String {
    let mut subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    subjects.sort_unstable();
    subjects.dedup();
    subjects.into_iter().map(row).collect::<Vec<_>>().join(", ")
}
