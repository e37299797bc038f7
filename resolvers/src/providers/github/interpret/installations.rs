//! Installations of GitHub Apps: which repositories may be seen.

use super::{
    super::{
        names::{REPOSITORY, USER},
        rest,
        values::{list, object},
    },
    event::{Event, person},
    repositories::all,
};
use crate::provider::{NodeRef, change::Change};

pub(super) fn installation(event: &Event<'_>) -> Option<Change> {
    let installation = event.part("installation")?;
    let mut change = event.change();
    change.stale_lists.push(all());
    let named = list(event.payload, "repositories");
    if event.is(&["deleted", "suspend"]) {
        // They are still there, but no longer for this token: the next read says so.
        change.stale.extend(named.iter().filter_map(|repository| rest::node(REPOSITORY, repository)));
    } else {
        change.writes.extend(named.iter().filter_map(rest::repository));
    }
    let account = object(installation, "account");
    let subject = account.and_then(|account| rest::node(USER, account));
    let parts = account.and_then(person).map(|account| ("account", account));
    Some(event.told(change, subject, None, parts))
}

pub(super) fn repositories(event: &Event<'_>) -> Option<Change> {
    let installation = event.part("installation")?;
    let mut change = event.change();
    change.stale_lists.push(all());
    let (added, removed) = (list(event.payload, "repositories_added"), list(event.payload, "repositories_removed"));
    change.writes.extend(added.iter().filter_map(rest::repository));
    change.stale.extend(removed.iter().filter_map(|repository| rest::node(REPOSITORY, repository)));
    let account = object(installation, "account");
    let subject = account.and_then(|account| rest::node(USER, account));
    let account = account.and_then(person).map(|account| ("account", account));
    let counts = [("added", added.len().to_string().into()), ("removed", removed.len().to_string().into())];
    let mut change = event.told(change, subject, None, counts.into_iter().chain(account));
    let containers = added.iter().chain(removed).filter_map(|repository| rest::node(REPOSITORY, repository));
    let containers: Vec<NodeRef> = containers.collect();
    if let Some(activity) = &mut change.activity {
        activity.containers = containers;
    }
    Some(change)
}
