//! Fetches all that is wanted in one tick: nodes in batches, lists beside them.

use std::collections::BTreeMap;

use futures::future::join;

use super::{
    error, nodes, pages,
    plan::{Outcome, Plan},
};
use crate::{
    provider::{FetchWant, Fetched},
    upstream::Connection,
};

pub(super) async fn fetch(api: &Connection, wants: Vec<FetchWant>) -> Vec<Outcome> {
    let count = wants.len();
    let asked_at = api.clock.now();
    let Plan { nodes, viewer, lists, absent, refused } = Plan::of(wants);
    let (nodes, lists) = join(nodes::all(api, nodes, viewer, asked_at), pages::read(api, lists, asked_at)).await;
    let mut outcomes: BTreeMap<usize, Outcome> = nodes.into_iter().chain(lists).collect();
    outcomes.extend(absent.into_iter().map(|want| (want, Ok(Fetched::default()))));
    outcomes.extend(refused.into_iter().map(|(want, error)| (want, Err(error))));
    (0..count).map(|want| outcomes.remove(&want).unwrap_or_else(|| Err(error::no_api()))).collect()
}
