//! Settles what a sentence says of the moment at which something happened where the event does not tell it: whether a task was completed
//! or reopened. A reading of the thing after the event and before the next event of this kind tells. It is kept with the activity,
//! and never changes.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    provider::{
        Provider,
        sentence::{Detail, Names, SentenceParts, Unsettled},
    },
    store::{activity::Activity, node::StoredNode},
};

/// The times that a provider gives to a change and to the event of it differ by that much at most.
const APART: TimeDelta = TimeDelta::seconds(2);

/// The field that tells when the provider changed a thing last.
pub(crate) const UPDATED_AT: &str = "updatedAt";

/// The part that is missing in an activity's sentence, and the reference of the node that tells it.
pub(crate) fn unsettled<'a>(provider: &dyn Provider, activity: &'a Activity) -> Option<(Unsettled, &'a str)> {
    let details = activity.details.as_ref()?;
    let names = Names::default();
    let parts =
        SentenceParts { gone: false, kind: &activity.kind, details, occurred_at: activity.occurred_at, names: &names };
    let open = provider.unsettled(&parts)?;
    let Detail::Node { node, .. } = details.get(open.of)? else { return None };
    Some((open, node.as_str()))
}

/// Whether two activities changed the same field of the same thing.
pub(crate) fn is_such(open: &Unsettled, activity: &Activity, other: &Activity) -> bool {
    let has = |part: &str| other.details.as_ref().is_some_and(|details| details.contains_key(part));
    activity.integration == other.integration
        && activity.subject == other.subject
        && activity.kind == other.kind
        && open.changed_by.is_some_and(has)
}

/// Whether something of this node was read since the activity, so that it may be settled.
pub(crate) fn was_read(open: &Unsettled, activity: &Activity, node: &StoredNode) -> bool {
    node.was_read_since(open.field, activity.received_at)
}

/// Adds the missing part, if what is known of the node tells it. `next` is the next activity that changed the same field. Once that has
/// happened and the node was read again, nothing tells any more, and the part is left empty for good.
pub(crate) fn settle(provider: &dyn Provider, activity: &mut Activity, node: &StoredNode, next: Option<&Activity>) {
    let Some((open, reference)) = unsettled(provider, activity) else { return };
    let reference = reference.to_owned();
    if !was_read(&open, activity, node) {
        return;
    }
    let is_later = next.is_some_and(|next| node.was_read_since(open.field, next.received_at));
    let changed_at = node.body.get(UPDATED_AT).and_then(|at| at.as_str()?.parse::<DateTime<Utc>>().ok());
    let changed_at = changed_at.filter(|_| node.was_read_since(UPDATED_AT, activity.received_at));
    // The provider may answer with what it knew before.
    let is_earlier = changed_at.is_some_and(|at| at < activity.occurred_at - APART);
    // The next event may take a while to come.
    let reaches = next.zip(changed_at).is_some_and(|(next, at)| at >= next.occurred_at - APART);
    let details = activity.details.get_or_insert_default();
    if is_later || reaches {
        details.insert(open.part.to_owned(), "".into());
    } else if !is_earlier || open.changed_by.is_none() {
        let names: Names = [(reference, Arc::clone(&node.body))].into_iter().collect();
        let (kind, occurred_at) = (&activity.kind, activity.occurred_at);
        let settled = provider.settled(&SentenceParts { gone: false, kind, details, occurred_at, names: &names });
        details.extend(settled);
    }
}
