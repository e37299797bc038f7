//! Reads lists. Asana's order is not ours, so that a list is read whole where that takes few calls, and sorted here.

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, stream};
use mullion_schema::view::Body;
use serde_json::Value;

use super::{
    account::known_workspaces,
    client::{self, Get, Listed},
    error,
    keys::kind,
    lists::{self, ORDER, place},
    names::{COMMENT, COMMENTS, PROJECT, PROJECTS, SECTION, SECTIONS, TASK, WORKSPACE},
    normalize::Records,
    plan::{ListPlan, ListRead, Outcome},
    values::{gid, is_gid, node},
};
use crate::{
    provider::{Fetched, FetchedPage, ListRef, NodeRef, PageWant},
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

/// Lists in flight at once.
const CONCURRENT: usize = 8;

/// An item of a list: its place, which node it is, its body.
type Item = (String, NodeRef, Body);

/// A list that was read.
struct Read {
    items: Vec<Item>,
    records: Records,
    next: Option<String>,
}

pub(super) async fn read(api: &Connection, plans: Vec<ListPlan>, asked_at: DateTime<Utc>) -> Vec<(usize, Outcome)> {
    let calls: Vec<_> = plans.into_iter().map(|plan| one(api, plan, asked_at)).collect();
    let done: Vec<_> = stream::iter(calls).buffered(CONCURRENT).collect().await;
    done.into_iter().flatten().collect()
}

async fn one(api: &Connection, plan: ListPlan, asked_at: DateTime<Utc>) -> Vec<(usize, Outcome)> {
    let read = records(api, &plan.read).await.and_then(|listed| normalized(&plan.read, listed, asked_at));
    if let Err(error) = read.as_ref()
        && error.kind == UpstreamErrorKind::Down
    {
        api.transport.failed(error);
    }
    answers(plan.wants, read)
}

/// The same list for everyone who wants it, each with its own filter. The first gets the nodes too.
fn answers(wants: Vec<(usize, PageWant)>, read: Result<Read, UpstreamError>) -> Vec<(usize, Outcome)> {
    let mut read = match read {
        Ok(read) => read,
        Err(error) => return wants.into_iter().map(|(index, _)| (index, Err(error.clone()))).collect(),
    };
    let mut writes = Some(std::mem::take(&mut read.records.writes));
    let answer = |(index, want): (usize, PageWant)| {
        let items = read.items.iter().filter(|(_, _, body)| lists::matches(&want.filter, body));
        let items: Vec<NodeRef> = items.map(|(_, node, _)| node.clone()).collect();
        let whole = want.cursor.is_none() && read.next.is_none();
        let total = whole.then(|| i64::try_from(items.len()).unwrap_or(i64::MAX));
        let page = FetchedPage { want, items, next: read.next.clone(), total };
        let writes = writes.take().unwrap_or_default();
        (index, Ok(Fetched { found: None, writes, pages: vec![page], ..Fetched::default() }))
    };
    wants.into_iter().map(answer).collect()
}

/// The type of a list's items.
fn item_type(list: &ListRef) -> &'static str {
    match (&list.parent, list.name) {
        (None, PROJECTS) => PROJECT,
        (None, _) => WORKSPACE,
        (Some(_), SECTIONS) => SECTION,
        (Some(_), COMMENTS) => COMMENT,
        (Some(_), _) => TASK,
    }
}

/// The items of a list, sorted. One that cannot be read, or that lacks what places it in the list, would be missing without a trace.
fn normalized(read: &ListRead, listed: Listed, asked_at: DateTime<Utc>) -> Result<Read, UpstreamError> {
    let type_name = item_type(&read.list);
    let mut records = Records::new(asked_at);
    let mut items: Vec<Item> = Vec::new();
    for (index, record) in listed.records.iter().enumerate() {
        let Some((node, body)) = records.take(type_name, record, known_besides(read, index)) else {
            // A note that Asana makes of a task by itself is left out.
            node(type_name, record).ok_or_else(error::no_api)?;
            continue;
        };
        let sort = lists::sort(&read.list, &node, &body).ok_or_else(error::no_api)?;
        items.push((sort, node, body));
    }
    items.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    Ok(Read { items, records, next: listed.next })
}

/// The fields of an item that the list tells beyond the item's record.
fn known_besides(read: &ListRead, index: usize) -> Body {
    let parent = read.list.parent.as_ref().map_or(Value::Null, |parent| parent.to_string().into());
    match item_type(&read.list) {
        SECTION if read.cursor.is_none() => {
            Body::from_iter([("project".to_owned(), parent), (ORDER.to_owned(), place(index))])
        }
        SECTION => Body::from_iter([("project".to_owned(), parent)]),
        COMMENT => Body::from_iter([("task".to_owned(), parent)]),
        _ => Body::new(),
    }
}

async fn records(api: &Connection, read: &ListRead) -> Result<Listed, UpstreamError> {
    let type_name = item_type(&read.list);
    let kind = kind(type_name).ok_or_else(error::unknown)?;
    let get = |path: &[&str]| Get::new(kind.path, path).fields(kind.card());
    let Some(parent) = &read.list.parent else {
        if type_name == WORKSPACE {
            return client::listed(api, get(&["workspaces"]), read.cursor.clone()).await;
        }
        return projects(api, read, &get(&["projects"])).await;
    };
    let id = parent.native_id.as_ref();
    if !is_gid(id) {
        return Err(error::unknown());
    }
    let get = match (type_name, parent.type_name) {
        (SECTION, _) => get(&["projects", id, "sections"]),
        (COMMENT, _) => get(&["tasks", id, "stories"]),
        (_, SECTION) => get(&["tasks"]).query("section", id),
        _ if read.open_only => get(&["tasks"]).query("project", id).query("completed_since", "now"),
        _ => get(&["tasks"]).query("project", id),
    };
    client::listed(api, get, read.cursor.clone()).await
}

/// The projects of the workspaces. A cursor holds the offset of each workspace that has more.
async fn projects(api: &Connection, want: &ListRead, get: &Get) -> Result<Listed, UpstreamError> {
    let from: Vec<(String, Option<String>)> = match &want.cursor {
        Some(cursor) => {
            form_urlencoded::parse(cursor.as_bytes()).into_owned().map(|(gid, offset)| (gid, Some(offset))).collect()
        }
        None if want.workspaces.is_empty() => all_workspaces(api).await?.into_iter().map(|gid| (gid, None)).collect(),
        None => want.workspaces.iter().map(|gid| (gid.clone(), None)).collect(),
    };
    let from: Vec<_> = from.into_iter().filter(|(gid, _)| is_gid(gid)).collect();
    let calls = from.iter().map(|(gid, from)| (get.clone().query("workspace", gid.as_str()), from.clone())).collect();
    let read = client::lists(api, calls).await;
    let mut all = Listed::default();
    let mut cursor = form_urlencoded::Serializer::new(String::new());
    for ((workspace, _), listed) in from.iter().zip(read) {
        let listed = listed?;
        all.records.extend(listed.records);
        if let Some(offset) = listed.next {
            cursor.append_pair(workspace, &offset);
        }
    }
    all.next = Some(cursor.finish()).filter(|cursor| !cursor.is_empty());
    Ok(all)
}

/// All workspaces of the account: those that were known when it was connected, or asked for.
async fn all_workspaces(api: &Connection) -> Result<Vec<String>, UpstreamError> {
    let known = known_workspaces(api);
    if !known.is_empty() {
        return Ok(known);
    }
    let listed = client::listed(api, Get::new("workspaces", &["workspaces"]).fields(vec!["name"]), None).await?;
    Ok(listed.records.iter().filter_map(gid).map(str::to_owned).collect())
}
