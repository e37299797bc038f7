//! The index from tags to what watches them: a change costs in proportion to the operations that it touches.

use std::collections::{HashMap, HashSet};

use crate::tag::Tag;

/// A slot of an operation: its number in the hub, and the slot's number in it.
pub(super) type Watcher = (u64, u32);

/// Who watches which tags.
#[derive(Debug, Default)]
pub(super) struct TagIndex {
    watchers: HashMap<Tag, HashSet<Watcher>>,
}

impl TagIndex {
    /// Replaces the tags of a watcher.
    pub(super) fn replace(&mut self, watcher: Watcher, before: &HashSet<Tag>, after: &HashSet<Tag>) {
        for tag in before.difference(after) {
            if let Some(watchers) = self.watchers.get_mut(tag) {
                watchers.remove(&watcher);
                if watchers.is_empty() {
                    self.watchers.remove(tag);
                }
            }
        }
        for tag in after.difference(before) {
            self.watchers.entry(tag.clone()).or_default().insert(watcher);
        }
    }

    /// Everyone who watches one of these tags, each once.
    pub(super) fn watching<'a>(&self, tags: impl IntoIterator<Item = &'a Tag>) -> HashSet<Watcher> {
        tags.into_iter().filter_map(|tag| self.watchers.get(tag)).flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::TagIndex;
    use crate::tag::Tag;

    fn tag(number: u8) -> Tag {
        Tag::own(&"t".into(), "Widget", &number.to_string())
    }

    proptest! {
        #[test]
        fn the_index_equals_a_brute_force_search(
            steps in prop::collection::vec((0u64..6, prop::collection::hash_set(0u8..12, 0..5)), 1..60),
            asked in prop::collection::hash_set(0u8..12, 0..4),
        ) {
            let mut index = TagIndex::default();
            let mut held: std::collections::HashMap<u64, HashSet<Tag>> = std::collections::HashMap::new();
            for (watcher, tags) in steps {
                let tags: HashSet<Tag> = tags.into_iter().map(tag).collect();
                let before = held.insert(watcher, tags.clone()).unwrap_or_default();
                index.replace((watcher, 0), &before, &tags);
            }
            let asked: Vec<Tag> = asked.into_iter().map(tag).collect();
            let expected: HashSet<_> = held
                .iter()
                .filter(|(_, tags)| asked.iter().any(|tag| tags.contains(tag)))
                .map(|(watcher, _)| (*watcher, 0))
                .collect();
            prop_assert_eq!(index.watching(&asked), expected);
        }
    }
}
