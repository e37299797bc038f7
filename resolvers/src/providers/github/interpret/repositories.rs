//! Repositories: pushes, branches, releases, stars, forks, teams.

use serde_json::Value;

use super::{
    super::{
        names::{REPOSITORIES, TEAM},
        rest,
        values::{list, text, time},
    },
    event::{Event, shortened, write},
};
use crate::change::{Change, ListRef, NodeWrite};

/// The account's list of repositories.
pub(super) fn all() -> ListRef {
    ListRef { parent: None, name: REPOSITORIES }
}

pub(super) fn push(event: &Event<'_>) -> Option<Change> {
    let repository = event.repository_node()?;
    let name = text(event.payload, "ref").unwrap_or("unknown");
    let branch = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name);
    let flag = |key: &str| event.payload.get(key) == Some(&Value::Bool(true));
    let commits = list(event.payload, "commits").len();
    let did = match (flag("deleted"), flag("forced"), commits) {
        (true, ..) => "deleted".to_owned(),
        (_, true, _) => "force-pushed to".to_owned(),
        (.., 0) => "pushed".to_owned(),
        (.., 1) => "pushed 1 commit to".to_owned(),
        (.., many) => format!("pushed {many} commits to"),
    };
    let summary = format!("{} {did} {branch} in {}", event.who(), event.repository_name());
    let at = event.repository().and_then(|repository| time(repository, "pushed_at"));
    Some(event.told(event.change(), Some(repository), &summary, at))
}

/// Branches and tags that come or go.
pub(super) fn git_ref(event: &Event<'_>) -> Option<Change> {
    let repository = event.repository_node()?;
    let kind = text(event.payload, "ref_type").unwrap_or("branch");
    let name = shortened(text(event.payload, "ref").unwrap_or("unknown"));
    let summary = format!("{} {}d the {kind} {name} in {}", event.who(), event.name, event.repository_name());
    Some(event.told(event.change(), Some(repository), &summary, None))
}

pub(super) fn release(event: &Event<'_>) -> Option<Change> {
    let release = event.part("release")?;
    let brought = rest::release(release, event.repository())?;
    let mut change = event.change();
    let deleted = event.is(&["deleted"]);
    let subject = if deleted {
        write(&mut change, NodeWrite::tombstone(brought.node, rest::gone(release, event.received_at)))
    } else {
        write(&mut change, brought)
    };
    // Which release is the latest is GitHub's decision. Drafts never are.
    if release.get("draft") != Some(&Value::Bool(true)) || deleted {
        change.stale.extend(event.repository_node());
    }
    let name = text(release, "name").or_else(|| text(release, "tag_name")).unwrap_or("unnamed");
    let summary =
        format!("{} {} the release {} of {}", event.who(), event.verb(), shortened(name), event.repository_name());
    let at = time(release, "updated_at").or_else(|| time(release, "published_at")).filter(|_| !deleted);
    Some(event.told(change, Some(subject), &summary, at))
}

pub(super) fn repository(event: &Event<'_>) -> Option<Change> {
    let value = event.repository()?;
    let node = event.repository_node()?;
    let mut change = Change { writes: rest::people(event.payload), ..Change::default() };
    if event.is(&["deleted"]) {
        change.writes.push(NodeWrite::tombstone(node.clone(), rest::gone(value, event.received_at)));
    } else {
        change.writes.extend(rest::counted_repository(value, event.received_at));
    }
    if !event.is(&["edited"]) {
        change.stale_lists.push(all());
    }
    let verb = if event.name == "public" { "publicized".to_owned() } else { event.verb() };
    let summary = format!("{} {verb} {}", event.who(), event.repository_name());
    let at = time(value, "updated_at").filter(|_| !event.is(&["deleted"]));
    Some(event.told(change, Some(node), &summary, at))
}

/// Stars and forks change the counts, which come along.
pub(super) fn counted(event: &Event<'_>) -> Option<Change> {
    let value = event.repository()?;
    let node = event.repository_node()?;
    let at = time(event.payload, "starred_at");
    let mut change = Change { writes: rest::people(event.payload), ..Change::default() };
    change.writes.extend(rest::counted_repository(value, at.unwrap_or(event.received_at)));
    let did = match (event.name, event.action) {
        ("fork", _) => "forked",
        ("star", Some("deleted")) => "took a star from",
        _ => "starred",
    };
    let summary = format!("{} {did} {}", event.who(), event.repository_name());
    Some(event.told(change, Some(node), &summary, at))
}

/// Teams come without a time of change: what is known of them is read again.
pub(super) fn team(event: &Event<'_>) -> Option<Change> {
    let value = event.part("team")?;
    let node = rest::node(TEAM, value)?;
    let mut change = event.change();
    if event.is(&["deleted"]) {
        change.writes.push(NodeWrite::tombstone(node.clone(), rest::gone(value, event.received_at)));
    } else {
        change.writes.extend(rest::team(value));
        change.stale.push(node.clone());
    }
    let name = shortened(text(value, "name").unwrap_or("unnamed"));
    let did = match event.action {
        Some("added_to_repository") | None => format!("gave {} to the team {name}", event.repository_name()),
        Some("removed_from_repository") => format!("took {} from the team {name}", event.repository_name()),
        Some(_) => format!("{} the team {name}", event.verb()),
    };
    let summary = format!("{} {did}", event.who());
    Some(event.told(change, Some(node), &summary, None))
}
