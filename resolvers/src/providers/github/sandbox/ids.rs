//! Global node ids in GitHub's newer format: a type prefix and the base64url of a `MessagePack` array
//! (version, owner's number, own number). Apart, so that nothing else knows how they are packed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The parts of a node id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NodeId {
    /// "I", "PR", "WFR".
    pub(crate) prefix: String,
    /// The numbers after the version: the repository's (or organisation's) and the thing's own, or only its own.
    pub(crate) numbers: Vec<u64>,
    /// A commit's oid, a branch's name.
    pub(crate) text: Option<String>,
}

/// The id of a thing that stands alone: users, organisations, repositories.
pub(crate) fn single(prefix: &str, id: u64) -> String {
    pack(prefix, 0, &[id], None)
}

/// The id of a thing inside a repository or organisation.
pub(crate) fn owned(prefix: &str, parent: u64, id: u64) -> String {
    let version = if prefix == "WFR" { 2 } else { 0 };
    pack(prefix, version, &[parent, id], None)
}

/// The id of a thing that a text names inside a repository: commits and branches.
pub(crate) fn named(prefix: &str, parent: u64, text: &str) -> String {
    pack(prefix, 0, &[parent], Some(text))
}

/// The id of a commit inside a pull request.
pub(crate) fn named_within(prefix: &str, parent: u64, id: u64, text: &str) -> String {
    pack(prefix, 0, &[parent, id], Some(text))
}

fn pack(prefix: &str, version: u8, numbers: &[u64], text: Option<&str>) -> String {
    let length = 1 + numbers.len() + usize::from(text.is_some());
    let mut bytes = vec![0x90 | u8::try_from(length).unwrap_or(0), version];
    for number in numbers {
        if let Ok(small) = u32::try_from(*number) {
            bytes.push(0xce);
            bytes.extend(small.to_be_bytes());
        } else {
            bytes.push(0xcf);
            bytes.extend(number.to_be_bytes());
        }
    }
    if let Some(text) = text {
        bytes.push(0xd9);
        bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        bytes.extend(text.bytes().take(usize::from(u8::MAX)));
    }
    format!("{prefix}_{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Reads a node id; `None` for what cannot be one.
pub(crate) fn parse(id: &str) -> Option<NodeId> {
    let (prefix, packed) = id.split_once('_')?;
    let bytes = URL_SAFE_NO_PAD.decode(packed).ok()?;
    let mut rest = bytes.get(2..)?;
    let mut numbers = Vec::new();
    let mut text = None;
    while let Some((tag, tail)) = rest.split_first() {
        match tag {
            0xce => {
                let (number, tail) = tail.split_first_chunk::<4>()?;
                numbers.push(u64::from(u32::from_be_bytes(*number)));
                rest = tail;
            }
            0xcf => {
                let (number, tail) = tail.split_first_chunk::<8>()?;
                numbers.push(u64::from_be_bytes(*number));
                rest = tail;
            }
            0xd9 => {
                let (length, tail) = tail.split_first()?;
                text = Some(String::from_utf8(tail.get(..usize::from(*length))?.to_vec()).ok()?);
                rest = tail.get(usize::from(*length)..)?;
            }
            _ => return None,
        }
    }
    Some(NodeId { prefix: prefix.to_owned(), numbers, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_githubs_shape_and_can_be_read_back() {
        for (id, start) in [
            (owned("I", 70_000, 80_001), "I_kwDO"),
            (owned("PR", 70_000, 80_002), "PR_kwDO"),
            (single("R", 70_000), "R_kgDO"),
            (single("U", 583_231), "U_kgDO"),
            (owned("WFR", 70_000, 17_000_000_001), "WFR_kwLO"),
            (named("C", 70_000, "aa218f56b14c9653891f9e74264a383fa43fefbd"), "C_kwDO"),
        ] {
            assert!(id.starts_with(start), "{id}");
            let read = parse(&id).unwrap();
            assert_eq!(id.split_once('_').unwrap().0, read.prefix);
        }
        assert_eq!(parse(&owned("I", 70_000, 80_001)).unwrap().numbers, [70_000, 80_001]);
        for bad in ["", "I", "I_", "I_!!", "nonsense", "I_kwDO"] {
            assert!(parse(bad).is_none_or(|id| id.numbers.is_empty()), "{bad}");
        }
    }
}
