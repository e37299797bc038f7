//! Fields that items copy from what they belong to: an issue's key begins with the name of its repository, the state of a task is the
//! name of its section. When that is renamed, the copies are rewritten in the same transaction, and their tags are told; no call is
//! made. An older event that still brings the old name does not bring it back.

use std::collections::BTreeMap;

use mullion_schema::view::Body;

use super::{ApplyContext, Batch, members, nodes::Work};
use crate::{
    provider::{CopiedFields, ListRef, NodeRef},
    store::{
        StoreError,
        merge::NodeState,
        session::{CHUNK, Session},
        text::list_text,
    },
};

/// How many items of a renamed thing are rewritten at most. A store that holds more has read for hours through one list; what lies
/// beyond is corrected when it is read again.
const MOST: u64 = 20_000;

/// Rewrites the copies of what the batch renamed, and gives the items of the batch the names that are current.
pub(super) async fn follow(
    connection: &impl Session,
    context: &ApplyContext<'_>,
    work: &mut Work,
    batch: &Batch,
) -> Result<(), StoreError> {
    let mut rewritten: Vec<(NodeRef, usize)> = Vec::new();
    for copied in context.rules.copied() {
        let mut sources = renamed(work, copied);
        // An address that was rewritten is copied on: into the addresses of an issue's comments.
        sources.extend(rewritten.iter().filter(|(node, _)| node.type_name == copied.source).cloned());
        let listed = items_of(connection, context, copied, sources).await?;
        work.add(connection, context, listed.iter().map(|(item, _)| item.clone()).collect()).await?;
        let writes = batch
            .changes
            .iter()
            .enumerate()
            .flat_map(|(change, brought)| brought.writes.iter().map(move |write| (write.node.clone(), change)));
        for (item, change) in listed.into_iter().chain(writes) {
            if rewrite(work, copied, &item, change) {
                rewritten.push((item, change));
            }
        }
    }
    Ok(())
}

/// The things whose copied fields are others than before, each with the change that made them so.
fn renamed(work: &Work, copied: &CopiedFields) -> Vec<(NodeRef, usize)> {
    let turns = work.turns().filter(|(node, _)| node.type_name == copied.source);
    let renamed = turns.filter(|(node, turn)| {
        let (before, after) = (turn.before.as_ref(), work.state(node));
        let value = |state: Option<&NodeState>, key: &str| state.and_then(|state| state.body.get(key).cloned());
        copied.keys.iter().any(|key| value(before, key).is_some_and(|before| value(after, key) != Some(before)))
    });
    renamed.map(|(node, turn)| (node.clone(), turn.change)).collect()
}

/// Gives an item the names of what it belongs to, where that is known. Whether any was another.
fn rewrite(work: &mut Work, copied: &CopiedFields, item: &NodeRef, change: usize) -> bool {
    let Some(state) = work.state(item) else { return false };
    let Some(source) = source_of(copied, &state.body).and_then(|source| work.state(&source)) else { return false };
    let fields = (copied.copy)(&source.body, item, &state.body);
    work.copy(change, item, fields)
}

fn source_of(copied: &CopiedFields, item: &Body) -> Option<NodeRef> {
    let (type_name, native_id) = item.get(copied.reference)?.as_str()?.split_once(':')?;
    (type_name == copied.source).then(|| NodeRef::new(copied.source, native_id))
}

/// The known items of the renamed things' lists.
async fn items_of(
    connection: &impl Session,
    context: &ApplyContext<'_>,
    copied: &CopiedFields,
    sources: Vec<(NodeRef, usize)>,
) -> Result<Vec<(NodeRef, usize)>, StoreError> {
    let lists: BTreeMap<String, usize> = sources
        .iter()
        .flat_map(|(source, change)| {
            let list = |name: &&'static str| ListRef { parent: Some(source.clone()), name };
            copied.lists.iter().map(move |name| (list_text(&list(name)), *change))
        })
        .collect();
    let names: Vec<&str> = lists.keys().map(String::as_str).collect();
    let mut items = Vec::new();
    for chunk in names.chunks(CHUNK) {
        for row in members::of_lists(connection, context, chunk, MOST).await? {
            let known = context.rules.type_name(&row.type_name).zip(lists.get(&row.list));
            items.extend(known.map(|(type_name, change)| (NodeRef::new(type_name, row.native_id), *change)));
        }
    }
    Ok(items)
}
