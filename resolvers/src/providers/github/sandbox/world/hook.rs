//! Webhooks and their deliveries, as the world keeps them.

use bytes::Bytes;

use super::model::Time;

/// A subscription.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) id: u64,
    /// The repository, or everything in the organisation.
    pub(crate) repo: Option<usize>,
    pub(crate) url: String,
    pub(crate) secret: Option<String>,
    pub(crate) form: bool,
    pub(crate) events: Vec<String>,
    pub(crate) active: bool,
    pub(crate) created: Time,
    pub(crate) updated: Time,
    /// How many deliveries were made, those that are no longer listed too; their numbers and GUIDs follow from it.
    pub(crate) delivered: u64,
    /// Newest first.
    pub(crate) deliveries: Vec<Delivery>,
}

/// A delivery that was made.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) id: u64,
    pub(crate) guid: String,
    pub(crate) event: &'static str,
    pub(crate) action: Option<String>,
    pub(crate) at: Time,
    pub(crate) redelivery: bool,
    pub(crate) payload: Bytes,
}
