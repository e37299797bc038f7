//! A feed: the lists of several containers as one; in which order, which of their items, and how far they are read.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use mullion_schema::{
    fields::FieldSet,
    id::IntegrationId,
    ports::{Filter, PageRequest},
    view::NodeView,
};

use super::container::Container;
use crate::reading::{
    cached_store::derived::DerivedFacts, fetches::readers::Reading, integrations::Integration, session::Session,
};

/// How many items of one list are looked at for an answer that needs all of them (counts, metrics, foreign orders). Where there
/// are more, the answer says so.
pub(super) const DEEP: usize = 1_000;

/// The key that items are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The list's own order, which all containers of the kind share.
    Listed,
    /// A time or a date under this body key.
    Key(&'static str),
}

/// The order of a feed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) by: By,
    pub(super) ascending: bool,
}

/// How much of its lists a feed reads: each up to [`DEEP`] items at most.
#[derive(Clone, Copy)]
pub(super) enum Extent<'a> {
    /// As much as a page needs.
    Page(&'a PageRequest),
    /// Everything.
    All,
    /// All that happened since, where the order of a list tells when all of that was read; everything of other lists.
    Since(DateTime<Utc>),
}

/// The order of the lists themselves, which is the same for all of them.
pub(super) const LISTED: Order = Order { by: By::Listed, ascending: true };

/// One reading of several containers.
#[derive(Clone)]
pub(super) struct Feed<'a> {
    pub(super) session: &'a Session,
    pub(super) order: Order,
    pub(super) fields: FieldSet,
    pub(super) extent: Extent<'a>,
}

/// Reads that have begun, by integration: their lists are read next.
pub(super) type BegunReads = HashMap<IntegrationId, Reading>;

/// Whether an item passes.
pub(super) type Admits<'a> = dyn Fn(&Integration, &NodeView, &DerivedFacts) -> bool + Sync + 'a;

/// One list to read.
pub(super) struct Source<'f> {
    pub(super) container: &'f Container,
    pub(super) name: &'static str,
    pub(super) filter: Filter,
    /// The list comes in the order of the feed, so that its head is enough for a page.
    pub(super) in_order: bool,
    /// The list comes in this order of time.
    pub(super) newest_first: Option<NewestFirst>,
    /// Every item of the list passes the feed's filter, so that the provider's count of the list is that of the feed.
    pub(super) exact: bool,
    /// Another list of the feed may hold the same items.
    pub(super) overlaps: bool,
}

/// The order of a list by a time of its items, and what that says of other times of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewestFirst {
    /// The body key of the time.
    pub(super) key: &'static str,
    /// How much later something that is counted may have happened to an item.
    pub(super) lag: Duration,
}

impl NewestFirst {
    pub(super) fn by(key: &'static str) -> Self {
        Self { key, lag: Duration::zero() }
    }
}

impl<'f> Source<'f> {
    /// A list of which all items are wanted, in its own order.
    pub(super) fn listed(container: &'f Container, name: &'static str, filter: Filter, order: NewestFirst) -> Self {
        let overlaps = container.is_twice;
        Self { container, name, filter, in_order: true, newest_first: Some(order), exact: true, overlaps }
    }
}
