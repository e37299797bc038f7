//! Automatic persisted queries: a client sends the SHA-256 hash of a document instead of the document, and both together once it
//! was told that the hash is not known. Clients compare the messages of the refusals, word for word.
//!
//! Documents are kept by tenant. A document is registered only if it is valid, and only under its own hash.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use moka::sync::Cache;
use mullion_resolvers::{
    error_chain::chain,
    execution::Caller,
    store::{
        Database, StoreError,
        persisted_query::{PersistedLimits, PersistedQuery},
    },
};
use mullion_schema::{
    error::{ErrorCode, RETRY_AFTER},
    id::TenantId,
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::{
    DATABASE_PATIENCE,
    document::{Document, Documents},
    errors::RequestError,
};
use crate::config;

/// How long a document is found in memory before the store is asked for it again, and learns that it is in use.
const REMEMBERED: Duration = Duration::from_hours(12);
/// The bytes that an entry takes beside its text, about.
const ENTRY_BYTES: usize = 200;
/// The extension of a request.
const EXTENSION: &str = "persistedQuery";

/// A document's SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentHash([u8; 32]);

impl DocumentHash {
    /// The hash of a text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The hash that a request gives; `None` when it gives none.
    pub fn given(extensions: &Map<String, Value>) -> Result<Option<Self>, RequestError> {
        let Some(extension) = extensions.get(EXTENSION).filter(|extension| !extension.is_null()) else {
            return Ok(None);
        };
        if extension.get("version").and_then(Value::as_u64) != Some(1) {
            return Err(RequestError::bad_input("`extensions.persistedQuery.version` must be 1"));
        }
        let hash = extension.get("sha256Hash").and_then(Value::as_str).and_then(Self::from_hex);
        hash.map(Some).ok_or_else(|| {
            let message = "`extensions.persistedQuery.sha256Hash` must be the SHA-256 of the document, in hexadecimal";
            RequestError::bad_input(message)
        })
    }
}

impl fmt::Display for DocumentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Has the registered documents of all tenants: the [`Database`], and the stand-in of tests.
#[async_trait]
pub trait DocumentStore: Send + Sync {
    /// The document that a tenant registered under a hash; `None` when there is none.
    async fn find(&self, tenant: &TenantId, hash: &DocumentHash) -> Result<Option<PersistedQuery>, StoreError>;

    /// Notes that a document is in use.
    async fn note_use(&self, tenant: &TenantId, hash: &DocumentHash) -> Result<(), StoreError>;

    /// Registers a document, whose hash was compared, for all replicas.
    async fn register(
        &self,
        tenant: &TenantId,
        hash: &DocumentHash,
        text: &str,
        limits: PersistedLimits,
    ) -> Result<(), StoreError>;
}

#[async_trait]
impl DocumentStore for Database {
    async fn find(&self, tenant: &TenantId, hash: &DocumentHash) -> Result<Option<PersistedQuery>, StoreError> {
        self.persisted_query(tenant, &hash.to_string()).await
    }

    async fn note_use(&self, tenant: &TenantId, hash: &DocumentHash) -> Result<(), StoreError> {
        self.note_persisted_query(tenant, &hash.to_string()).await
    }

    async fn register(
        &self,
        tenant: &TenantId,
        hash: &DocumentHash,
        text: &str,
        limits: PersistedLimits,
    ) -> Result<(), StoreError> {
        self.persist_query(tenant, &hash.to_string(), text, limits).await
    }
}

/// The registered documents: in memory those that were asked for, in the store all of them.
pub struct PersistedQueries {
    is_enabled: bool,
    /// How many each tenant may have.
    limits: PersistedLimits,
    memory: Cache<(TenantId, DocumentHash), Arc<str>>,
    store: Arc<dyn DocumentStore>,
    tasks: TaskTracker,
}

impl PersistedQueries {
    /// None are in memory yet. Uses are noted in `tasks`.
    pub fn new(config: &config::Persisted, store: Arc<dyn DocumentStore>, tasks: TaskTracker) -> Self {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let limits = PersistedLimits { documents: number(config.max_documents), bytes: number(config.max_bytes) };
        let memory = Cache::builder()
            .max_capacity(config.memory_bytes)
            .weigher(|_, text: &Arc<str>| u32::try_from(text.len() + ENTRY_BYTES).unwrap_or(u32::MAX))
            .time_to_live(REMEMBERED)
            .build();
        Self { is_enabled: config.enabled, limits, memory, store, tasks }
    }

    /// The document of a request that gives its hash alone.
    pub async fn find(&self, caller: &Caller, hash: DocumentHash) -> Result<Arc<str>, RequestError> {
        if !self.is_enabled {
            return Err(RequestError::new(ErrorCode::PersistedQueryNotSupported, "PersistedQueryNotSupported"));
        }
        let key = (caller.tenant().clone(), hash);
        if let Some(text) = self.memory.get(&key) {
            return Ok(text);
        }
        let found = self.look_up(caller.tenant(), &hash).await?;
        // A text that is stored under another hash than its own is not the one that the client asks for.
        let Some(text) = found.filter(|text| DocumentHash::of(text) == hash) else {
            return Err(RequestError::new(ErrorCode::PersistedQueryNotFound, "PersistedQueryNotFound"));
        };
        self.memory.insert(key, Arc::clone(&text));
        Ok(text)
    }

    /// The document of a request that gives both, registered if it may be.
    pub async fn register(
        &self,
        documents: &Documents,
        caller: &Caller,
        hash: DocumentHash,
        text: &str,
    ) -> Result<Arc<Document>, RequestError> {
        let key = (caller.tenant().clone(), hash);
        if !self.is_enabled || self.memory.get(&key).is_some_and(|known| *known == *text) {
            return documents.parse(caller, text).await;
        }
        if DocumentHash::of(text) != hash {
            let message = "provided sha does not match query: `sha256Hash` must be the SHA-256 of `query`";
            return Err(RequestError::bad_input(message));
        }
        let document = documents.parse(caller, text).await?;
        if document.may_be_stored && self.store(caller.tenant(), &hash, text).await {
            self.memory.insert(key, Arc::clone(&document.text));
        }
        Ok(document)
    }

    async fn look_up(&self, tenant: &TenantId, hash: &DocumentHash) -> Result<Option<Arc<str>>, RequestError> {
        let found = match timeout(DATABASE_PATIENCE, self.store.find(tenant, hash)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(unavailable(&error)),
            Err(late) => return Err(unavailable(&late)),
        };
        let Some(found) = found else { return Ok(None) };
        if found.is_due {
            let (store, tenant, hash) = (Arc::clone(&self.store), tenant.clone(), *hash);
            let note = async move {
                if let Err(error) = store.note_use(&tenant, &hash).await {
                    // It is noted with the next use, and else registered anew when it was forgotten.
                    tracing::warn!(
                        error = %chain(&error),
                        "the use of a persisted query was not noted"
                    );
                }
            };
            self.tasks.spawn(note.in_current_span());
        }
        Ok(Some(found.text.into()))
    }

    /// Whether a document was stored: when not, the cause was logged.
    async fn store(&self, tenant: &TenantId, hash: &DocumentHash, text: &str) -> bool {
        let stored = timeout(DATABASE_PATIENCE, self.store.register(tenant, hash, text, self.limits));
        let problem: Box<dyn std::error::Error + Send + Sync> = match stored.await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.into(),
            Err(late) => late.into(),
        };
        tracing::warn!(error = %chain(&*problem), "a persisted query was not stored");
        false
    }
}

/// The store could not be asked. Not that there is no such document: the client would send it, and fail for want of the database.
fn unavailable(error: &(dyn std::error::Error + 'static)) -> RequestError {
    tracing::error!(error, "a persisted query could not be looked up");
    RequestError::unavailable("the persisted query could not be looked up: try again later", RETRY_AFTER)
}
