//! Names that are like a misspelled one, for the few errors that are told.
//!
//! The library would suggest them too, but for each of ten thousand errors before all but a few are dropped.

use async_graphql::{ServerError, registry::Registry};

/// More than any name of the graph has.
const LONGEST_NAME: usize = 64;
/// How many names are suggested.
const MOST: usize = 3;

/// Adds suggestions to the errors about unknown fields and arguments.
pub(super) fn add(registry: &Registry, errors: &mut [ServerError]) {
    for error in errors {
        let parts: Vec<&str> = error.message.split('"').collect();
        let similar = match parts.as_slice() {
            ["Unknown field ", name, " on type ", ty, "."] => {
                let fields = registry.types.get(*ty).and_then(|ty| ty.fields());
                similar(name, fields.into_iter().flat_map(|fields| fields.keys()))
            }
            ["Unknown argument ", name, " on field ", field, " of type ", ty, "."] => {
                let field = registry.types.get(*ty).and_then(|ty| ty.field_by_name(field));
                similar(name, field.into_iter().flat_map(|field| field.args.keys()))
            }
            _ => continue,
        };
        if !similar.is_empty() {
            let names: Vec<String> = similar.iter().map(|name| format!("\"{name}\"")).collect();
            error.message = format!("{} Did you mean {}?", error.message, names.join(", "));
        }
    }
}

/// The names that differ from this one in a third of its letters at most, the most similar first.
fn similar<'a>(name: &str, names: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    if name.len() > LONGEST_NAME {
        return Vec::new();
    }
    let mut near: Vec<(usize, &str)> = names
        .filter(|known| !known.starts_with("__"))
        .map(|known| (distance(name.as_bytes(), known.as_bytes()), known.as_str()))
        .filter(|(distance, _)| *distance <= (name.len() / 3).max(1))
        .collect();
    near.sort_unstable();
    near.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// How many letters have to be inserted, deleted or replaced to make one name the other, case apart.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.iter().enumerate() {
        let mut before = index;
        let mut left = index + 1;
        for (known, cell) in other.iter().zip(row.iter_mut().skip(1)) {
            let replaced = before + usize::from(!letter.eq_ignore_ascii_case(known));
            before = *cell;
            left = replaced.min(before + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{distance, similar};

    #[test]
    fn a_distance_counts_insertions_deletions_and_replacements() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("abc", "ABC", 0),
            ("abc", "ac", 1),
            ("abc", "abcd", 1),
            ("abc", "axc", 1),
            ("abcd", "badc", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one.as_bytes(), other.as_bytes()), expected, "{one} {other}");
            assert_eq!(distance(other.as_bytes(), one.as_bytes()), expected, "{other} {one}");
        }
    }

    #[test]
    fn similar_names_come_in_order_and_are_few() {
        let names = ["title", "titles", "tile", "tilt", "state", "__type"].map(str::to_owned);
        for (name, expected) in [
            ("titel", vec![]),
            ("title", vec!["title", "tile", "titles"]),
            ("statf", vec!["state"]),
            ("_type", vec![]),
            ("nothing", vec![]),
        ] {
            assert_eq!(similar(name, names.iter()), expected, "{name}");
        }
        assert_eq!(similar(&"title".repeat(20), names.iter()), Vec::<&str>::new());
    }
}
