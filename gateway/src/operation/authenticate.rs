//! Authentication: finds the holder of the API key that a request carries.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, header};
use mullion_resolvers::{
    credentials::{Credential, Credentials},
    error_chain::chain,
    execution::Caller,
    secret::Secret,
    store::StoreError,
};
use mullion_schema::{
    error::{ErrorCode, RETRY_AFTER},
    ports::ViewerView,
};

use super::errors::RequestError;

/// The reason why a request has no caller.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// No credential, where one is needed.
    #[error("an API key is needed: send `Authorization: Bearer KEY` (WebSocket: `authorization` in `connection_init`)")]
    Missing,
    /// A credential that is unknown or revoked.
    #[error("the API key is not valid")]
    Invalid,
    /// The credential could not be checked; the cause was logged.
    #[error("the API key could not be checked: try again in a few seconds")]
    Unavailable,
}

impl From<AuthError> for RequestError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Missing | AuthError::Invalid => Self::new(ErrorCode::Unauthenticated, error.to_string()),
            AuthError::Unavailable => Self::unavailable(error.to_string(), RETRY_AFTER),
        }
    }
}

/// Knows the API keys: [`Credentials`], and the stand-in of tests.
#[async_trait]
pub trait Keys: Send + Sync {
    /// The credential that a key stands for; `None` where the key is not accepted.
    async fn credential(&self, key: &Secret) -> Result<Option<Arc<Credential>>, StoreError>;
}

#[async_trait]
impl Keys for Credentials {
    async fn credential(&self, key: &Secret) -> Result<Option<Arc<Credential>>, StoreError> {
        self.authenticate(key).await
    }
}

/// Finds the caller of a request.
pub struct Authenticator {
    keys: Arc<dyn Keys>,
    /// In `dev`: the one caller, for whom no key is asked.
    everybody: Option<Arc<ViewerView>>,
}

impl Authenticator {
    /// An authenticator over keys. With `everybody`, no key is asked for.
    pub fn new(keys: Arc<dyn Keys>, everybody: Option<Arc<ViewerView>>) -> Self {
        Self { keys, everybody }
    }

    /// The caller with this key, without the scheme.
    pub(super) async fn authenticate(&self, key: Option<&str>) -> Result<Caller, AuthError> {
        // In `dev` nobody needs a key; but a key that is presented is checked, and a wrong one is refused as anywhere.
        if let (Some(viewer), None) = (&self.everybody, key.filter(|key| !key.is_empty())) {
            return Ok(Caller::without_key(Arc::clone(viewer)));
        }
        let presented = key.filter(|key| !key.is_empty()).ok_or(AuthError::Missing)?;
        let credential = self.keys.credential(&Secret::from(presented)).await.map_err(|error| {
            tracing::error!(error = %chain(&error), "an API key could not be checked");
            AuthError::Unavailable
        })?;
        Ok(Caller::with_key(credential.ok_or(AuthError::Invalid)?))
    }
}

/// The key of `Authorization: Bearer KEY`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    strip_bearer(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

/// The key behind the scheme, which is not case-sensitive.
pub(crate) fn strip_bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// The key that a request carries. With another scheme it is a key that is not accepted, rather than none.
pub(super) fn key_of(headers: &HeaderMap) -> Option<&str> {
    let given = headers.contains_key(header::AUTHORIZATION);
    bearer(headers).or(given.then_some(""))
}
