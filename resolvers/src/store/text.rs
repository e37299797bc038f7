//! Texts as both databases take them.

use mullion_schema::ports::Filter;

use crate::provider::{ListRef, NodeRef};

/// Longer keys do not fit PostgreSQL's index pages.
const MAX_KEY: usize = 512;
/// Bytes of a hash in hexadecimal digits, and what sets it off.
const HASH: usize = 65;

/// A text without U+0000, which PostgreSQL refuses.
pub(super) fn clean(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}

/// A text that is part of an index: clean, and cut where it gets too long for one.
pub(super) fn index_text(text: &str) -> String {
    let mut end = text.len().min(MAX_KEY);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    clean(text.get(..end).unwrap_or_default())
}

/// A text by which a row is recognised: clean, and where it gets too long for an index, its beginning and a hash of all of it. Two
/// texts that only begin alike stay two.
pub(super) fn key_text(text: &str) -> String {
    if text.len() <= MAX_KEY {
        return clean(text);
    }
    let mut end = MAX_KEY - HASH;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let hash = blake3::hash(text.as_bytes()).to_hex();
    clean(&format!("{}#{hash}", text.get(..end).unwrap_or_default()))
}

/// Whether a native id can be stored as it is. None of the providers' comes near these limits.
pub(super) fn is_storable(node: &NodeRef) -> bool {
    let id = &node.native_id;
    !id.is_empty() && id.len() <= MAX_KEY && !id.contains(['\0', '\n'])
}

/// A list, as it stands in rows: `GithubRepository:R_x/issues`.
pub(super) fn list_text(list: &ListRef) -> String {
    match &list.parent {
        Some(parent) => format!("{parent}/{}", list.name),
        None => list.name.to_owned(),
    }
}

/// A list's parent and name, from its text.
pub(super) fn split_list(text: &str) -> (Option<(&str, &str)>, &str) {
    match text.rsplit_once('/') {
        Some((parent, name)) => (parent.split_once(':'), name),
        None => (None, text),
    }
}

/// A filter, as it stands in rows: canonical JSON, or its hash where that is long; empty for none.
pub(super) fn filter_text(filter: &Filter) -> Result<String, serde_json::Error> {
    if filter.is_empty() {
        return Ok(String::new());
    }
    let text = serde_json::to_string(filter)?;
    Ok(if text.len() > MAX_KEY { blake3::hash(text.as_bytes()).to_hex().to_string() } else { text })
}

#[cfg(test)]
mod tests {
    use super::{MAX_KEY, key_text};

    #[test]
    fn long_keys_that_begin_alike_are_different_and_none_is_longer_than_an_index_takes() {
        let long = |end: &str| format!("{}{end}", "ä".repeat(1_200));
        let (one, other) = (key_text(&long("1")), key_text(&long("2")));
        assert_ne!(one, other);
        assert_eq!(one, key_text(&long("1")));
        for key in [&one, &other] {
            assert!(key.len() <= MAX_KEY && key.starts_with("ää"), "{key}");
        }
        // As they were written before.
        assert_eq!(key_text(&"x".repeat(MAX_KEY)), "x".repeat(MAX_KEY));
        assert_eq!(key_text("a\0b"), "a\u{fffd}b");
    }
}
