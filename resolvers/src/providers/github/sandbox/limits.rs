//! GitHub's rate limits: a bucket for each resource with its own window, and the headers that tell of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use http::{HeaderMap, HeaderValue};

/// Which bucket a call draws from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Resource {
    Core,
    Graphql,
    Search,
}

impl Resource {
    pub(crate) const ALL: [Self; 3] = [Self::Core, Self::Graphql, Self::Search];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Graphql => "graphql",
            Self::Search => "search",
        }
    }

    fn limit(self) -> u64 {
        if self == Self::Search { 30 } else { 5000 }
    }

    fn window(self) -> Duration {
        if self == Self::Search { Duration::minutes(1) } else { Duration::hours(1) }
    }
}

/// The state of a bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) resource: Resource,
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) remaining: u64,
    pub(crate) reset: DateTime<Utc>,
    /// The cost of this call.
    pub(crate) cost: u64,
    /// How many nodes a GraphQL call may touch.
    pub(crate) nodes: u64,
    /// The call is over the limit: nothing was taken.
    pub(crate) exceeded: bool,
}

impl Quota {
    /// The headers that every answer carries.
    pub(crate) fn headers(&self, into: &mut HeaderMap) {
        into.insert("x-ratelimit-limit", HeaderValue::from(self.limit));
        into.insert("x-ratelimit-remaining", HeaderValue::from(self.remaining));
        into.insert("x-ratelimit-used", HeaderValue::from(self.used));
        into.insert("x-ratelimit-reset", HeaderValue::from(self.reset.timestamp()));
        into.insert("x-ratelimit-resource", HeaderValue::from_static(self.resource.name()));
    }
}

/// The buckets of the one token that the sandbox knows.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    buckets: BTreeMap<Resource, (u64, DateTime<Utc>)>,
}

impl Limits {
    /// Takes the cost out of the bucket, if it is in there. A cost of 0 only looks.
    pub(crate) fn take(&mut self, now: DateTime<Utc>, resource: Resource, cost: u64) -> Quota {
        let (used, reset) = self.buckets.entry(resource).or_insert((0, now + resource.window()));
        if *reset <= now {
            (*used, *reset) = (0, now + resource.window());
        }
        let exceeded = cost > 0 && *used + cost > resource.limit();
        if !exceeded {
            *used += cost;
        }
        let remaining = resource.limit().saturating_sub(*used);
        Quota { resource, limit: resource.limit(), used: *used, remaining, reset: *reset, cost, nodes: 0, exceeded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again_when_its_window_ends() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut limits = Limits::default();
        for left in (0..30).rev() {
            assert_eq!(limits.take(now, Resource::Search, 1).remaining, left);
        }
        assert!(limits.take(now, Resource::Search, 1).exceeded);
        assert!(!limits.take(now, Resource::Core, 1).exceeded);
        assert_eq!(limits.take(now + Duration::minutes(1), Resource::Search, 1).remaining, 29);
    }
}
