//! Event cursors: a position of the tenant's stream, authenticated with the tenant, so that nobody can forge one or use another's.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mullion_schema::id::{EventCursor, TenantId};
use subtle::ConstantTimeEq;

use crate::vault::Vault;

/// Bytes of the authentication code: 96 bits, enough for something that is checked online.
const CODE: usize = 12;

/// Makes and reads cursors.
#[derive(Clone)]
pub struct Cursors {
    /// The first signs, all verify.
    keys: Vec<[u8; 32]>,
}

impl std::fmt::Debug for Cursors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cursors")
    }
}

impl Cursors {
    /// Cursors under the vault's keys.
    pub fn new(vault: &Vault) -> Self {
        Self { keys: vault.derive("mullion 2026 event cursor") }
    }

    /// A position as clients may hold it.
    pub fn encode(&self, tenant: &TenantId, position: i64) -> EventCursor {
        let mut bytes = position.to_be_bytes().to_vec();
        if let Some(key) = self.keys.first() {
            bytes.extend_from_slice(&code(key, tenant, position));
        }
        URL_SAFE_NO_PAD.encode(bytes).into()
    }

    /// The position; `None` for what we did not make for this tenant.
    pub fn decode(&self, tenant: &TenantId, cursor: &EventCursor) -> Option<i64> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor.as_str()).ok()?;
        let (position, given) = bytes.split_at_checked(8)?;
        let position = i64::from_be_bytes(position.try_into().ok()?);
        let genuine = self.keys.iter().any(|key| bool::from(code(key, tenant, position).as_slice().ct_eq(given)));
        genuine.then_some(position)
    }
}

fn code(key: &[u8; 32], tenant: &TenantId, position: i64) -> [u8; CODE] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&position.to_be_bytes()).update(tenant.as_str().as_bytes());
    let mut code = [0; CODE];
    hasher.finalize_xof().fill(&mut code);
    code
}

#[cfg(test)]
mod tests {
    use super::Cursors;
    use crate::vault::Vault;

    fn cursors(digit: &str) -> Cursors {
        Cursors::new(&Vault::new([digit.repeat(64).as_str()]).unwrap())
    }

    #[test]
    fn only_the_tenant_it_was_made_for_can_use_a_cursor() {
        let (cursors, other) = (cursors("1"), cursors("2"));
        let (ada, eve) = ("ada".into(), "eve".into());
        let cursor = cursors.encode(&ada, 42);
        assert_eq!(cursors.decode(&ada, &cursor), Some(42));
        assert_eq!(cursors.decode(&eve, &cursor), None);
        assert_eq!(other.decode(&ada, &cursor), None);
        let forged = format!("B{}", &cursor.as_str()[1..]);
        for text in [forged.as_str(), "", "AAAAAAAAACo", "not base64!"] {
            assert_eq!(cursors.decode(&ada, &text.into()), None, "{text}");
        }
    }
}
