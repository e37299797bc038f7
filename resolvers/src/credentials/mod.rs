//! API keys in memory: a request is let in without a read of the database.
//!
//! A revocation is a change in the tenant's stream. This process refuses the key as soon as it knows of the change: at once where it
//! was made here, at the hint where another replica made it. Without any hint it takes [`LOOK`] at most, because the keys in use are
//! looked up that often; and a key that nobody could look up for [`TRUST`] is read again before it is accepted. Keys that are not
//! accepted are not kept: whoever guesses fills no memory.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Weak,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;
use mullion_schema::ports::{Role, ViewerView};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    cache::epochs::{Epochs, Head},
    clock::Clock,
    error_chain::chain,
    secret::Secret,
    store::{
        Database, StoreError,
        api_key::{AcceptedKey, KeyHash, key_hash},
    },
    tag::Tag,
};

/// How often the keys in use are looked up.
pub const LOOK: Duration = Duration::from_secs(2);
/// How long a key is accepted that could not be looked up.
pub const TRUST: Duration = Duration::from_secs(5);
/// Keys that are kept.
const MOST: u64 = 10_000;
/// How long a key is kept that is not used.
const IDLE: Duration = Duration::from_mins(10);
/// How exactly it is kept when a key was last used, so that reads do not become writes.
const LAST_USED_EVERY: Duration = Duration::from_mins(5);
/// How often the uses that were noted are written, all of them together. Nobody who presents a key waits for it.
const WRITE_USES: Duration = Duration::from_secs(10);
/// Uses that wait to be written. While the database takes no writes, more are forgotten: they are noted again five minutes later.
const MOST_USES: usize = 10_000;
/// How long the end of the process waits until the last uses are written.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// Somebody who was let in. Hold it as long as what was let in lasts: it is then told when the key is revoked.
#[derive(Debug)]
pub struct Credential {
    /// As the graph shows it.
    pub viewer: Arc<ViewerView>,
    /// Fires when the key is revoked.
    pub revoked: CancellationToken,
    tags: [Tag; 1],
    /// The head of the tenant's stream as the key was read.
    noted: Head,
    /// The version of the tenant's epochs under which the tag was last looked at.
    seen: AtomicU64,
    /// When the key was last found accepted, in microseconds; the beginning of time: it has changed.
    confirmed_at: AtomicI64,
    /// When the key was last noted as used, in microseconds.
    used_at: AtomicI64,
}

impl Credential {
    /// A credential that stands for no stored key: for stand-ins, which revoke it themselves.
    pub fn unstored(viewer: Arc<ViewerView>, revoked: CancellationToken) -> Self {
        Self {
            tags: [Tag::own(&viewer.tenant, "ApiKey", &viewer.id)],
            noted: 0,
            seen: AtomicU64::new(0),
            confirmed_at: AtomicI64::new(i64::MIN),
            used_at: AtomicI64::new(i64::MIN),
            revoked,
            viewer,
        }
    }

    fn is_current(&self, epochs: &Epochs, now: DateTime<Utc>) -> bool {
        let age = now.timestamp_micros().saturating_sub(self.confirmed_at.load(Ordering::Relaxed));
        if self.revoked.is_cancelled() || !(0..micros(TRUST)).contains(&age) {
            return false;
        }
        let seen = (self.noted, self.seen.load(Ordering::Relaxed));
        match epochs.still_current(&self.viewer.tenant, seen, &self.tags) {
            Some(version) => {
                self.seen.store(version, Ordering::Relaxed);
                true
            }
            None => false,
        }
    }

    /// Takes in how the key stands now; `None`: it is not accepted.
    fn take_in(&self, key: Option<&AcceptedKey>, asked_at: DateTime<Utc>) {
        match key {
            None => self.revoked.cancel(),
            Some(key) if shows(&self.viewer, key) => {
                self.confirmed_at.fetch_max(asked_at.timestamp_micros(), Ordering::Relaxed);
            }
            Some(_) => self.confirmed_at.store(i64::MIN, Ordering::Relaxed),
        }
    }
}

/// The keys in use.
pub struct Credentials {
    database: Database,
    epochs: Arc<Epochs>,
    clock: Arc<dyn Clock>,
    known: moka::sync::Cache<KeyHash, Arc<Credential>, RandomState>,
    /// All that somebody holds, and some that nobody holds any more.
    held: Mutex<Vec<Weak<Credential>>>,
    /// The keys of which it is to be written that they were used.
    used: Mutex<HashSet<String>>,
}

impl Credentials {
    /// None yet.
    pub fn new(database: Database, epochs: Arc<Epochs>, clock: Arc<dyn Clock>) -> Self {
        let known = moka::sync::Cache::builder().max_capacity(MOST).time_to_idle(IDLE);
        Self {
            database,
            epochs,
            clock,
            known: known.build_with_hasher(RandomState::default()),
            held: Mutex::default(),
            used: Mutex::default(),
        }
    }

    /// The holder of this key; `None` where it is not accepted.
    pub async fn authenticate(&self, presented: &Secret) -> Result<Option<Arc<Credential>>, StoreError> {
        let (hash, now) = (key_hash(presented), self.clock.now());
        let known = self.known.get(&hash).filter(|known| known.is_current(&self.epochs, now));
        if let Some(known) = known {
            self.note_use(&known, now);
            return Ok(Some(known));
        }
        let Some(key) = self.database.accepted_key(&hash).await? else {
            self.known.invalidate(&hash);
            return Ok(None);
        };
        // A role that this build does not know lets nobody in.
        let Ok(role) = key.key.role.parse::<Role>() else { return Ok(None) };
        self.epochs.start(&key.key.tenant, key.head);
        let credential = Arc::new(Credential {
            tags: [Tag::own(&key.key.tenant, "ApiKey", &key.key.id)],
            noted: key.head,
            seen: AtomicU64::new(0),
            // From before the read: what changed since then is not known.
            confirmed_at: AtomicI64::new(now.timestamp_micros()),
            used_at: AtomicI64::new(key.key.last_used_at.map_or(i64::MIN, |at| at.timestamp_micros())),
            revoked: CancellationToken::new(),
            viewer: Arc::new(ViewerView {
                id: key.key.id,
                name: key.key.name,
                role,
                tenant: key.key.tenant,
                tenant_name: key.tenant_name,
            }),
        });
        self.note_use(&credential, now);
        self.held.lock().push(Arc::downgrade(&credential));
        self.known.insert(hash, Arc::clone(&credential));
        Ok(Some(credential))
    }

    /// Looks after the keys in use until `stop` fires.
    pub async fn watch(&self, stop: CancellationToken) {
        // Side by side: a write may wait for the database as long as it likes, and revocations are seen all the same.
        tokio::join!(self.keep_looking(&stop), self.keep_writing(&stop));
    }

    async fn keep_looking(&self, stop: &CancellationToken) {
        while !passes(LOOK, stop).await {
            if let Err(error) = self.look().await {
                tracing::warn!(error = %chain(&error), "the API keys in use could not be looked up");
            }
        }
    }

    /// Writes when keys were last used, now and then and at the end.
    async fn keep_writing(&self, stop: &CancellationToken) {
        let mut fails = false;
        loop {
            let ends = passes(WRITE_USES, stop).await;
            // Once the process ends, the write is not waited for any longer than this.
            let late = async {
                stop.cancelled().await;
                tokio::time::sleep(LAST_WRITE).await;
            };
            let result = tokio::select! {
                result = self.write_uses() => result,
                () = late => return,
            };
            if let (Err(error), false) = (&result, fails) {
                tracing::warn!(
                    error = %chain(error),
                    "when API keys were last used could not be written; it is tried again"
                );
            }
            fails = result.is_err();
            if ends {
                return;
            }
        }
    }

    /// Looks the keys in use up once: sockets of those that were revoked meanwhile are told.
    pub async fn look(&self) -> Result<(), StoreError> {
        let held: Vec<Arc<Credential>> = {
            let mut held = self.held.lock();
            held.retain(|credential| credential.strong_count() > 0);
            held.iter().filter_map(Weak::upgrade).filter(|credential| !credential.revoked.is_cancelled()).collect()
        };
        let ids: HashSet<&str> = held.iter().map(|credential| credential.viewer.id.as_str()).collect();
        let asked_at = self.clock.now();
        let accepted = self.database.accepted_keys(ids).await?;
        let accepted: HashMap<&str, &AcceptedKey> = accepted.iter().map(|key| (key.key.id.as_str(), key)).collect();
        for credential in &held {
            credential.take_in(accepted.get(credential.viewer.id.as_str()).copied(), asked_at);
        }
        Ok(())
    }

    fn note_use(&self, credential: &Credential, now: DateTime<Utc>) {
        let (now, noted) = (now.timestamp_micros(), credential.used_at.load(Ordering::Relaxed));
        let is_due = now.saturating_sub(noted) >= micros(LAST_USED_EVERY);
        if is_due && credential.used_at.compare_exchange(noted, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let mut used = self.used.lock();
            if used.len() < MOST_USES {
                used.insert(credential.viewer.id.clone());
            }
        }
    }

    async fn write_uses(&self) -> Result<(), StoreError> {
        let used = std::mem::take(&mut *self.used.lock());
        if used.is_empty() {
            return Ok(());
        }
        let written = self.database.note_keys_used(used.iter().map(String::as_str)).await;
        if written.is_err() {
            let mut waiting = self.used.lock();
            let room = MOST_USES.saturating_sub(waiting.len());
            waiting.extend(used.into_iter().take(room));
        }
        written
    }
}

/// Waits so long; whether it was cut short because the process ends.
async fn passes(time: Duration, stop: &CancellationToken) -> bool {
    tokio::time::timeout(time, stop.cancelled()).await.is_ok()
}

fn shows(viewer: &ViewerView, key: &AcceptedKey) -> bool {
    key.key.role.parse() == Ok(viewer.role) && key.key.name == viewer.name && key.tenant_name == viewer.tenant_name
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
