//! Signatures of webhook requests as all providers make them: HMAC-SHA256 over raw bytes, in hexadecimal digits. In one place,
//! because one mistake in it opens a door.

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, header::AsHeaderName};
use sha2::Sha256;

use crate::secret::Secret;

/// Whether one of the secrets signed these parts, one after the other. Every secret is tried, and each comparison takes the same
/// time. An empty secret signs nothing.
pub(crate) fn is_signed(hex: &str, parts: &[&[u8]], secrets: &[Secret]) -> bool {
    let mut expected = [0; 32];
    if hex::decode_to_slice(hex, &mut expected).is_err() {
        return false;
    }
    let signed_by = |secret: &Secret| {
        if secret.expose().is_empty() {
            return false;
        }
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose()) else { return false };
        for part in parts {
            mac.update(part);
        }
        mac.verify_slice(&expected).is_ok()
    };
    secrets.iter().fold(false, |signed, secret| signed | signed_by(secret))
}

/// A header that comes once. With two signatures, it would be open which one counts.
pub(crate) fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{is_signed, single};

    #[test]
    fn parts_are_signed_as_one_and_by_no_empty_secret() {
        let signature = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let secrets = ["other".into(), "It's a Secret to Everybody".into()];
        assert!(is_signed(signature, &[b"Hello, World!"], &secrets));
        assert!(is_signed(signature, &[b"Hello", b", ", b"World!"], &secrets));
        assert!(!is_signed(signature, &[b"Hello, World"], &secrets));
        assert!(!is_signed(signature, &[b"Hello, World!"], &secrets[..1]));
        for odd in ["", "zz", &signature[..62]] {
            assert!(!is_signed(odd, &[b"Hello, World!"], &secrets), "{odd}");
        }
        let of_nothing = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
        assert!(!is_signed(of_nothing, &[b""], &["".into()]));
    }

    #[test]
    fn a_header_that_comes_twice_is_none() {
        let (name, value) = (HeaderName::from_static("x-signature"), HeaderValue::from_static("1"));
        let mut headers = HeaderMap::new();
        assert_eq!(single(&headers, &name), None);
        headers.append(name.clone(), value.clone());
        assert_eq!(single(&headers, &name), Some(&value));
        headers.append(name.clone(), value);
        assert_eq!(single(&headers, &name), None);
    }
}
