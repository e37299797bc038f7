//! The outcome of a fetch, for those who wait for it.

use std::sync::Arc;

use futures::future::{BoxFuture, Shared};
use tokio::sync::watch;

use crate::{provider::NodeRef, reading::unstored::Unstored, upstream::UpstreamError};

/// A fetch's outcome; the nodes are in the store already, unless it takes none.
pub(crate) type FetchOutcome = Result<Arc<Brought>, UpstreamError>;

/// The part of a fetch's result that its waiters cannot read from the store.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    /// As [`Fetched::found`].
    pub(crate) found: Option<NodeRef>,
    /// As [`Fetched::refused`].
    pub(crate) refused: Option<UpstreamError>,
    /// Everything that came, where it could not be stored.
    pub(crate) unstored: Option<Arc<Unstored>>,
}

/// The end of a fetch, which goes on whether or not anybody waits for it.
pub(in crate::reading) type Fetch = Shared<BoxFuture<'static, FetchOutcome>>;

/// How far a fetch has come. Only while the provider is asked is it the provider that takes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::reading) enum Progress {
    /// It waits for others to join its batch.
    Gathering,
    /// The provider is asked, by this process or by another replica.
    Asking,
    /// The provider has answered, and the answer is being stored.
    Storing,
}

/// A fetch that was begun, for those who wait for it.
pub(in crate::reading) struct Fetching {
    /// Its end.
    pub(in crate::reading) end: Fetch,
    pub(super) progress: watch::Receiver<Progress>,
}

impl Fetching {
    /// Ends when the fetch has come this far, or will not come any further.
    pub(in crate::reading) async fn reaches(&self, progress: Progress) {
        // An error: the fetch is over.
        let _ = self.progress.clone().wait_for(|reached| *reached >= progress).await;
    }

    /// Whether the provider has answered, so that it is not what is waited for.
    pub(in crate::reading) fn is_answered(&self) -> bool {
        *self.progress.borrow() == Progress::Storing
    }
}
