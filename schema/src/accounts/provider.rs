//! Providers, as the graph shows them.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use crate::{
    cost::Items, enums::Stage, error::PortError, id::GlobalId, ports::ProviderView, scalars::WebUrl, table::ports,
};

/// A provider.
pub struct Provider(pub Arc<ProviderView>);

impl Provider {
    /// A provider by key. One that this build does not know is shown as retired.
    pub fn of(ctx: &Context<'_>, key: &str) -> Result<Self, PortError> {
        let known = ports(ctx)?.accounts.provider(key);
        Ok(Self(known.unwrap_or_else(|| {
            Arc::new(ProviderView {
                key: key.to_owned(),
                name: key.to_owned(),
                stage: Stage::Retired,
                documentation_url: None,
                oauth: false,
                webhooks: false,
                node_types: Vec::new(),
            })
        })))
    }
}

/// A service that Mullion reads from: GitHub, Slack, Asana.
#[Object]
impl Provider {
    /// Opaque, global and stable.
    async fn id(&self) -> ID {
        GlobalId::own("Provider", &self.0.key).encode().into()
    }

    /// Its name in configuration, addresses and filters: `github`.
    async fn key(&self) -> &str {
        &self.0.key
    }

    /// Its name for people: `GitHub`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// How far its integration has come. `PILOT` for each of this version; it changes with sign-in.
    async fn stage(&self) -> Stage {
        self.0.stage
    }

    /// Its developer documentation.
    async fn documentation_url(&self) -> Option<WebUrl> {
        self.0.documentation_url.clone().map(WebUrl)
    }

    /// Whether its accounts can be connected by signing in at the provider, once this version of Mullion does that: sign-in is still to
    /// come, and `connectIntegration` takes a token until then.
    async fn oauth(&self) -> bool {
        self.0.oauth
    }

    /// Whether it tells about changes by itself.
    async fn webhooks(&self) -> bool {
        self.0.webhooks
    }

    /// The types of the graph that it brings.
    #[graphql(directive = Items::apply(10))]
    async fn node_types(&self) -> &[String] {
        &self.0.node_types
    }
}
