//! How bodies of deliveries are kept: JSON packs to a fifth of its size in less time than writing the rest would take.

use bytes::Bytes;

use crate::store::StoreError;

/// The first byte of a packed body. No JSON document begins with it, so what was stored as it came is told apart.
const PACKED: u8 = 1;
/// What is shorter is kept as it came.
const WORTH: usize = 256;

/// A document as it is stored.
pub(super) fn pack(document: &Bytes) -> Vec<u8> {
    let ambiguous = document.first() == Some(&PACKED);
    if document.len() < WORTH && !ambiguous {
        return document.to_vec();
    }
    let mut packed = vec![0; lz4_flex::block::get_maximum_output_size(document.len()) + 1];
    let length = packed.split_first_mut().and_then(|(first, rest)| {
        *first = PACKED;
        lz4_flex::block::compress_into(document, rest).ok()
    });
    match length {
        Some(length) if ambiguous || length + 1 < document.len() => {
            packed.truncate(length + 1);
            packed.shrink_to_fit();
            packed
        }
        _ => document.to_vec(),
    }
}

/// The document of this many bytes that is stored like this.
pub(super) fn unpack(stored: &[u8], size: i64) -> Result<Bytes, StoreError> {
    let Some((&PACKED, packed)) = stored.split_first() else { return Ok(Bytes::copy_from_slice(stored)) };
    let size = usize::try_from(size).unwrap_or(0);
    let document = lz4_flex::block::decompress(packed, size).map_err(|_| StoreError::Unpackable)?;
    if document.len() == size { Ok(document.into()) } else { Err(StoreError::Unpackable) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::{PACKED, pack, unpack};

    fn size(document: &[u8]) -> i64 {
        i64::try_from(document.len()).unwrap()
    }

    #[test]
    fn what_repeats_itself_takes_less_room() {
        let document = Bytes::from(r#"{"html_url":"https://example.org/a"},"#.repeat(400));
        let packed = pack(&document);
        assert!(packed.len() * 10 < document.len(), "{}", packed.len());
        assert_eq!(unpack(&packed, size(&document)).unwrap(), document);
    }

    #[test]
    fn what_was_cut_off_or_is_of_another_size_is_told() {
        let document = Bytes::from("0123456789".repeat(100));
        let packed = pack(&document);
        assert!(unpack(&packed, 999).is_err() && unpack(&packed, 1001).is_err());
        assert!(unpack(&packed[..packed.len() - 1], 1000).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(body in proptest::collection::vec(any::<u8>(), 0..600), first in prop_oneof![Just(PACKED), any::<u8>()]) {
            let document = Bytes::from([vec![first], body].concat());
            prop_assert_eq!(unpack(&pack(&document), size(&document)).unwrap(), document);
        }

        #[test]
        fn what_is_no_packed_body_never_panics(stored in proptest::collection::vec(any::<u8>(), 0..600), size in any::<i16>()) {
            let _ = unpack(&[vec![PACKED], stored].concat(), size.into());
        }
    }
}
