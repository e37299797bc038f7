//! The filter of webhook deliveries.

use async_graphql::{ID, InputObject};

use super::check::{Unknown, at_most, integration_ids, provider_keys, texts};
use crate::{enums::WebhookDeliveryState, error::PortError, ports::DeliveryFilter, scalars::Time};

/// Narrows webhook deliveries: every condition that is given must hold. An empty list matches nothing.
#[derive(Debug, Clone, Default, InputObject)]
pub struct WebhookDeliveryFilter {
    /// Only of these providers: `github`.
    pub providers: Option<Vec<String>>,
    /// Only of these integrations.
    pub integration_ids: Option<Vec<ID>>,
    /// Only in one of these states: `PARKED` is what needs somebody to look at it.
    pub states: Option<Vec<WebhookDeliveryState>>,
    /// Only of these events: `issues.closed`, or `issues` for all that happens to issues.
    pub events: Option<Vec<String>>,
    /// Only what came in at this time or later.
    pub received_after: Option<Time>,
    /// Only what came in before this time.
    pub received_before: Option<Time>,
}

impl WebhookDeliveryFilter {
    /// Checks the filter; `path` is its name in errors.
    pub fn check(self, path: &str) -> Result<DeliveryFilter, PortError> {
        let at = |field: &str| format!("{path}.{field}");
        at_most(&at("states"), self.states.as_deref().unwrap_or_default())?;
        let integrations =
            self.integration_ids.map(|ids| integration_ids(&at("integrationIds"), &ids, Unknown::MatchNothing));
        Ok(DeliveryFilter {
            providers: self.providers.map(|keys| provider_keys(&at("providers"), &keys)).transpose()?,
            integrations: integrations.transpose()?,
            states: self.states,
            events: self.events.map(|events| texts(&at("events"), &events)).transpose()?,
            received_after: self.received_after.map(|time| time.0),
            received_before: self.received_before.map(|time| time.0),
        })
    }
}
