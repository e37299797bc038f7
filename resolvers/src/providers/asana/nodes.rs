//! Reads single nodes: one batch for several of them, one list for many people.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::future::join;
use mullion_schema::view::Body;
use serde_json::Value;

use super::{
    account::known_workspaces,
    client::{self, Get},
    error::no_api,
    keys::{COUNT_KEYS, kind},
    names::{PROJECT, USER},
    normalize::Records,
    plan::{NodePlan, Outcome},
    values,
};
use crate::{
    provider::{Fetched, NodeRef},
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

/// More people than this are read as lists of their workspaces: a batch is one call for the network, but ten for the quota.
const FEW_USERS: usize = 10;

/// The part of a node that a single call reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Record,
    Counts,
}

type Answer = (Part, Result<Value, UpstreamError>);

pub(super) async fn read(
    api: &Connection,
    mut nodes: BTreeMap<NodeRef, NodePlan>,
    asked_at: DateTime<Utc>,
) -> Vec<(usize, Outcome)> {
    let mut done = Vec::new();
    if nodes.keys().filter(|node| node.type_name == USER).count() > FEW_USERS {
        done.extend(listed_users(api, &mut nodes, asked_at).await);
    }
    let calls: Vec<(NodeRef, Part, Get)> = nodes.iter().flat_map(|(node, plan)| calls(node, plan)).collect();
    let gets: Vec<Get> = calls.iter().map(|(_, _, get)| get.clone()).collect();
    let mut answers: BTreeMap<NodeRef, Vec<Answer>> = BTreeMap::new();
    for ((node, part, _), answer) in calls.into_iter().zip(client::records(api, &gets).await) {
        answers.entry(node).or_default().push((part, answer));
    }
    for (node, plan) in nodes {
        let outcome = outcome(&node, answers.remove(&node).unwrap_or_default(), asked_at);
        done.extend(shared(plan.wants, outcome));
    }
    done
}

/// The user that the token acts as.
pub(super) async fn viewer(api: &Connection, plan: NodePlan, asked_at: DateTime<Utc>) -> Vec<(usize, Outcome)> {
    let (false, Some(kind)) = (plan.wants.is_empty(), kind(USER)) else { return Vec::new() };
    let get = Get::new(kind.path, &[kind.path, "me"]).fields(kind.fields(&plan.asks));
    let outcome = client::one(api, &get).await.and_then(|record| {
        let mut records = Records::new(asked_at);
        let (found, _) = records.take(USER, &record, Body::new()).ok_or_else(no_api)?;
        Ok(Fetched { found: Some(found), writes: records.writes, ..Fetched::default() })
    });
    shared(plan.wants, outcome)
}

fn calls(node: &NodeRef, plan: &NodePlan) -> Vec<(NodeRef, Part, Get)> {
    let Some(kind) = kind(node.type_name) else { return Vec::new() };
    let counts = node.type_name == PROJECT && COUNT_KEYS.iter().any(|(key, _)| plan.asks.contains(key));
    let mut calls = Vec::new();
    if !counts || kind.has_one_of(&plan.asks) {
        let get = Get::new(kind.path, &[kind.path, &node.native_id]).fields(kind.fields(&plan.asks));
        calls.push((node.clone(), Part::Record, get));
    }
    if counts {
        let get = Get::new(kind.path, &[kind.path, &node.native_id, "task_counts"]);
        calls.push((node.clone(), Part::Counts, get.fields(COUNT_KEYS.map(|(_, field)| field).to_vec())));
    }
    calls
}

fn outcome(node: &NodeRef, answers: Vec<Answer>, asked_at: DateTime<Utc>) -> Outcome {
    let mut records = Records::new(asked_at);
    let (mut found, mut failure) = (None, None);
    for (part, answer) in answers {
        match answer {
            Ok(counts) if part == Part::Counts => {
                if !records.counts(node, &counts) {
                    failure = Some(no_api());
                }
                found = Some(node.clone());
            }
            // Another record than was asked for, or none, is no word on the one that was.
            Ok(record) if values::node(node.type_name, &record).as_ref() != Some(node) => failure = Some(no_api()),
            Ok(record) => {
                if kind(node.type_name).is_some_and(|kind| kind.is_broken(&record)) {
                    failure = Some(no_api());
                }
                found = records.take(node.type_name, &record, Body::new()).map(|(node, _)| node);
            }
            Err(error) if error.kind == UpstreamErrorKind::NotFound => return Ok(Fetched::default()),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if found.is_none() => Err(error),
        failure => Ok(Fetched { found, writes: records.writes, failure, ..Fetched::default() }),
    }
}

/// The first want gets the nodes, the others the same outcome without writing again.
fn shared(wants: Vec<usize>, outcome: Outcome) -> Vec<(usize, Outcome)> {
    let again = outcome.as_ref().map(|fetched| Fetched {
        found: fetched.found.clone(),
        failure: fetched.failure.clone(),
        ..Fetched::default()
    });
    let again = again.map_err(Clone::clone);
    let mut first = Some(outcome);
    wants.into_iter().map(|want| (want, first.take().unwrap_or_else(|| again.clone()))).collect()
}

/// Takes those users out of the plan that the workspaces list. A user who is missing there is read alone.
async fn listed_users(
    api: &Connection,
    nodes: &mut BTreeMap<NodeRef, NodePlan>,
    asked_at: DateTime<Utc>,
) -> Vec<(usize, Outcome)> {
    let Some(kind) = kind(USER) else { return Vec::new() };
    let mut done = Vec::new();
    for workspace in known_workspaces(api) {
        let get = Get::new(kind.path, &[kind.path]).query("workspace", workspace).fields(kind.card());
        // After a failure they are asked for one by one, and that failure is told.
        let Ok(listed) = client::listed(api, get, None).await else { continue };
        for record in &listed.records {
            let Some(plan) = values::node(USER, record).and_then(|node| nodes.remove(&node)) else { continue };
            let mut records = Records::new(asked_at);
            let found = records.take(USER, record, Body::new()).map(|(node, _)| node);
            done.extend(shared(plan.wants, Ok(Fetched { found, writes: records.writes, ..Fetched::default() })));
        }
        if !nodes.keys().any(|node| node.type_name == USER) {
            break;
        }
    }
    done
}

/// Nodes and the viewer at the same time.
pub(super) async fn all(
    api: &Connection,
    nodes: BTreeMap<NodeRef, NodePlan>,
    me: NodePlan,
    asked_at: DateTime<Utc>,
) -> Vec<(usize, Outcome)> {
    let (mut done, me) = join(read(api, nodes, asked_at), viewer(api, me, asked_at)).await;
    done.extend(me);
    done
}
