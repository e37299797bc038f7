//! What a fetch comes to, for those who wait for it.

use std::sync::Arc;

use futures::future::{BoxFuture, Shared};

use crate::{provider::NodeRef, reading::unstored::Unstored, upstream::UpstreamError};

/// A fetch's outcome; the nodes are in the store already, unless it takes none.
pub(crate) type FetchOutcome = Result<Arc<Brought>, UpstreamError>;

/// What those who wait for a fetch need of it beside the store.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    /// As [`Fetched::found`].
    pub(crate) found: Option<NodeRef>,
    /// As [`Fetched::refused`].
    pub(crate) refused: Option<UpstreamError>,
    /// Everything that came, where it could not be stored.
    pub(crate) unstored: Option<Arc<Unstored>>,
}

/// A fetch that was begun: it goes on whether or not anybody waits for it.
pub(in crate::reading) type Fetch = Shared<BoxFuture<'static, FetchOutcome>>;
