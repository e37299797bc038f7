//! Escapes of characters in strings: `\u00E9`, `\uD83C\uDF89` (two halves, as JSON writes what lies beyond U+FFFF) and
//! `\u{1F389}`: <https://spec.graphql.org/September2025/#sec-String-Value>. The parser knows the first form only.

use std::{borrow::Cow, ops::Range};

/// An escape at the beginning of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Escape {
    /// Bytes of the text.
    pub(super) length: usize,
    /// The character that it stands for.
    pub(super) character: char,
    /// Whether it has the form that the parser knows.
    pub(super) is_plain: bool,
}

/// Reads an escape. `None`: it is not one, or half of a pair, or beyond the last character.
pub(super) fn read(text: &str) -> Option<Escape> {
    if let Some(rest) = text.strip_prefix("\\u{") {
        let digits = rest.split_once('}')?.0;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        // Any number of zeros may stand in front.
        let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
        return Some(Escape { length: "\\u{}".len() + digits.len(), character, is_plain: false });
    }
    let first = unit(text)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some(Escape { length: UNIT, character, is_plain: true });
    }
    let second = unit(text.get(UNIT..)?)?;
    let character = char::decode_utf16([first, second]).next()?.ok()?;
    Some(Escape { length: 2 * UNIT, character, is_plain: false })
}

/// Bytes of `\u00E9`.
const UNIT: usize = 6;

fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

/// A document whose escapes are replaced where the parser does not know them. Spaces behind a string make
/// up for what it lost in length, so that all that follows keeps its line and its column.
pub(super) struct Rewritten<'a> {
    text: &'a str,
    /// Up to where the text is in `made`.
    copied: usize,
    made: String,
    spaces: usize,
}

impl<'a> Rewritten<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, copied: 0, made: String::new(), spaces: 0 }
    }

    /// Puts a character in the place of an escape.
    pub(super) fn replace(&mut self, escape: Range<usize>, character: char) {
        self.copy_to(escape.start);
        self.copied = escape.end;
        // These do not stand in a string as they are.
        let short = match character {
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '\n' => Some("\\n"),
            '\r' => Some("\\r"),
            _ => None,
        };
        match short {
            Some(short) => self.made.push_str(short),
            None => self.made.push(character),
        }
        self.spaces += escape.len() - short.map_or(1, str::len);
    }

    /// A string ends before this place.
    pub(super) fn end_of_string(&mut self, at: usize) {
        if self.spaces > 0 {
            self.copy_to(at);
            self.made.extend(std::iter::repeat_n(' ', std::mem::take(&mut self.spaces)));
        }
    }

    fn copy_to(&mut self, end: usize) {
        self.made.push_str(self.text.get(self.copied..end).unwrap_or_default());
        self.copied = end;
    }

    /// The text; the same where nothing was replaced.
    pub(super) fn finish(mut self) -> Cow<'a, str> {
        if self.copied == 0 {
            return Cow::Borrowed(self.text);
        }
        self.copy_to(self.text.len());
        Cow::Owned(self.made)
    }
}
