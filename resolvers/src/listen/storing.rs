//! Events that a socket brought and that are not on disk yet. Their number and bytes are bounded for each socket: one that brings
//! more is not read meanwhile, so that the rest waits at its sender and takes no room from what others send.

use std::future::Future;

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};

/// Events of a socket that may wait to be stored.
const MOST: usize = 32;
/// Bytes of them. One event more may come, which is larger than what is left.
const MOST_BYTES: usize = 4 << 20;

/// Events that are being stored, each with what it is acknowledged with.
#[derive(Default)]
pub(super) struct Storing<'a> {
    events: FuturesUnordered<BoxFuture<'a, (usize, Option<String>)>>,
    bytes: usize,
}

impl<'a> Storing<'a> {
    /// Begins to store an event of this size. `stored` answers with the acknowledgement, if it is to be given.
    pub(super) fn push(&mut self, bytes: usize, stored: impl Future<Output = Option<String>> + Send + 'a) {
        self.bytes += bytes;
        self.events.push(stored.map(move |acknowledgement| (bytes, acknowledgement)).boxed());
    }

    /// Waits for the next one that is done; `None`: there are none.
    pub(super) async fn next(&mut self) -> Option<Option<String>> {
        let (bytes, acknowledgement) = self.events.next().await?;
        self.bytes -= bytes;
        Some(acknowledgement)
    }

    /// Whether another one may be read.
    pub(super) fn has_room(&self) -> bool {
        self.events.len() < MOST && self.bytes < MOST_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::sync::oneshot;

    use super::{MOST, MOST_BYTES, Storing};

    /// Pushes events of this size until there is no room; what ends the storing of each.
    fn fill(storing: &mut Storing<'_>, bytes: usize) -> Vec<oneshot::Sender<String>> {
        let mut ends = Vec::new();
        while storing.has_room() {
            let (end, ended) = oneshot::channel();
            storing.push(bytes, async move { ended.await.ok() });
            ends.push(end);
        }
        ends
    }

    #[test]
    fn a_socket_is_read_until_so_many_events_or_bytes_wait_and_again_when_one_is_stored() {
        for (bytes, most) in
            [(0, MOST), (2_000, MOST), (MOST_BYTES / 4, 4), (MOST_BYTES / 4 - 1, 5), (MOST_BYTES * 2, 1)]
        {
            let mut storing = Storing::default();
            let mut ends = fill(&mut storing, bytes);
            assert_eq!(ends.len(), most, "of {bytes} bytes");
            assert_eq!(storing.next().now_or_never(), None, "nothing is stored yet");
            // Not in the order in which they came.
            ends.remove(most / 2).send("stored".to_owned()).unwrap();
            assert_eq!(storing.next().now_or_never(), Some(Some(Some("stored".to_owned()))));
            let more = fill(&mut storing, bytes);
            assert_eq!(more.len(), 1, "of {bytes} bytes, when one is stored");
            drop((ends, more));
            while storing.next().now_or_never().flatten().is_some() {}
            assert!(storing.is_empty());
            assert_eq!(storing.bytes, 0);
        }
    }
}
