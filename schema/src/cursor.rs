//! Cursors of connections: opaque to clients, a [`Position`] to us; and the arguments `first` and `after`, checked.

use std::fmt::{self, Write as _};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    error::PortError,
    limits::{DEFAULT_FIRST, MAX_FIRST},
    ports::{PageRequest, Position},
};

/// Cursors are capped for the same reason as ids.
const MAX_CURSOR_LENGTH: usize = 2048;

/// Which list a cursor belongs to: behind the item of one list there is nothing to go on with in another, or in another order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin(u32);

impl Origin {
    /// The list that `field` (`Query.workItems`) gives, and what else decides about its items and their order.
    pub fn new(field: &str, about: &impl fmt::Debug) -> Self {
        let mut hash = Fnv::default();
        // Writing to it cannot fail.
        let _ = write!(hash, "{field}\n{about:?}");
        Self(hash.0)
    }

    /// A position as a cursor.
    pub fn encode(self, position: &Position) -> String {
        URL_SAFE_NO_PAD.encode(format!("{:08x}{}\n{}", self.0, position.sort, position.native_id))
    }

    /// A cursor of this list as a position.
    pub fn decode(self, cursor: &str) -> Option<Position> {
        decode(cursor).filter(|(origin, _)| *origin == self).map(|(_, position)| position)
    }

    /// Checks `first` and `after`.
    pub fn page_request(self, first: Option<i32>, after: Option<&str>) -> Result<PageRequest, PortError> {
        let first = checked_first(first)?;
        let wrong = || PortError::bad_input("after: not a cursor of this connection in this order");
        let after = after.map(|cursor| self.decode(cursor).ok_or_else(wrong)).transpose()?;
        Ok(PageRequest { first, after, ..PageRequest::default() })
    }
}

/// The page that a field will ask for, seen from above, where the list is not known yet.
pub fn page_ahead(first: Option<i32>, after: Option<&str>) -> Option<PageRequest> {
    let after = after.map(|cursor| decode(cursor).map(|(_, position)| position).ok_or(())).transpose().ok()?;
    Some(PageRequest { first: checked_first(first).ok()?, after, ..PageRequest::default() })
}

/// Any cursor. Native ids hold no line break, sort keys may.
fn decode(cursor: &str) -> Option<(Origin, Position)> {
    if cursor.len() > MAX_CURSOR_LENGTH {
        return None;
    }
    let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (origin, position) = plain.split_at_checked(8).filter(|_| !plain.contains('\0'))?;
    let (sort, native_id) = position.rsplit_once('\n')?;
    let origin = Origin(u32::from_str_radix(origin, 16).ok()?);
    Some((origin, Position { sort: sort.to_owned(), native_id: native_id.to_owned() }))
}

fn checked_first(first: Option<i32>) -> Result<usize, PortError> {
    match first {
        None => Ok(DEFAULT_FIRST),
        Some(first) if (1..=MAX_FIRST).contains(&first) => Ok(usize::try_from(first).unwrap_or(DEFAULT_FIRST)),
        Some(first) => Err(PortError::bad_input(format!("first: must be from 1 to {MAX_FIRST}, not {first}"))),
    }
}

/// FNV-1a: the same in every process, and no secret. A cursor that is forged names a place in a list of the caller's own.
struct Fnv(u32);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = text.bytes().fold(self.0, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, page_ahead};
    use crate::ports::Position;

    #[test]
    fn a_cursor_reads_back_as_its_position_in_its_own_list_only() {
        let origin = Origin::new("Query.workItems", &"UPDATED_AT");
        for (sort, native_id) in [("2026-11-22", "I_1"), ("", "1"), ("two\nlines", "x")] {
            let position = Position { sort: sort.into(), native_id: native_id.into() };
            let cursor = origin.encode(&position);
            assert_eq!(origin.decode(&cursor), Some(position));
            for other in [Origin::new("Query.workItems", &"CREATED_AT"), Origin::new("Query.activity", &"UPDATED_AT")] {
                assert_eq!(other.decode(&cursor), None);
                assert!(other.page_request(None, Some(&cursor)).is_err());
            }
        }
    }

    #[test]
    fn first_and_after_are_checked() {
        let origin = Origin::new("Query.x", &());
        let cursor = origin.encode(&Position { sort: "a".into(), native_id: "b".into() });
        for (first, after, ok) in [
            (None, None, true),
            (Some(1), None, true),
            (Some(100), None, true),
            (Some(0), None, false),
            (Some(-1), None, false),
            (Some(101), None, false),
            (None, Some("!"), false),
            (None, Some(""), false),
            (None, Some("YQpi"), false),
            (None, Some(cursor.as_str()), true),
        ] {
            assert_eq!(origin.page_request(first, after).is_ok(), ok, "{first:?} {after:?}");
            assert_eq!(page_ahead(first, after).is_some(), ok, "{first:?} {after:?}");
        }
    }
}
