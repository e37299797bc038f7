//! Installations of GitHub Apps: which repositories may be seen.

use super::{
    super::{
        names::{REPOSITORY, USER},
        rest,
        values::{list, login, object},
    },
    event::Event,
    repositories::all,
};
use crate::change::{Change, NodeRef};

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
    let at = account.and_then(login).unwrap_or("an account");
    let did = match event.action {
        Some("created") => "installed the app at",
        Some("deleted") => "removed the app from",
        Some("suspend") => "suspended the app at",
        Some("unsuspend") => "resumed the app at",
        _ => "changed the app's permissions at",
    };
    Some(event.told(change, subject, &format!("{} {did} {at}", event.who()), None))
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
    let account = account.and_then(login).unwrap_or("an account");
    let summary = match (added.len(), removed.len()) {
        (0, gone) => format!("{} took {gone} repositories of {account} from the app", event.who()),
        (new, _) => format!("{} gave {new} repositories of {account} to the app", event.who()),
    };
    let mut change = event.told(change, subject, &summary, None);
    let containers = added.iter().chain(removed).filter_map(|repository| rest::node(REPOSITORY, repository));
    let containers: Vec<NodeRef> = containers.collect();
    if let Some(activity) = &mut change.activity {
        activity.containers = containers;
    }
    Some(change)
}
