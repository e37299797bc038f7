//! The rest of providers' quotas, for as long as it is known: until they are full again.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::labels::IntegrationLabels;

/// The quotas that providers told of.
#[derive(Debug, Default)]
pub struct QuotaMetrics {
    remaining: Family<IntegrationLabels, Gauge>,
    /// When those are full again of which it is known. It has no more entries than there are series.
    resets: Mutex<HashMap<IntegrationLabels, DateTime<Utc>>>,
}

impl QuotaMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "What is left of a provider's quota, until it resets";
        registry.register("quota_remaining", help, self.remaining.clone());
    }

    /// So much is left until then.
    pub fn told(&self, labels: &IntegrationLabels, remaining: i64, resets_at: Option<DateTime<Utc>>) {
        let mut resets = self.resets.lock();
        match resets_at {
            Some(at) => resets.insert(labels.clone(), at),
            None => resets.remove(labels),
        };
        self.remaining.get_or_create(labels).set(remaining);
    }

    /// Forgets what has reset since: nobody knows how much is left of it.
    pub fn forget_reset(&self, now: DateTime<Utc>) {
        self.resets.lock().retain(|labels, at| {
            let holds = *at > now;
            if !holds {
                self.remaining.remove(labels);
            }
            holds
        });
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::{IntegrationLabels, QuotaMetrics};

    #[test]
    fn a_quota_that_was_used_up_is_not_shown_once_it_has_reset() {
        let (metrics, mut registry) = (QuotaMetrics::default(), Registry::default());
        metrics.register(&mut registry);
        let shown = || {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text.lines().filter(|line| line.starts_with("quota_remaining{")).count()
        };
        let labels = |bucket: &str| IntegrationLabels {
            provider: "any".to_owned(),
            integration: "1".to_owned(),
            bucket: bucket.to_owned(),
        };
        let now = DateTime::UNIX_EPOCH;
        metrics.told(&labels("spent"), 0, Some(now + TimeDelta::seconds(30)));
        metrics.told(&labels("endless"), 7, None);
        metrics.forget_reset(now);
        assert_eq!(shown(), 2);
        metrics.forget_reset(now + TimeDelta::seconds(30));
        assert_eq!(shown(), 1, "it would raise the alert for ever");
        metrics.told(&labels("spent"), 900, Some(now + TimeDelta::seconds(90)));
        assert_eq!(shown(), 2);
    }
}
