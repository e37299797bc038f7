//! Sealed bytes: what a vault made of a secret. Separate, so that a column can say by its type that nothing in clear stands in it.

use std::fmt;

use sea_orm::DeriveValueType;

/// A sealed secret: key id, nonce and ciphertext. Only the vault opens it.
#[derive(Clone, PartialEq, Eq, DeriveValueType)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Wraps what a vault made.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the vault.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}
