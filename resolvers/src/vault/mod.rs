//! The vault: seals secrets for the database and opens them for the one call that needs them.
//!
//! XChaCha20-Poly1305 with a random nonce of 192 bits, so that nonces never have to be counted. The associated data names the
//! place a sealed secret belongs to: moved to another row, tenant or column it does not open.

use std::{fmt, sync::Arc};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use mullion_entities::sealed::Sealed;
use mullion_schema::id::{IntegrationId, TenantId};

use crate::secret::Secret;

/// The form of sealed bytes: version, key id, nonce, ciphertext. Part of the associated data.
const VERSION: u8 = 1;
const KEY_ID: usize = 8;
const NONCE: usize = 24;
const HEADER: usize = 1 + KEY_ID + NONCE;

/// Several keys during a rotation: the first seals, all open.
#[derive(Clone)]
pub struct Vault(Arc<[Key]>);

struct Key {
    id: [u8; KEY_ID],
    bytes: [u8; 32],
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("keys", &self.0.len()).finish_non_exhaustive()
    }
}

/// Where a sealed secret belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The integration.
    pub integration: &'a IntegrationId,
    /// In which column: `token`, `secrets`.
    pub column: &'a str,
}

/// Why the vault refuses. Nothing of what was sealed is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// No key was given.
    #[error("the vault has no key")]
    NoKey,
    /// A key is not 32 bytes.
    #[error("a vault key is 32 bytes, in base64 or 64 hexadecimal digits")]
    MalformedKey,
    /// Sealed with a key that the vault does not have.
    #[error("sealed with a key that is not among the vault's keys")]
    UnknownKey,
    /// Not sealed by a vault, changed since, or of another place.
    #[error("not sealed for this place, or damaged")]
    Damaged,
    /// The operating system gave no random bytes.
    #[error("no random bytes")]
    Random,
}

impl Vault {
    /// A vault with these keys, in base64 or hexadecimal digits. The first seals, all open.
    pub fn new<'k>(keys: impl IntoIterator<Item = &'k str>) -> Result<Self, VaultError> {
        let keys: Vec<Key> = keys.into_iter().map(Key::parse).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(VaultError::NoKey) } else { Ok(Self(keys.into())) }
    }

    /// A new key, in base64.
    pub fn generate_key() -> Result<Secret, VaultError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| VaultError::Random)?;
        Ok(Secret::from(STANDARD.encode(bytes)))
    }

    /// Seals a secret for a place.
    pub fn seal(&self, place: Place<'_>, secret: &Secret) -> Result<Sealed, VaultError> {
        let key = self.first()?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| VaultError::Random)?;
        let payload = Payload { msg: secret.expose(), aad: &associated_data(place, key.id) };
        let sealed = key.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| VaultError::Damaged)?;
        let mut bytes = Vec::with_capacity(HEADER + sealed.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&key.id);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(Sealed::new(bytes))
    }

    /// Opens what was sealed for this place.
    pub fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Secret, VaultError> {
        let (id, rest) = split(sealed).ok_or(VaultError::Damaged)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE).ok_or(VaultError::Damaged)?;
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| VaultError::Damaged)?;
        let key = self.0.iter().find(|key| key.id == *id).ok_or(VaultError::UnknownKey)?;
        let payload = Payload { msg: ciphertext, aad: &associated_data(place, key.id) };
        let opened = key.cipher().decrypt(&XNonce::from(nonce), payload).map_err(|_| VaultError::Damaged)?;
        Ok(Secret::new(opened))
    }

    /// Whether it was sealed with an older key and should be sealed anew.
    pub fn is_outdated(&self, sealed: &Sealed) -> bool {
        self.0.first().is_some_and(|key| split(sealed).is_none_or(|(id, _)| *id != key.id))
    }

    /// Keys for another purpose, one from each key of the vault: the first signs, all verify. `context` is a constant that is
    /// unique in the program: `mullion 2026 event cursor`.
    pub fn derive(&self, context: &str) -> Vec<[u8; 32]> {
        self.0.iter().map(|key| blake3::derive_key(context, &key.bytes)).collect()
    }

    fn first(&self) -> Result<&Key, VaultError> {
        self.0.first().ok_or(VaultError::NoKey)
    }
}

impl Key {
    fn parse(text: &str) -> Result<Self, VaultError> {
        let text = text.trim();
        let decoded = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .iter()
            .find_map(|engine| engine.decode(text).ok().filter(|bytes| bytes.len() == 32));
        let decoded = hex::decode(text).ok().filter(|bytes| bytes.len() == 32).or(decoded);
        let bytes: [u8; 32] =
            decoded.ok_or(VaultError::MalformedKey)?.try_into().map_err(|_| VaultError::MalformedKey)?;
        let mut id = [0; KEY_ID];
        let name = blake3::derive_key("mullion 2026 vault key id", &bytes);
        id.copy_from_slice(name.get(..KEY_ID).ok_or(VaultError::MalformedKey)?);
        Ok(Self { id, bytes })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.bytes.into())
    }
}

fn split(sealed: &Sealed) -> Option<(&[u8; KEY_ID], &[u8])> {
    let rest = sealed.as_bytes().strip_prefix(&[VERSION])?;
    rest.split_first_chunk::<KEY_ID>()
}

/// Every part with its length, so that no two places look alike.
fn associated_data(place: Place<'_>, key_id: [u8; KEY_ID]) -> Vec<u8> {
    let mut data = vec![VERSION];
    data.extend_from_slice(&key_id);
    for part in [place.tenant.as_str(), place.integration.as_str(), place.column] {
        data.extend_from_slice(&(part.len() as u64).to_le_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

#[cfg(test)]
mod tests {
    use mullion_entities::sealed::Sealed;

    use super::{Place, Vault, VaultError};
    use crate::secret::Secret;

    const OLD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const NEW: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

    fn with_place<T>(tenant: &str, integration: &str, column: &str, run: impl FnOnce(Place<'_>) -> T) -> T {
        run(Place { tenant: &tenant.into(), integration: &integration.into(), column })
    }

    #[test]
    fn what_is_sealed_opens_at_its_place_only() {
        let vault = Vault::new([OLD]).unwrap();
        let secret = Secret::from("xoxb-planted");
        let sealed = with_place("t", "i", "token", |place| vault.seal(place, &secret)).unwrap();
        assert_eq!(with_place("t", "i", "token", |place| vault.open(place, &sealed)), Ok(secret));
        for (tenant, integration, column) in
            [("u", "i", "token"), ("t", "j", "token"), ("t", "i", "secrets"), ("ti", "", "token")]
        {
            let opened = with_place(tenant, integration, column, |place| vault.open(place, &sealed));
            assert_eq!(opened, Err(VaultError::Damaged), "{tenant} {integration} {column}");
        }
    }

    #[test]
    fn a_changed_byte_does_not_open() {
        let vault = Vault::new([OLD]).unwrap();
        let sealed = with_place("t", "i", "token", |place| vault.seal(place, &Secret::from("s"))).unwrap();
        for index in 0..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[index] ^= 1;
            assert!(with_place("t", "i", "token", |place| vault.open(place, &Sealed::new(bytes))).is_err(), "{index}");
        }
        for length in 0..sealed.as_bytes().len() {
            let cut = Sealed::new(sealed.as_bytes()[..length].to_vec());
            assert!(with_place("t", "i", "token", |place| vault.open(place, &cut)).is_err(), "{length}");
        }
    }

    #[test]
    fn a_new_first_key_seals_and_the_old_one_still_opens() {
        let old = Vault::new([OLD]).unwrap();
        let both = Vault::new([NEW, OLD]).unwrap();
        let secret = Secret::from("s");
        with_place("t", "i", "token", |place| {
            let sealed = old.seal(place, &secret).unwrap();
            assert_eq!(both.open(place, &sealed), Ok(secret.clone()));
            assert!(both.is_outdated(&sealed));
            let again = both.seal(place, &secret).unwrap();
            assert!(!both.is_outdated(&again));
            assert_eq!(old.open(place, &again), Err(VaultError::UnknownKey));
        });
        assert_eq!(both.derive("mullion test")[1], old.derive("mullion test")[0]);
    }

    #[test]
    fn keys_are_checked_and_never_printed() {
        for text in ["", "abc", "zz", &"0".repeat(63), "AAAA"] {
            assert_eq!(Vault::new([text]).unwrap_err(), VaultError::MalformedKey, "{text}");
        }
        assert_eq!(Vault::new([]).unwrap_err(), VaultError::NoKey);
        let generated = Vault::generate_key().unwrap();
        let vault = Vault::new([generated.expose_text().unwrap()]).unwrap();
        assert_eq!(format!("{vault:?}"), "Vault { keys: 1, .. }");
    }
}
