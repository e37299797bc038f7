//! Messages: a page of a channel, the replies of a thread, single ones by their ts.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    Outcome, Slack, account, client,
    names::{self, CHANNEL, MESSAGE, MESSAGES, REPLIES},
    normalize::{self, Telling, Workspace},
    values::{list, text},
};
use crate::{
    provider::{Fetched, FetchedPage, NodeRef, PageWant, change::NodeWrite},
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

pub(super) const HISTORY: &str = "conversations.history";
pub(super) const REPLIES_CALL: &str = "conversations.replies";
/// Messages of a page: as many as the engine asks for.
pub(super) const PAGE: &str = "100";

/// Single messages of one channel, with the places of the wants.
#[derive(Debug, Default)]
pub(super) struct InChannel(BTreeMap<String, Vec<(usize, NodeRef)>>);

/// Which messages are wanted, by team and channel.
pub(super) type Singles = BTreeMap<(String, String), InChannel>;

/// Adds a wanted message; `false`: nothing can have that id.
pub(super) fn want(singles: &mut Singles, index: usize, node: &NodeRef) -> bool {
    let Some((team, channel, ts)) = names::message_parts(&node.native_id) else { return false };
    let channel = singles.entry((team.to_owned(), channel.to_owned())).or_default();
    channel.0.entry(ts.to_owned()).or_default().push((index, node.clone()));
    true
}

/// A page of a channel's messages or of a thread's replies.
pub(super) async fn page(slack: &Slack, api: &Connection, want: PageWant) -> Outcome {
    let refused = || UpstreamError::new(UpstreamErrorKind::Rejected, "Slack has no such list");
    let parent = want.list.parent.clone().ok_or_else(refused)?;
    let home = account::home(slack, api).await?;
    match (parent.type_name, want.list.name) {
        (CHANNEL, MESSAGES) => history(api, home.workspace(), &parent.native_id, want).await,
        (MESSAGE, REPLIES) => {
            let (team, channel, ts) = names::message_parts(&parent.native_id).ok_or_else(refused)?;
            replies(api, Workspace { team, ..home.workspace() }, (channel, ts), want).await
        }
        _ => Err(refused()),
    }
}

async fn history(api: &Connection, workspace: Workspace<'_>, channel: &str, want: PageWant) -> Outcome {
    let mut arguments = vec![("channel", channel), ("limit", PAGE)];
    arguments.extend(want.cursor.as_deref().map(|cursor| ("cursor", cursor)));
    let asked_at = api.clock.now();
    let answer = client::call(api, HISTORY, &arguments).await?;
    newest(&answer, workspace, channel, (want, asked_at))
}

/// A page of a channel's history, asked for at that time.
pub(super) fn newest(
    answer: &Value,
    workspace: Workspace<'_>,
    channel: &str,
    (want, asked_at): (PageWant, DateTime<Utc>),
) -> Outcome {
    let next = client::next_page(answer, want.cursor.as_deref())?;
    let read = read(answer, workspace, channel, Telling { at: Some(asked_at), whole: true })?;
    let items = items(&read, |_| true);
    let page = FetchedPage { want, items, next, total: None };
    Ok(Fetched { found: None, writes: read, pages: vec![page], ..Fetched::default() })
}

async fn replies(api: &Connection, workspace: Workspace<'_>, (channel, root): (&str, &str), want: PageWant) -> Outcome {
    let mut arguments = vec![("channel", channel), ("ts", root), ("limit", PAGE)];
    arguments.extend(want.cursor.as_deref().map(|cursor| ("cursor", cursor)));
    let asked = telling(api);
    let answer = match client::call(api, REPLIES_CALL, &arguments).await {
        // A message that was never replied to, or is gone.
        Err(error) if error.kind == UpstreamErrorKind::NotFound && error.message.contains("thread_not_found") => {
            serde_json::json!({ "messages": [], "has_more": false })
        }
        answer => answer?,
    };
    let next = client::next_page(&answer, want.cursor.as_deref())?;
    let read = read(&answer, workspace, channel, asked)?;
    // The message that began the thread comes along.
    let parent = names::message(workspace.team, channel, root);
    let items = items(&read, |node| *node != parent);
    let page = FetchedPage { want, items, next, total: None };
    Ok(Fetched { found: None, writes: read, pages: vec![page], ..Fetched::default() })
}

/// Single messages of one channel: those that lie within one page of each other come in one call.
pub(super) async fn singles(
    slack: &Slack,
    api: &Connection,
    (team, channel): (String, String),
    wanted: InChannel,
) -> Vec<(usize, Outcome)> {
    let mut wanted = wanted.0;
    let mut outcomes = Vec::new();
    let failure = find(slack, api, (&team, &channel), &mut wanted, &mut outcomes).await.err();
    let rest = wanted.into_values().flatten();
    outcomes.extend(rest.map(|(index, _)| (index, failure.clone().map_or(Ok(Fetched::default()), Err))));
    outcomes
}

/// Takes the messages that it finds out of `wanted`. Those that are left are not there.
async fn find(
    slack: &Slack,
    api: &Connection,
    (team, channel): (&str, &str),
    wanted: &mut BTreeMap<String, Vec<(usize, NodeRef)>>,
    outcomes: &mut Vec<(usize, Outcome)>,
) -> Result<(), UpstreamError> {
    let home = account::home(slack, api).await?;
    let workspace = Workspace { team, ..home.workspace() };
    let mut open: BTreeSet<String> = wanted.keys().cloned().collect();
    while let (Some(oldest), Some(latest)) = (open.first().cloned(), open.last().cloned()) {
        let limit = if open.len() == 1 { "1" } else { PAGE };
        let span =
            [("channel", channel), ("oldest", &oldest), ("latest", &latest), ("inclusive", "true"), ("limit", limit)];
        let asked = telling(api);
        let answer = match client::call(api, HISTORY, &span).await {
            Err(error) if error.kind == UpstreamErrorKind::NotFound => return Ok(()),
            answer => answer?,
        };
        client::listed(&answer, "messages")?;
        let read = read(&answer, workspace, channel, asked)?;
        take(read, workspace, channel, wanted, outcomes);
        // The page reaches down to its oldest message: what is not in it is a reply, or gone.
        let reached = list(&answer, "messages").iter().filter_map(|message| text(message, "ts")).min();
        let more = client::next_cursor(&answer)?.is_some() || answer.get("has_more") == Some(&Value::Bool(true));
        match reached.filter(|_| more) {
            Some(reached) => open.retain(|ts| ts.as_str() < reached),
            None => open.clear(),
        }
    }
    let left: Vec<String> = wanted.keys().cloned().collect();
    for ts in left {
        let named = [("channel", channel), ("ts", &ts), ("oldest", &ts), ("latest", &ts), ("inclusive", "true")];
        let asked = telling(api);
        match client::call(api, REPLIES_CALL, &named).await {
            Ok(answer) => {
                client::listed(&answer, "messages")?;
                take(read(&answer, workspace, channel, asked)?, workspace, channel, wanted, outcomes);
            }
            Err(error) if error.kind == UpstreamErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn take(
    read: Vec<NodeWrite>,
    workspace: Workspace<'_>,
    channel: &str,
    wanted: &mut BTreeMap<String, Vec<(usize, NodeRef)>>,
    outcomes: &mut Vec<(usize, Outcome)>,
) {
    let by_node: BTreeMap<NodeRef, NodeWrite> = read.into_iter().map(|write| (write.node.clone(), write)).collect();
    wanted.retain(|ts, wants| {
        let Some(write) = by_node.get(&names::message(workspace.team, channel, ts)) else { return true };
        let found = Some(write.node.clone()).filter(|_| write.deleted.is_none());
        let fetched = Fetched { found, writes: vec![write.clone()], ..Fetched::default() };
        outcomes.extend(wants.drain(..).map(|(index, _)| (index, Ok(fetched.clone()))));
        false
    });
}

fn telling(api: &Connection) -> Telling {
    Telling { at: Some(api.clock.now()), whole: true }
}

/// The messages of an answer. One without a `ts` cannot be told from others: it would be missing without a trace.
fn read(
    answer: &Value,
    workspace: Workspace<'_>,
    channel: &str,
    asked: Telling,
) -> Result<Vec<NodeWrite>, UpstreamError> {
    let broken = || UpstreamError::new(UpstreamErrorKind::Down, "Slack's answer has a message without a ts");
    let messages = list(answer, "messages").iter();
    messages.map(|message| normalize::message(message, workspace, channel, asked).ok_or_else(broken)).collect()
}

fn items(read: &[NodeWrite], belongs: impl Fn(&NodeRef) -> bool) -> Vec<NodeRef> {
    let there = read.iter().filter(|write| write.deleted.is_none() && belongs(&write.node));
    there.map(|write| write.node.clone()).collect()
}
