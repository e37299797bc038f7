//! Answers kept with their ETags, so that asking again costs nothing where the provider answers 304 for free.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use moka::sync::Cache;
use mullion_schema::id::IntegrationId;

use super::connection::{UpstreamRequest, UpstreamResponse};

/// Answers by integration, URL and `Accept`, bounded by bytes.
#[derive(Debug, Clone)]
pub struct EtagStore(Cache<EtagKey, Arc<Kept>>);

/// The key that an answer is kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct EtagKey {
    integration: IntegrationId,
    url: String,
    accept: String,
}

#[derive(Debug)]
pub(super) struct Kept {
    pub(super) etag: HeaderValue,
    headers: HeaderMap,
    body: Bytes,
}

impl EtagStore {
    /// A store of at most this many bytes.
    pub fn new(max_bytes: u64) -> Self {
        let weigh = |key: &EtagKey, kept: &Arc<Kept>| {
            let overhead = 512 + kept.headers.len() * 64;
            u32::try_from(key.url.len() + kept.body.len() + overhead).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(max_bytes).weigher(weigh).build())
    }

    pub(super) fn key(integration: &IntegrationId, request: &UpstreamRequest) -> EtagKey {
        let accept = request.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        EtagKey { integration: integration.clone(), url: request.url.to_string(), accept: accept.to_owned() }
    }

    pub(super) fn get(&self, key: &EtagKey) -> Option<Arc<Kept>> {
        self.0.get(key)
    }

    /// Keeps a 200 that has an ETag.
    pub(super) fn keep(&self, key: EtagKey, response: &UpstreamResponse) {
        if response.status != StatusCode::OK {
            return;
        }
        if let Some(etag) = response.headers.get(header::ETAG) {
            let (etag, headers, body) = (etag.clone(), response.headers.clone(), response.body.clone());
            self.0.insert(key, Arc::new(Kept { etag, headers, body }));
        }
    }

    /// Forgets the answers of an integration that is gone or has another token.
    pub fn forget(&self, integration: &IntegrationId) {
        for (key, _) in &self.0 {
            if key.integration == *integration {
                self.0.invalidate(key.as_ref());
            }
        }
    }
}

impl Kept {
    /// The stored 200, with what the 304 said newer (quota headers among them).
    pub(super) fn renewed(&self, not_modified: &HeaderMap) -> UpstreamResponse {
        let mut headers = self.headers.clone();
        for (name, value) in not_modified {
            if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
                headers.insert(name.clone(), value.clone());
            }
        }
        UpstreamResponse { status: StatusCode::OK, headers, body: self.body.clone() }
    }
}
