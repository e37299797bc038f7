//! Repositories: pushes, branches, releases, stars, forks, teams.

use serde_json::Value;

use super::{
    super::{
        names::{REPOSITORIES, TEAM},
        rest,
        values::{list, text, time},
    },
    event::{Event, id, once, said, write},
    pulls::{merged_key, pushed_key},
};
use crate::provider::{
    ListRef,
    change::{Change, NodeWrite},
    sentence::Detail,
};

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
    let (created, deleted) = (flag("created"), flag("deleted"));
    let how = [("created", created), ("deleted", deleted), ("forced", flag("forced"))];
    let how = how.into_iter().filter(|(_, is)| *is).map(|(how, _)| (how, Detail::from("yes")));
    let tag = if name.starts_with("refs/tags/") { "tag" } else { "branch" };
    let parts = [("ref", branch.into()), ("type", tag.into()), ("commits", commits.to_string().into())];
    let at = event.repository().and_then(|repository| time(repository, "pushed_at"));
    let told = event.told(event.change(), Some(repository), at, parts.into_iter().chain(how));
    let after = text(event.payload, "after");
    let unless = merged_key(event, after).into_iter().collect();
    // The making or deletion of a branch has an event of its own, too.
    let come_or_gone = (created && commits == 0) || deleted;
    let key = if come_or_gone { ref_key(event, tag, branch) } else { None };
    Some(once(told, key.or_else(|| pushed_key(name, text(event.payload, "before"), after)), unless))
}

/// The key that makes the coming or going of a branch the same: the push that did it.
fn ref_key(event: &Event<'_>, tag: &str, name: &str) -> Option<String> {
    let repository = event.repository()?;
    let pushed = repository.get("pushed_at")?;
    let at = pushed.as_i64().or_else(|| Some(time(repository, "pushed_at")?.timestamp()))?;
    Some(format!("{tag}:{}:{name}:{at}", id(repository)?))
}

/// Branches and tags that come or go.
pub(super) fn git_ref(event: &Event<'_>) -> Option<Change> {
    let repository = event.repository_node()?;
    let (kind, name) = (text(event.payload, "ref_type").unwrap_or("branch"), text(event.payload, "ref"));
    let parts = [("type", kind.into())].into_iter().chain(name.map(|name| ("ref", name.into())));
    let told = event.told(event.change(), Some(repository), None, parts);
    Some(once(told, name.and_then(|name| ref_key(event, kind, name)), Vec::new()))
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
    let name = said("name", release, "name").or_else(|| said("name", release, "tag_name"));
    let at = time(release, "updated_at").or_else(|| time(release, "published_at")).filter(|_| !deleted);
    let told = event.told(change, Some(subject), at, name);
    // Three events tell of a release that is published at once.
    let draft = release.get("draft") == Some(&Value::Bool(true));
    let published = event.is(&["published", "released", "prereleased"]) || (event.is(&["created"]) && !draft);
    let key = id(release).filter(|_| published).map(|id| format!("published:{id}"));
    Some(once(told, key, Vec::new()))
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
    let at = time(value, "updated_at").filter(|_| !event.is(&["deleted"]));
    let told = event.told(change, Some(node), at, renamed(event));
    let public = event.name == "public" || event.is(&["publicized"]);
    let updated = id(value).zip(text(value, "updated_at")).filter(|_| public);
    Some(once(told, updated.map(|(id, updated)| format!("public:{id}:{updated}")), Vec::new()))
}

/// The old and the new name of a repository that was renamed, as parts of the sentence.
fn renamed(event: &Event<'_>) -> Vec<(&'static str, Detail)> {
    let old = event.part("changes").and_then(|changes| changes.pointer("/repository/name/from")?.as_str());
    let new = event.repository().and_then(|repository| text(repository, "full_name"));
    let Some(((owner, _), (old, new))) = new.and_then(|new| Some((new.split_once('/')?, (old?, new)))) else {
        return Vec::new();
    };
    vec![("old", format!("{owner}/{old}").into()), ("new", new.into())]
}

/// Stars and forks change the counts, which come along.
pub(super) fn counted(event: &Event<'_>) -> Option<Change> {
    let value = event.repository()?;
    let node = event.repository_node()?;
    let at = time(event.payload, "starred_at");
    let mut change = Change { writes: rest::people(event.payload), ..Change::default() };
    change.writes.extend(rest::counted_repository(value, at.unwrap_or(event.received_at)));
    let told = event.told(change, Some(node), at, None);
    // Under its old name, `watch`, a star is told a second time.
    let count = value.get("stargazers_count").and_then(Value::as_i64);
    let starred = event.name == "watch" || (event.name == "star" && event.is(&["created"]));
    let who = id(value).zip(event.part("sender").and_then(id)).filter(|_| starred);
    let key = who.zip(count).map(|((id, sender), count)| format!("starred:{id}:{sender}:{count}"));
    Some(once(told, key, Vec::new()))
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
    let told = event.told(change, Some(node), None, said("team", value, "name"));
    let gave = event.action.is_none() || event.is(&["added_to_repository"]);
    let repository = event.repository().filter(|_| gave);
    // `team` and `team_add` tell of it.
    let key = repository.and_then(|repository| {
        Some(format!("team:{}:{}:{}", id(value)?, id(repository)?, text(repository, "updated_at")?))
    });
    Some(once(told, key, Vec::new()))
}
