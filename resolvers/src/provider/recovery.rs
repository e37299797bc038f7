//! The contract between the engine and a provider's folder for when something may have been missed: where the provider's log was
//! read up to, what it brought, and how a webhook is. Separate from `provider`, the contract for when all goes well.

use std::collections::HashSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde_json::Value;

use super::{
    fetch::{FetchWant, Fetched},
    reference::NodeRef,
    webhook::VerifiedDelivery,
};
use crate::upstream::UpstreamError;

/// The request: all that happened in a container since the mark.
#[derive(Debug, Clone, Copy)]
pub struct Since<'a> {
    /// The container.
    pub container: &'a NodeRef,
    /// The webhook that is registered for it, by the provider's id.
    pub webhook: Option<&'a str>,
    /// The mark of the last answer; `None`: it was never asked.
    pub mark: Option<&'a Value>,
    /// Since when something may be missing, where that is known: without a mark, what happened from then on is asked for.
    pub from: Option<DateTime<Utc>>,
    /// Calls that may be made.
    pub calls: usize,
}

/// The answer.
#[derive(Debug, Default)]
pub struct CaughtUp {
    /// Where the log was read up to. `None`: there is no log to read, or it cannot be.
    pub mark: Option<Value>,
    /// Deliveries that did not come, oldest first: they go the way of all deliveries.
    pub deliveries: Vec<Recovered>,
    /// The reads that were made beside it.
    pub fetched: Vec<(FetchWant, Fetched)>,
    /// Whether nothing can be missing since the mark that was given.
    pub complete: bool,
    /// Calls that were made.
    pub calls: usize,
}

/// A delivery that did not come, and was asked for.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// As if it had come; it is as good as verified, because the provider itself gave it. It has an id.
    pub verified: VerifiedDelivery,
    /// The headers that its interpretation needs.
    pub headers: HeaderMap,
}

/// How a webhook is at its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookCondition {
    /// It is there, switched on, and sends to us.
    InOrder,
    /// It is there and sends nothing to us.
    Disabled,
    /// It is not there.
    Gone,
}

/// Tells which entries of a provider's log are known here already.
#[async_trait]
pub trait Known: Send + Sync {
    /// Which of these delivery ids never came in.
    async fn unknown(&self, ids: &[String]) -> Result<HashSet<String>, UpstreamError>;

    /// Which of these things nobody was told of: by the keys of their activities.
    async fn untold(&self, keys: &[String]) -> Result<HashSet<String>, UpstreamError>;
}

#[cfg(test)]
pub(crate) mod fake {
    //! Known ids and keys from a list.

    use std::collections::HashSet;

    use async_trait::async_trait;

    use super::Known;
    use crate::upstream::UpstreamError;

    /// These ids and keys are known, and no others.
    pub(crate) struct KnownIds(pub(crate) HashSet<String>);

    impl KnownIds {
        pub(crate) fn of(ids: &[&str]) -> Self {
            Self(ids.iter().map(|id| (*id).to_owned()).collect())
        }

        fn others(&self, ids: &[String]) -> HashSet<String> {
            ids.iter().filter(|id| !self.0.contains(*id)).cloned().collect()
        }
    }

    #[async_trait]
    impl Known for KnownIds {
        async fn unknown(&self, ids: &[String]) -> Result<HashSet<String>, UpstreamError> {
            Ok(self.others(ids))
        }

        async fn untold(&self, keys: &[String]) -> Result<HashSet<String>, UpstreamError> {
            Ok(self.others(keys))
        }
    }
}
