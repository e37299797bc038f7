//! The index from tags to what watches them: a change costs in proportion to the operations that it touches.

use std::collections::{HashMap, HashSet};

use mullion_schema::id::{IntegrationId, TenantId};

use crate::tag::Tag;

/// A slot of an operation: its number in the hub, and the slot's number in it.
pub(super) type Watcher = (u64, u32);

/// The watchers of each tag.
#[derive(Debug, Default)]
pub(super) struct TagIndex {
    watchers: HashMap<Tag, HashSet<Watcher>>,
    /// How many tags of each integration are watched, by tenant and integration.
    integrations: HashMap<(TenantId, IntegrationId), usize>,
}

impl TagIndex {
    /// Replaces the tags of a watcher.
    pub(super) fn replace(&mut self, watcher: Watcher, before: &HashSet<Tag>, after: &HashSet<Tag>) {
        for tag in before.difference(after) {
            if let Some(watchers) = self.watchers.get_mut(tag) {
                watchers.remove(&watcher);
                if watchers.is_empty() {
                    self.watchers.remove(tag);
                    self.count_out(tag);
                }
            }
        }
        for tag in after.difference(before) {
            let watchers = self.watchers.entry(tag.clone()).or_default();
            if watchers.is_empty()
                && let Some(whose) = whose(tag)
            {
                *self.integrations.entry(whose).or_default() += 1;
            }
            watchers.insert(watcher);
        }
    }

    fn count_out(&mut self, tag: &Tag) {
        let Some(whose) = whose(tag) else { return };
        if let Some(count) = self.integrations.get_mut(&whose) {
            *count -= 1;
            if *count == 0 {
                self.integrations.remove(&whose);
            }
        }
    }

    /// The integrations of which something is watched, and how many tags of each.
    pub(super) fn integrations(&self) -> impl Iterator<Item = (&(TenantId, IntegrationId), usize)> {
        self.integrations.iter().map(|(whose, count)| (whose, *count))
    }

    /// The tags of an integration that are watched. All tags are looked at: not for what happens often.
    pub(super) fn of_integration(&self, tenant: &TenantId, id: &IntegrationId) -> Vec<Tag> {
        let begin = format!("{tenant}/{id}/");
        self.watchers.keys().filter(|tag| tag.as_str().starts_with(&begin)).cloned().collect()
    }

    /// Everyone who watches one of these tags, each once.
    pub(super) fn watching<'a>(&self, tags: impl IntoIterator<Item = &'a Tag>) -> HashSet<Watcher> {
        tags.into_iter().filter_map(|tag| self.watchers.get(tag)).flatten().copied().collect()
    }
}

fn whose(tag: &Tag) -> Option<(TenantId, IntegrationId)> {
    let (tenant, _) = tag.as_str().split_once('/')?;
    Some((tenant.into(), tag.integration()?.into()))
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
