//! Cursors of connections: opaque to clients, a [`Position`] to us; and the arguments `first` and `after`, checked.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    error::PortError,
    fields::FieldSet,
    ports::{PageRequest, Position},
};

/// Where `first` is left out.
pub const DEFAULT_FIRST: usize = 20;
/// What `first` may be at most.
pub const MAX_FIRST: i32 = 100;
/// Cursors are capped for the same reason as ids.
const MAX_CURSOR_LENGTH: usize = 2048;

/// A position as a cursor.
pub fn encode(position: &Position) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}\n{}", position.sort, position.native_id))
}

/// A cursor as a position. Native ids hold no line break, sort keys may.
pub fn decode(cursor: &str) -> Option<Position> {
    if cursor.len() > MAX_CURSOR_LENGTH {
        return None;
    }
    let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (sort, native_id) = plain.rsplit_once('\n').filter(|_| !plain.contains('\0'))?;
    Some(Position { sort: sort.to_owned(), native_id: native_id.to_owned() })
}

/// Checks `first` and `after`.
pub fn page_request(first: Option<i32>, after: Option<&str>) -> Result<PageRequest, PortError> {
    let first = match first {
        None => DEFAULT_FIRST,
        Some(first) if (1..=MAX_FIRST).contains(&first) => usize::try_from(first).unwrap_or(DEFAULT_FIRST),
        Some(first) => return Err(PortError::bad_input(format!("first: must be from 1 to {MAX_FIRST}, not {first}"))),
    };
    let after = match after {
        None => None,
        Some(cursor) => {
            Some(decode(cursor).ok_or_else(|| PortError::bad_input("after: not a cursor of this connection"))?)
        }
    };
    Ok(PageRequest { first, after, fields: FieldSet::default() })
}

#[cfg(test)]
mod tests {
    use super::{decode, encode, page_request};
    use crate::ports::Position;

    #[test]
    fn a_cursor_reads_back_as_its_position() {
        for (sort, native_id) in [("2026-11-22", "I_1"), ("", "1"), ("two\nlines", "x")] {
            let position = Position { sort: sort.into(), native_id: native_id.into() };
            assert_eq!(decode(&encode(&position)), Some(position));
        }
    }

    #[test]
    fn first_and_after_are_checked() {
        for (first, after, ok) in [
            (None, None, true),
            (Some(1), None, true),
            (Some(100), None, true),
            (Some(0), None, false),
            (Some(-1), None, false),
            (Some(101), None, false),
            (None, Some("!"), false),
            (None, Some(""), false),
            (None, Some("YQpi"), true),
        ] {
            assert_eq!(page_request(first, after).is_ok(), ok, "{first:?} {after:?}");
        }
    }
}
