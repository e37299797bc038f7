//! How bodies of deliveries are kept: JSON packs to a fifth of its size in less time than writing the rest would take.

use std::cell::RefCell;

use bytes::Bytes;
use lz4_flex::block::{CompressTable, compress_into, compress_into_with_table, get_maximum_output_size};

use crate::store::StoreError;

/// The first byte of a packed body. No JSON document begins with it, so what was stored as it came is told apart.
const PACKED: u8 = 1;
/// Bodies shorter than this are kept as they came.
const WORTH: usize = 256;
/// Bodies shorter than this are packed in the memory of the last one. (Longer ones need a larger table, which would stay.)
const USUAL: usize = u16::MAX as usize;

thread_local! {
    /// Where a thread packs. New memory for each body, cleared, takes a quarter as long as packing it.
    static BENCH: RefCell<Bench> = RefCell::default();
}

#[derive(Default)]
struct Bench {
    room: Vec<u8>,
    table: CompressTable,
}

/// A document as it is stored.
pub(super) fn pack(document: &Bytes) -> Vec<u8> {
    let ambiguous = document.first() == Some(&PACKED);
    if document.len() < WORTH && !ambiguous {
        return document.to_vec();
    }
    let room = get_maximum_output_size(document.len());
    let packed = if document.len() < USUAL {
        BENCH.with_borrow_mut(|Bench { room: output, table }| {
            if output.len() < room {
                output.resize(room, 0);
            }
            let length = compress_into_with_table(document, output, table).ok()?;
            output.get(..length).map(marked)
        })
    } else {
        let mut output = vec![0; room];
        compress_into(document, &mut output).ok().and_then(|length| output.get(..length).map(marked))
    };
    packed.filter(|packed| ambiguous || packed.len() < document.len()).unwrap_or_else(|| document.to_vec())
}

/// A packed body with the byte by which it is told apart.
fn marked(packed: &[u8]) -> Vec<u8> {
    let mut marked = Vec::with_capacity(packed.len() + 1);
    marked.push(PACKED);
    marked.extend_from_slice(packed);
    marked
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

    #[test]
    fn what_was_packed_before_leaves_no_trace() {
        for number in [7_u32, 1, 9_000, 70_000, 3, 40_000] {
            let document =
                Bytes::from(format!(r#"{{"number":{number},"text":"{}"}}"#, "0123456789x".repeat(number as usize)));
            let packed = pack(&document);
            assert_eq!(unpack(&packed, size(&document)).unwrap(), document, "{number}");
            let alone = std::thread::spawn(move || pack(&document)).join().unwrap();
            assert!(packed == alone, "{number}");
        }
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
