//! Inputs for integrations.

use async_graphql::{ID, InputObject, MaybeUndefined};

use super::{
    board::kept,
    check::{secret, title},
};
use crate::{
    error::PortError,
    ports::{Accounts, Change, IntegrationChanges, NewIntegration, Secret},
    scalars::{Time, WebUrl},
};

/// An account to connect with a token that you hold.
#[derive(Clone, InputObject)]
pub struct ConnectIntegrationInput {
    /// The provider's key: `github`.
    pub provider: String,
    /// A name of your choice.
    pub name: String,
    /// The token. It is kept sealed and never shown again.
    #[graphql(secret)]
    pub token: String,
    /// The secret that the provider signs its webhooks with. Left out: generated where the provider lets us, and shown once.
    #[graphql(secret)]
    pub webhook_secret: Option<String>,
    /// Where the provider can send events over a socket that is opened from here, so that no public address is needed: the token
    /// for it. It is kept sealed and never shown again.
    #[graphql(secret)]
    pub app_token: Option<String>,
    /// Another address of the provider's API, for example of a GitHub Enterprise server.
    pub base_url: Option<WebUrl>,
}

/// A change of an integration. Fields that are left out stay as they are; null removes a webhook secret or an app token.
#[derive(Clone, InputObject)]
pub struct UpdateIntegrationInput {
    /// Which.
    pub id: ID,
    /// New name.
    pub name: MaybeUndefined<String>,
    /// New token; everything that was read with the old one keeps its id.
    #[graphql(secret)]
    pub token: MaybeUndefined<String>,
    /// New webhook secret; null: webhooks are refused until there is one again.
    #[graphql(secret)]
    pub webhook_secret: MaybeUndefined<String>,
    /// New token for the socket that events come over; given again, a socket that failed is tried anew. Null: the socket is closed.
    #[graphql(secret)]
    pub app_token: MaybeUndefined<String>,
    /// The `updatedAt` you last saw: if somebody changed it since, nothing happens and the error is CONFLICT.
    pub expected_updated_at: Option<Time>,
}

impl ConnectIntegrationInput {
    /// Checks the input.
    pub fn check(self, accounts: &dyn Accounts) -> Result<NewIntegration, PortError> {
        if accounts.provider(&self.provider).is_none() {
            let known: Vec<String> = accounts.providers().iter().map(|provider| provider.key.clone()).collect();
            return Err(PortError::bad_input(format!("input.provider: must be one of {}", known.join(", "))));
        }
        let webhook_secret = self.webhook_secret.map(|given| secret("input.webhookSecret", &given)).transpose()?;
        let app_token = self.app_token.map(|given| secret("input.appToken", &given)).transpose()?;
        let base_url = self.base_url.map(|url| url.0);
        if base_url.as_ref().is_some_and(|url| !matches!(url.scheme(), "http" | "https") || !url.has_host()) {
            return Err(PortError::bad_input("input.baseUrl: must be an https address"));
        }
        Ok(NewIntegration {
            provider: self.provider,
            name: title("input.name", &self.name)?,
            token: Secret::new(secret("input.token", &self.token)?),
            webhook_secret: webhook_secret.map(Secret::new),
            app_token: app_token.map(Secret::new),
            base_url,
        })
    }
}

impl UpdateIntegrationInput {
    /// Checks the input, but for its id.
    pub fn check(self) -> Result<IntegrationChanges, PortError> {
        let name = kept("input.name", self.name)?;
        let token = kept("input.token", self.token)?;
        Ok(IntegrationChanges {
            name: name.map(|given| title("input.name", &given)).transpose()?,
            token: token.map(|given| secret("input.token", &given).map(Secret::new)).transpose()?,
            webhook_secret: secret_change("input.webhookSecret", self.webhook_secret)?,
            app_token: secret_change("input.appToken", self.app_token)?,
            expected_updated_at: self.expected_updated_at.map(|time| time.0),
        })
    }
}

fn secret_change(field: &'static str, given: MaybeUndefined<String>) -> Result<Change<Secret>, PortError> {
    Ok(match given {
        MaybeUndefined::Undefined => Change::Keep,
        MaybeUndefined::Null => Change::Clear,
        MaybeUndefined::Value(given) if given.trim().is_empty() => {
            return Err(PortError::bad_input(format!("{field}: must not be empty; null removes it")));
        }
        MaybeUndefined::Value(given) => Change::Set(Secret::new(secret(field, &given)?)),
    })
}
