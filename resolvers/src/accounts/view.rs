//! Rows of integrations, and providers, as the graph shows them.

use mullion_schema::{
    enums::{IntegrationStatus, Stage},
    ports::{IntegrationView, Position, ProviderView},
};
use url::Url;

use crate::{
    provider::Provider,
    store::integration::{self, IntegrationStage},
};

/// Where an integration stands in lists by name.
pub(super) fn position_of(row: &integration::Integration) -> Position {
    Position { sort: row.draft.name.to_lowercase(), native_id: row.id.as_str().to_owned() }
}

/// A provider of this build.
pub(super) fn provider_view(provider: &dyn Provider) -> ProviderView {
    let descriptor = provider.descriptor();
    ProviderView {
        key: descriptor.key.to_owned(),
        name: descriptor.name.to_owned(),
        stage: Stage::Pilot,
        // A constant; the field is nullable.
        documentation_url: descriptor.documentation_url.parse().ok(),
        oauth: descriptor.oauth,
        webhooks: true,
        node_types: descriptor.types.iter().map(|node_type| node_type.name.to_owned()).collect(),
    }
}

/// An integration, with the address that its provider is to send webhooks to. `is_known`: its provider is part of this build.
pub(super) fn integration_view(
    row: integration::Integration,
    is_known: bool,
    webhook_url: Option<Url>,
) -> IntegrationView {
    IntegrationView {
        id: row.id,
        provider: row.provider,
        name: row.draft.name,
        account_name: row.draft.account_name,
        status: match row.draft.status {
            _ if !is_known => IntegrationStatus::Disabled,
            integration::IntegrationStatus::Pending => IntegrationStatus::Pending,
            integration::IntegrationStatus::Connected => IntegrationStatus::Connected,
            integration::IntegrationStatus::NeedsReconnect => IntegrationStatus::NeedsReconnect,
            integration::IntegrationStatus::Disabled => IntegrationStatus::Disabled,
        },
        stage: match row.draft.stage {
            IntegrationStage::Prototype => Stage::Prototype,
            IntegrationStage::Pilot => Stage::Pilot,
            IntegrationStage::Production => Stage::Production,
            IntegrationStage::Retired => Stage::Retired,
        },
        scopes: row.draft.scopes,
        connected_at: row.draft.connected_at,
        expires_at: row.draft.expires_at,
        webhook_url,
        updated_at: row.updated_at,
    }
}

#[cfg(test)]
mod tests {
    use mullion_schema::enums::IntegrationStatus;

    use super::integration_view;
    use crate::store::tests::bench::Bench;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_integration_whose_provider_is_not_in_this_build_is_disabled() {
        let bench = Bench::sqlite().await;
        for (is_known, expected) in [(true, IntegrationStatus::Connected), (false, IntegrationStatus::Disabled)] {
            let row = bench.db.integration(&bench.tenant, &bench.integration).await.unwrap().unwrap();
            assert_eq!(integration_view(row, is_known, None).status, expected);
        }
    }
}
