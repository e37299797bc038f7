//! Automatic persisted queries: a client sends the SHA-256 hash of a document instead of the document, and both together once it
//! was told that the hash is not known. Clients compare the messages of the refusals, word for word.
//!
//! Documents are kept by tenant. A document is registered only if it is valid, and only under its own hash.

use std::{fmt, sync::Arc, time::Duration};

use moka::sync::Cache;
use mullion_schema::{error::ErrorCode, id::TenantId};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    engine::{Caller, Engine},
    error::RequestError,
};
use crate::{
    config,
    document::{Document, Documents},
};

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

/// The registered documents, as far as they are in memory; the engine has all of them.
pub struct PersistedQueries {
    is_enabled: bool,
    memory: Cache<(TenantId, DocumentHash), Arc<str>>,
}

impl PersistedQueries {
    /// None are in memory yet.
    pub fn new(config: &config::Persisted) -> Self {
        let memory = Cache::builder()
            .max_capacity(config.memory_bytes)
            .weigher(|_, text: &Arc<str>| u32::try_from(text.len() + ENTRY_BYTES).unwrap_or(u32::MAX))
            .time_to_live(REMEMBERED)
            .build();
        Self { is_enabled: config.enabled, memory }
    }

    /// The document of a request that gives its hash alone.
    pub async fn find(
        &self,
        engine: &dyn Engine,
        caller: &Caller,
        hash: DocumentHash,
    ) -> Result<Arc<str>, RequestError> {
        if !self.is_enabled {
            return Err(RequestError::new(ErrorCode::PersistedQueryNotSupported, "PersistedQueryNotSupported"));
        }
        let key = (caller.tenant.clone(), hash);
        if let Some(text) = self.memory.get(&key) {
            return Ok(text);
        }
        let found = engine.persisted(caller, &hash).await?;
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
        (engine, caller): (&dyn Engine, &Caller),
        hash: DocumentHash,
        text: &str,
    ) -> Result<Arc<Document>, RequestError> {
        let key = (caller.tenant.clone(), hash);
        if !self.is_enabled || self.memory.get(&key).is_some_and(|known| *known == *text) {
            return documents.parse(caller, text).await;
        }
        if DocumentHash::of(text) != hash {
            let message = "provided sha does not match query: `sha256Hash` must be the SHA-256 of `query`";
            return Err(RequestError::bad_input(message));
        }
        let document = documents.parse(caller, text).await?;
        if document.may_be_stored && engine.persist(caller, &hash, text).await {
            self.memory.insert(key, Arc::clone(&document.text));
        }
        Ok(document)
    }
}
