//! Forgets what is old, or too much: deliveries that were settled, changes that nobody resumes after, claims that ran out,
//! persisted queries that nobody uses, integrations that were removed. In the background, a little at a time; of several replicas
//! one does it.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use mullion_resolvers::{
    clock::Clock,
    error_chain::chain,
    store::{Database, StoreError, inbox::prune::Excess},
};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// How often it is looked whether something is to go.
const ROUND: Duration = Duration::from_mins(1);
/// How long the chore is this process's after it was last taken. It is renewed from round to round and while there is much to do.
const CHORE: Duration = Duration::from_mins(3);
/// Between two steps, so that what comes in has the database to itself most of the time.
const BREATH: Duration = Duration::from_millis(20);
/// Steps between two looks at whether the chore is still ours.
const STEPS: usize = 500;

/// Removes old rows; it holds the limits of what is kept.
#[derive(Debug, Clone)]
pub(crate) struct Housekeeper {
    database: Database,
    name: String,
    deliveries: chrono::Duration,
    bytes: i64,
    changes: chrono::Duration,
    count: i64,
    persisted: chrono::Duration,
}

impl Housekeeper {
    pub(crate) fn new(database: Database, config: &Config) -> anyhow::Result<Self> {
        let days = |days: u64| chrono::Duration::days(i64::try_from(days.min(36_500)).unwrap_or(36_500));
        Ok(Self {
            name: database.new_id().context("no name for the housekeeper")?,
            database,
            deliveries: days(config.webhooks.retention_days),
            bytes: i64::try_from(config.webhooks.retention_bytes).unwrap_or(i64::MAX),
            changes: days(config.live.retention_days),
            count: i64::try_from(config.live.retention_changes).unwrap_or(i64::MAX),
            persisted: days(config.persisted.retention_days),
        })
    }

    /// Runs until `stop` fires; then the chore is anyone's.
    pub(crate) async fn run(&self, clock: &dyn Clock, stop: &CancellationToken) {
        self.rounds(clock, stop).await;
        if let Err(error) = self.database.leave(&self.name).await {
            tracing::debug!(error = %chain(&error), "the chore was not given back");
        }
    }

    async fn rounds(&self, clock: &dyn Clock, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let rest = match self.round(clock.now(), stop).await {
                Ok(true) => Duration::ZERO,
                Ok(false) => ROUND,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "what is old was not removed");
                    ROUND
                }
            };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One round; whether there is more to do.
    async fn round(&self, now: DateTime<Utc>, stop: &CancellationToken) -> Result<bool, StoreError> {
        if self.database.take_lease("prune", &self.name, CHORE).await?.is_none() {
            return Ok(false);
        }
        let mut steps = STEPS;
        let before = Excess::Before(now - self.deliveries);
        while self.may_go_on(&mut steps, stop).await && self.database.prune_deliveries(before).await?.rows > 0 {}
        let mut over = self.database.inbox_bytes().await? - self.bytes;
        while over > 0 && self.may_go_on(&mut steps, stop).await {
            let pruned = self.database.prune_deliveries(Excess::Bytes(over)).await?;
            if pruned.rows == 0 {
                break;
            }
            over -= pruned.bytes;
        }
        self.database.forget_claims().await?;
        self.database.forget_persisted_queries(now - self.persisted).await?;
        for mut removal in self.database.removals().await? {
            while self.may_go_on(&mut steps, stop).await && self.database.remove_some(&mut removal).await? {}
        }
        for (tenant, _) in self.database.heads().await? {
            let before = now - self.changes;
            while self.may_go_on(&mut steps, stop).await
                && self.database.prune_changes(&tenant, before, self.count).await? > 0
            {}
        }
        Ok(steps == 0)
    }

    async fn may_go_on(&self, steps: &mut usize, stop: &CancellationToken) -> bool {
        if *steps == 0 || stop.is_cancelled() {
            return false;
        }
        *steps -= 1;
        tokio::time::sleep(BREATH).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mullion_resolvers::{
        clock::{Clock, FixedClock},
        store::{
            Database, OpenOptions,
            connect::NewConnection,
            integration::{IntegrationDraft, IntegrationStage, IntegrationStatus},
        },
    };
    use tokio_util::sync::CancellationToken;

    use super::Housekeeper;
    use crate::{config::Config, database};

    #[tokio::test]
    async fn one_of_two_does_the_chore_until_it_stops() {
        let folder = tempfile::tempdir().unwrap();
        let clock = FixedClock::at("2026-11-22T10:00:00Z".parse().unwrap());
        let url = format!("sqlite://{}", folder.path().join("mullion.db").display());
        let database = Database::open(&url, &OpenOptions::default(), Arc::new(clock.clone())).await.unwrap();
        database::migrate(&database).await.unwrap();
        let housekeeper = || Housekeeper::new(database.clone(), &Config::default()).unwrap();
        let (one, other) = (housekeeper(), housekeeper());
        let held_by = async |name: &str| database.take_lease("prune", name, super::CHORE).await.unwrap().is_some();
        let (going, stopped) = (CancellationToken::new(), CancellationToken::new());
        one.round(clock.now(), &going).await.unwrap();
        other.round(clock.now(), &going).await.unwrap();
        assert!(held_by(&one.name).await && !held_by(&other.name).await);
        stopped.cancel();
        one.run(&clock, &stopped).await;
        other.round(clock.now(), &going).await.unwrap();
        assert!(held_by(&other.name).await && !held_by(&one.name).await);
    }
    #[tokio::test]
    async fn the_rest_of_a_removed_integration_goes_after_a_restart_too() {
        let folder = tempfile::tempdir().unwrap();
        let clock = FixedClock::at("2026-11-22T10:00:00Z".parse().unwrap());
        let url = format!("sqlite://{}", folder.path().join("mullion.db").display());
        let options = OpenOptions::default();
        let open = || Database::open(&url, &options, Arc::new(clock.clone()));
        let database = open().await.unwrap();
        database::migrate(&database).await.unwrap();
        let (tenant, id) = ("acme".into(), "i".into());
        database.create_tenant(&tenant, "Acme").await.unwrap();
        let draft = IntegrationDraft {
            name: "An account".into(),
            base_url: None,
            account_name: None,
            account_user: None,
            scopes: Vec::new(),
            facts: serde_json::Map::new(),
            status: IntegrationStatus::Connected,
            stage: IntegrationStage::Production,
            token: None,
            connected_at: None,
            expires_at: None,
        };
        let new = NewConnection { draft, path: Some("path".into()), secret: None, socket_token: None };
        database.connect_integration(&tenant, &id, "fake", new).await.unwrap();
        database.delete_integration(&tenant, &id).await.unwrap();
        database.close().await.unwrap();
        let database = open().await.unwrap();
        let housekeeper = Housekeeper::new(database.clone(), &Config::default()).unwrap();
        let going = CancellationToken::new();
        housekeeper.round(clock.now(), &going).await.unwrap();
        assert_eq!(database.removals().await.unwrap().len(), 1, "a task that was under way may still write");
        clock.advance(chrono::Duration::minutes(5));
        housekeeper.round(clock.now(), &going).await.unwrap();
        assert_eq!(database.removals().await.unwrap().len(), 0);
    }
}
