//! Users and channels: listed once, whole, and whatever else is wanted of them meanwhile is answered from the same list.
//!
//! Slack has no call for several users, and its calls are few; one list answers for all authors of a page.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use mullion_schema::id::IntegrationId;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{
    Outcome, Slack, account, client, lists,
    names::{CHANNEL, USER},
    normalize,
    values::{object, text},
};
use crate::{
    provider::{Fetched, FetchedPage, NodeRef, PageWant, change::NodeWrite},
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

/// How long a list answers for what was not asked of it before: until the store has it.
const KEPT: TimeDelta = TimeDelta::seconds(2);
/// After that the list is let go.
pub(super) const HELD: Duration = Duration::from_secs(30);
/// While a list is no older than that, what is missing is asked for one by one.
pub(super) const RECENT: Duration = Duration::from_mins(10);
/// Unless more than this many are missing.
const FEW: usize = 3;

/// The kind of the things that are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Users,
    Channels,
}

/// One list of one integration.
pub(super) type Key = (IntegrationId, Kind);

/// The last list, behind a lock that makes everyone wait for the one who lists.
pub(super) type Slot = Arc<Mutex<Option<Listing>>>;

/// A list that was read, or could not be.
#[derive(Debug)]
pub(super) struct Listing {
    ended: DateTime<Utc>,
    outcome: Result<Arc<Directory>, UpstreamError>,
    /// The wants that it answered: to be asked again is to want something newer.
    told: BTreeSet<NodeRef>,
}

/// Everything of a kind, by node.
#[derive(Debug, Default)]
struct Directory {
    writes: BTreeMap<NodeRef, NodeWrite>,
}

/// The wants of one tick of a kind, each with its index.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) nodes: Vec<(usize, NodeRef)>,
    pub(super) names: Vec<(usize, String)>,
    pub(super) pages: Vec<(usize, PageWant)>,
}

/// Answers everything that is wanted of a kind.
pub(super) async fn answer(slack: &Slack, api: &Connection, kind: Kind, wanted: Wanted) -> Vec<(usize, Outcome)> {
    if wanted.nodes.is_empty() && wanted.names.is_empty() && wanted.pages.is_empty() {
        return Vec::new();
    }
    let began = api.clock.now();
    let slot = slack.slot((api.integration.clone(), kind));
    let mut slot = slot.lock().await;
    let (outcome, fresh) = match slot.as_mut().and_then(|listing| listing.shared(began, &wanted)) {
        Some(outcome) => (outcome, false),
        None if wanted.are_few() && slack.listed_recently(api, kind) => {
            drop(slot);
            let calls = wanted.nodes.into_iter().map(async |(index, node)| (index, info(slack, api, kind, node).await));
            return join_all(calls).await;
        }
        None => {
            let outcome = list(slack, api, kind).await.map(Arc::new);
            let told = wanted.nodes.iter().map(|(_, node)| node.clone()).collect();
            *slot = Some(Listing { ended: api.clock.now(), outcome: outcome.clone(), told });
            (outcome, true)
        }
    };
    drop(slot);
    match outcome {
        Ok(directory) => told(slack, api, (kind, fresh), &directory, wanted).await,
        Err(error) => wanted.indices().map(|index| (index, Err(error.clone()))).collect(),
    }
}

impl Wanted {
    fn are_few(&self) -> bool {
        self.names.is_empty() && self.pages.is_empty() && self.nodes.len() <= FEW
    }

    fn indices(&self) -> impl Iterator<Item = usize> {
        let names = self.names.iter().map(|(index, _)| *index);
        let pages = self.pages.iter().map(|(index, _)| *index);
        self.nodes.iter().map(|(index, _)| *index).chain(names).chain(pages)
    }
}

impl Listing {
    /// The list for somebody who came at `began`: if they waited for it, or it is only just there and they ask of something that
    /// it was not asked of before.
    fn shared(&mut self, began: DateTime<Utc>, wanted: &Wanted) -> Option<Result<Arc<Directory>, UpstreamError>> {
        let was_awaited = self.ended > began;
        let just_there = began - self.ended <= KEPT && self.outcome.is_ok();
        let new = wanted.nodes.iter().all(|(_, node)| !self.told.contains(node));
        // A channel that the list lacks may have been made since.
        let lacks = |name: &str| self.outcome.as_ref().is_ok_and(|directory| directory.named(name).is_none());
        let named = !wanted.names.iter().any(|(_, name)| lacks(name));
        if !(was_awaited || (just_there && new && named && wanted.pages.is_empty())) {
            return None;
        }
        self.told.extend(wanted.nodes.iter().map(|(_, node)| node.clone()));
        Some(self.outcome.clone())
    }
}

/// Answers from a list. `fresh`: nobody wrote it into the store yet.
async fn told(
    slack: &Slack,
    api: &Connection,
    (kind, fresh): (Kind, bool),
    directory: &Directory,
    wanted: Wanted,
) -> Vec<(usize, Outcome)> {
    let mut outcomes = Vec::new();
    let mut missing = Vec::new();
    for (index, node) in wanted.nodes {
        match directory.writes.get(&node) {
            Some(write) => outcomes.push((index, Ok(found(write)))),
            None => missing.push((index, node)),
        }
    }
    for (index, name) in wanted.names {
        outcomes.push((index, Ok(directory.named(&name).map(found).unwrap_or_default())));
    }
    for (index, page) in wanted.pages {
        let page = directory.page(page);
        let writes = directory.writes.values().cloned().collect();
        outcomes.push((index, Ok(Fetched { pages: vec![page], writes, ..Fetched::default() })));
    }
    if missing.len() > FEW && kind == Kind::Users {
        tracing::debug!(missing = missing.len(), "users of messages are not in the workspace's list");
    }
    let calls = missing.into_iter().map(async |(index, node)| (index, info(slack, api, kind, node).await));
    outcomes.extend(join_all(calls).await);
    // The want that caused the listing brings the whole list, once.
    let brings = outcomes.iter_mut().find_map(|(_, outcome)| outcome.as_mut().ok());
    if let Some(fetched) = brings.filter(|fetched| fresh && fetched.pages.is_empty()) {
        let mut writes: Vec<NodeWrite> = directory.writes.values().cloned().collect();
        writes.append(&mut fetched.writes);
        fetched.writes = writes;
    }
    outcomes
}

fn found(write: &NodeWrite) -> Fetched {
    Fetched { found: Some(write.node.clone()), writes: vec![write.clone()], ..Fetched::default() }
}

impl Directory {
    /// The channel of a name; one that is not archived before one that is.
    fn named(&self, name: &str) -> Option<&NodeWrite> {
        let name = name.trim_start_matches('#').to_lowercase();
        let is_named = |write: &&NodeWrite| core(write, "name").and_then(Value::as_str) == Some(name.as_str());
        let archived = |write: &&NodeWrite| core(write, "isArchived") == Some(&Value::Bool(true));
        self.writes.values().filter(is_named).min_by_key(archived)
    }

    /// The whole list as one page, in its order.
    fn page(&self, want: PageWant) -> FetchedPage {
        let mut items: Vec<(String, NodeRef)> = Vec::new();
        for write in self.writes.values() {
            let body = write.aspects.iter().flat_map(|aspect| aspect.fields.clone()).collect();
            if lists::matches(&want.list, &want.filter, &body) {
                let sort = lists::memberships(&write.node, &body).into_iter().find(|(list, _)| *list == want.list);
                items.extend(sort.map(|(_, sort)| (sort, write.node.clone())));
            }
        }
        items.sort();
        let total = i64::try_from(items.len()).ok();
        FetchedPage { want, items: items.into_iter().map(|(_, node)| node).collect(), next: None, total }
    }
}

fn core<'a>(write: &'a NodeWrite, key: &str) -> Option<&'a Value> {
    write.aspects.iter().find_map(|aspect| aspect.fields.get(key))
}

/// Reads one item of a list.
type Reader = fn(&Value, normalize::Workspace<'_>, DateTime<Utc>) -> Option<NodeWrite>;

/// Lists everything of a kind.
async fn list(slack: &Slack, api: &Connection, kind: Kind) -> Result<Directory, UpstreamError> {
    let home = account::home(slack, api).await?;
    let at = api.clock.now();
    let (values, read): (Vec<Value>, Reader) = match kind {
        Kind::Users => (client::all(api, "users.list", &[], "members").await?, normalize::user),
        Kind::Channels => (channels(api, "conversations.list", &[]).await?, normalize::channel),
    };
    let mut directory = Directory::default();
    for value in values.iter().filter(|value| kind == Kind::Users || !normalize::is_direct(value)) {
        // An item that cannot be read, or placed in the list, would be missing without a trace.
        let is_whole = text(value, "name").is_some() && !normalize::has_broken_count(value);
        let write = read(value, home.workspace(), at).filter(|_| is_whole).ok_or_else(broken)?;
        directory.writes.insert(write.node.clone(), write);
    }
    slack.listed.insert((api.integration.clone(), kind), ());
    Ok(directory)
}

/// Public and private channels, as a method lists them; only public ones where the token's scopes end there.
pub(super) async fn channels(
    api: &Connection,
    method: &'static str,
    arguments: &[(&str, &str)],
) -> Result<Vec<Value>, UpstreamError> {
    let list = async |types| {
        let arguments = [&[("types", types)], arguments].concat();
        client::all(api, method, &arguments, "channels").await
    };
    let sees_private = api.scopes.is_empty() || api.scopes.iter().any(|scope| scope == "groups:read");
    if !sees_private {
        return list("public_channel").await;
    }
    match list("public_channel,private_channel").await {
        Err(error) if error.kind == UpstreamErrorKind::Forbidden => list("public_channel").await,
        outcome => outcome,
    }
}

/// One user or channel by id, where the list lacks it (people of other workspaces) or is not wanted whole.
async fn info(slack: &Slack, api: &Connection, kind: Kind, node: NodeRef) -> Outcome {
    let home = account::home(slack, api).await?;
    let at = api.clock.now();
    let id = node.native_id.as_ref();
    let answer = match kind {
        Kind::Users => client::call(api, "users.info", &[("user", id)]).await,
        Kind::Channels => {
            client::call(api, "conversations.info", &[("channel", id), ("include_num_members", "true")]).await
        }
    };
    let answer = match answer {
        Err(error) if error.kind == UpstreamErrorKind::NotFound => return Ok(Fetched::default()),
        answer => answer?,
    };
    let (key, read): (&str, Reader) = match kind {
        Kind::Users => ("user", normalize::user),
        Kind::Channels => ("channel", normalize::channel),
    };
    let value = object(&answer, key).filter(|value| text(value, "id") == Some(id)).ok_or_else(broken)?;
    if kind == Kind::Channels && normalize::is_direct(value) {
        return Ok(Fetched::default());
    }
    let write = read(value, home.workspace(), at).ok_or_else(broken)?;
    let failure = normalize::has_broken_count(value).then(broken);
    Ok(Fetched { failure, ..found(&write) })
}

/// An answer that tells nothing, least of all that something is not there.
fn broken() -> UpstreamError {
    UpstreamError::new(UpstreamErrorKind::Down, "Slack's answer is not what its API promises")
}

/// The kind that a type is listed as.
pub(super) fn kind_of(type_name: &str) -> Option<Kind> {
    match type_name {
        USER => Some(Kind::Users),
        CHANNEL => Some(Kind::Channels),
        _ => None,
    }
}

/// The workspace itself; where the token may not ask for it, what is known from elsewhere.
pub(super) async fn workspace(slack: &Slack, api: &Connection) -> Outcome {
    let at = api.clock.now();
    let write = match client::call(api, "team.info", &[]).await {
        Ok(answer) => answer.get("team").and_then(|team| {
            let mut team = team.clone();
            if text(&team, "url").is_none()
                && let Some(url) = text(&team, "domain").map(|domain| format!("https://{domain}.slack.com/"))
                && let Some(fields) = team.as_object_mut()
            {
                fields.insert("url".to_owned(), url.into());
            }
            normalize::workspace(&team, at)
        }),
        Err(error) if error.kind == UpstreamErrorKind::Forbidden => {
            let home = account::home(slack, api).await?;
            let team = serde_json::json!({
                "id": home.team, "name": home.name, "domain": home.domain(), "url": home.url,
            });
            normalize::workspace(&team, at)
        }
        Err(error) => return Err(error),
    };
    write.as_ref().map(found).ok_or_else(broken)
}
