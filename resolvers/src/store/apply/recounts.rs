//! Containers whose numbers an item is counted in otherwise than before, outdated: a completed task is one open task less for its
//! project, and the event names only the task.

use std::collections::BTreeSet;

use super::{ApplyContext, Batch, members, nodes::Work};
use crate::{
    provider::{ListRef, NodeRef, change::Recount},
    store::{StoreError, merge::NodeState, session::Session, text::list_text},
};

/// How many containers are outdated at most for an item that is not known. Those beyond are right again when they are next read.
const MOST: u64 = 1_000;

/// Outdates the containers of the items that are to be counted again.
pub(super) async fn outdate(
    connection: &impl Session,
    context: &ApplyContext<'_>,
    work: &mut Work,
    batch: &Batch,
) -> Result<(), StoreError> {
    let recounts = batch.changes.iter().enumerate();
    let recounts: Vec<(usize, &Recount)> =
        recounts.flat_map(|(index, change)| change.recounts.iter().map(move |recount| (index, recount))).collect();
    for (index, Recount { item, key, among }) in recounts {
        let containers = match containers_of(context, work.state(item), key) {
            Some(containers) => containers,
            None => listed(connection, context, among).await?,
        };
        work.add(connection, context, containers.iter().cloned().collect()).await?;
        for container in containers {
            work.mark_stale(index, &container, context);
        }
    }
    Ok(())
}

/// The containers of an item, where they are known.
fn containers_of(context: &ApplyContext<'_>, item: Option<&NodeState>, key: &str) -> Option<BTreeSet<NodeRef>> {
    let containers = item?.body.get(key)?.as_array()?.iter();
    let named = containers.filter_map(|container| container.as_str()?.split_once(':'));
    Some(named.filter_map(|(name, id)| Some(NodeRef::new(context.rules.type_name(name)?, id))).collect())
}

async fn listed(
    connection: &impl Session,
    context: &ApplyContext<'_>,
    list: &ListRef,
) -> Result<BTreeSet<NodeRef>, StoreError> {
    let rows = members::of_lists(connection, context, &[&list_text(list)], MOST).await?.into_iter();
    Ok(rows.filter_map(|row| Some(NodeRef::new(context.rules.type_name(&row.type_name)?, row.native_id))).collect())
}
