//! A secret among the settings: read from the file or the environment, never printed, never written.

use mullion_resolvers::secret::Secret;
use serde::{Deserialize, Deserializer, de::Error as _};

/// A setting that is a secret, or that has one in it, such as an address with a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSetting(Secret);

impl SecretSetting {
    /// The text, for the one call that needs it.
    pub fn expose(&self) -> &str {
        // It was made from text.
        self.0.expose_text().unwrap_or_default()
    }
}

impl From<String> for SecretSetting {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl<'de> Deserialize<'de> for SecretSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The message of a value of another type would repeat the value.
        let text = String::deserialize(deserializer).map_err(|_| D::Error::custom("expected text in quotes"))?;
        Ok(text.into())
    }
}
