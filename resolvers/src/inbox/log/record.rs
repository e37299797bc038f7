//! A delivery in the log: its length, a checksum, then its id, what is known of it as JSON, and its packed body.
//!
//! ```text
//! length: u32 LE | checksum: 8 bytes | id: 26 bytes | head length: u32 LE | head | body
//! ```
//! The length is of all after the checksum, which is the beginning of that part's BLAKE3.

use crate::store::{StoreError, inbox::row::DeliveryRow};

/// Bytes before what the checksum is of.
const PREFIX: usize = 12;
/// Bytes of an id (a ULID).
const ID: usize = 26;
/// No record is longer: a body may have 25 MB.
const LONGEST: usize = 64_000_000;

/// A delivery that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) row: DeliveryRow,
    /// The bytes that it took.
    pub(super) size: usize,
}

/// Why the next bytes of a segment are no delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Only the beginning of one; it is whole with so many bytes.
    Part(usize),
    /// It was not written to the end, or was damaged.
    Broken,
    /// It is whole, but written by another version of this program.
    Foreign,
}

/// Appends a delivery.
pub(super) fn write(buffer: &mut Vec<u8>, id: &str, row: &DeliveryRow) -> Result<(), StoreError> {
    let json = |source| StoreError::Corrupt { what: "delivery", source };
    let begin = buffer.len();
    buffer.extend_from_slice(&[0; PREFIX]);
    buffer.extend_from_slice(id.as_bytes());
    let head = serde_json::to_vec(row).map_err(json)?;
    buffer.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
    buffer.extend_from_slice(&head);
    buffer.extend_from_slice(row.body());
    if let Some((prefix, rest)) = buffer.get_mut(begin..).and_then(|record| record.split_first_chunk_mut::<PREFIX>()) {
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX).to_le_bytes();
        for (to, from) in prefix.iter_mut().zip(length.into_iter().chain(checksum(rest))) {
            *to = from;
        }
    }
    Ok(())
}

/// Reads the next delivery.
pub(super) fn read(bytes: &[u8]) -> Result<Record, Unread> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Err(Unread::Part(PREFIX)) };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if !(ID + 4..=LONGEST).contains(&length) {
        return Err(Unread::Broken);
    }
    let whole = rest.split_first_chunk::<8>().and_then(|(sum, rest)| Some((sum, rest.get(..length)?)));
    let Some((sum, content)) = whole else { return Err(Unread::Part(PREFIX + length)) };
    if *sum != checksum(content) {
        return Err(Unread::Broken);
    }
    let (id, row) = parse(content).ok_or(Unread::Foreign)?;
    Ok(Record { id, row, size: PREFIX + length })
}

/// The size of a damaged delivery, where a whole one stands behind it.
pub(super) fn damaged(bytes: &[u8]) -> Option<usize> {
    let length = usize::try_from(u32::from_le_bytes(*bytes.first_chunk::<4>()?)).ok()?;
    let size = PREFIX.checked_add(length)?;
    read(bytes.get(size..)?).is_ok().then_some(size)
}

fn parse(content: &[u8]) -> Option<(String, DeliveryRow)> {
    let (id, rest) = content.split_at_checked(ID)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (head, body) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let row: DeliveryRow = serde_json::from_slice(head).ok()?;
    Some((String::from_utf8(id.to_vec()).ok()?, row.with_body(body.to_vec())))
}

fn checksum(content: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(blake3::hash(content).as_bytes().first_chunk::<8>().unwrap_or(&[0; 8]));
    sum
}
