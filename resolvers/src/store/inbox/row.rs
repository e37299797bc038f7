//! A delivery as it is written down, whether to its table or to the log before it.

use chrono::{DateTime, Utc};
use http::HeaderMap;
use sea_orm::Value;
use serde::{Deserialize, Serialize};

use super::{
    DeliverySource, RECEIVED, WaitingDelivery, headers_of, headers_text, ordering_key,
    packed::{pack, unpack},
};
use crate::{
    provider::{StoredDelivery, VerifiedDelivery},
    store::{
        StoreError,
        endpoint::Endpoint,
        text::{clean, key_text},
        time::from_micros,
    },
};

/// The columns that are written for a new delivery; the others are set later.
pub(super) const COLUMNS: [&str; 16] = [
    "id",
    "endpoint",
    "tenant",
    "integration",
    "provider",
    "dedupe_key",
    "source",
    "event",
    "headers",
    "size",
    "received_at",
    "ordering",
    "lane",
    "state",
    "attempts",
    "due_at",
];

/// Bytes of a body beyond which it is a large one. Providers send up to 25 MB, of which most is read in a second; nearly all bodies
/// have less than a tenth of this.
const LARGE: i64 = 1_000_000;

/// A delivery that is to be stored, with its body packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRow {
    endpoint: String,
    tenant: String,
    integration: String,
    pub(super) provider: String,
    dedupe_key: String,
    event: String,
    headers: String,
    size: i64,
    pub(super) received_at: i64,
    ordering: i64,
    pub(super) lane: i64,
    /// How it came in.
    pub(super) source: DeliverySource,
    #[serde(skip)]
    body: Vec<u8>,
}

impl DeliveryRow {
    /// The row of a delivery that came in at an endpoint, with those of its headers that are kept.
    pub fn of(
        endpoint: &Endpoint,
        verified: &VerifiedDelivery,
        headers: &HeaderMap,
        received_at: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let document = &verified.document;
        let dedupe_key = match &verified.delivery_id {
            Some(id) => format!("id:{}", key_text(id)),
            None => format!("body:{}", blake3::hash(document).to_hex()),
        };
        let (ordering, lane) = ordering_key(&endpoint.integration, verified.subject.as_deref());
        Ok(Self {
            endpoint: endpoint.id.clone(),
            tenant: endpoint.tenant.as_str().to_owned(),
            integration: endpoint.integration.as_str().to_owned(),
            provider: endpoint.provider.clone(),
            dedupe_key,
            event: clean(&verified.event),
            headers: headers_text(headers)?,
            size: i64::try_from(document.len()).unwrap_or(i64::MAX),
            received_at: received_at.timestamp_micros(),
            ordering,
            lane,
            source: DeliverySource::of(headers),
            body: pack(document),
        })
    }

    /// The delivery under this id, as whoever works it gets it.
    pub fn waiting(&self, id: &str) -> Result<WaitingDelivery, StoreError> {
        Ok(WaitingDelivery {
            id: id.to_owned(),
            tenant: self.tenant.as_str().into(),
            integration: self.integration.as_str().into(),
            provider: self.provider.clone(),
            ordering: self.ordering,
            lane: self.lane,
            attempts: 0,
            delivery: StoredDelivery {
                event: self.event.clone(),
                headers: headers_of(&self.headers)?,
                document: unpack(&self.body, self.size)?,
                received_at: from_micros(self.received_at),
            },
        })
    }

    /// The integration that it is for.
    pub fn integration(&self) -> &str {
        &self.integration
    }

    /// The same with this body, packed.
    #[must_use]
    pub fn with_body(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }

    /// Its body, packed.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether understanding and applying it takes so long that others are not to wait for it.
    pub fn is_large(&self) -> bool {
        self.size > LARGE
    }

    /// The bytes that are to be written of it, more or less.
    pub fn bytes(&self) -> usize {
        self.body.len() + self.headers.len() + 768
    }

    /// The bytes that it holds in memory, more or less, with the request that waits for it.
    pub fn held(&self) -> usize {
        self.bytes() + usize::try_from(self.size).unwrap_or(0)
    }

    /// By what it is recognised when it comes again.
    pub fn fingerprint(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.endpoint.as_bytes()).update(b"\n").update(self.dedupe_key.as_bytes());
        let mut fingerprint = [0; 16];
        hasher.finalize_xof().fill(&mut fingerprint);
        fingerprint
    }

    /// In the order of [`COLUMNS`], and the body.
    pub(super) fn into_values(self, id: &str) -> ([Value; COLUMNS.len()], Vec<u8>) {
        let values = [
            id.into(),
            self.endpoint.into(),
            self.tenant.into(),
            self.integration.into(),
            self.provider.into(),
            self.dedupe_key.into(),
            self.source.as_str().into(),
            self.event.into(),
            self.headers.into(),
            self.size.into(),
            self.received_at.into(),
            self.ordering.into(),
            self.lane.into(),
            RECEIVED.into(),
            0_i64.into(),
            // At once, whatever the clock of the process that works it says.
            0_i64.into(),
        ];
        (values, self.body)
    }
}
