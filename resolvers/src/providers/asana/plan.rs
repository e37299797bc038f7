//! The plan of a tick: each node and each list that is wanted is read once, however many want it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    keys::kind,
    names::{COMPLETED, PROJECT, PROJECTS, TASKS, VIEWER, WORKSPACE_FILTER},
    values::is_gid,
};
use crate::{
    provider::{FetchWant, Fetched, ListRef, NodeRef, PageWant},
    upstream::{UpstreamError, UpstreamErrorKind},
};

/// The outcome of one want.
pub(super) type Outcome = Result<Fetched, UpstreamError>;

/// Keys that are asked of a node, and who wants them.
#[derive(Debug, Default)]
pub(super) struct NodePlan {
    pub(super) asks: BTreeSet<&'static str>,
    pub(super) wants: Vec<usize>,
}

/// A list to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListRead {
    pub(super) list: ListRef,
    /// The workspaces of which an account's projects are listed. Empty: all.
    pub(super) workspaces: BTreeSet<String>,
    /// Asana leaves completed tasks out.
    pub(super) open_only: bool,
    pub(super) cursor: Option<String>,
}

/// A list, and who wants it with which filter.
#[derive(Debug)]
pub(super) struct ListPlan {
    pub(super) read: ListRead,
    pub(super) wants: Vec<(usize, PageWant)>,
}

/// The reads of a tick.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) nodes: BTreeMap<NodeRef, NodePlan>,
    pub(super) viewer: NodePlan,
    pub(super) lists: Vec<ListPlan>,
    /// Wants that name what cannot exist.
    pub(super) absent: Vec<usize>,
    /// Wants that Asana has no answer for.
    pub(super) refused: Vec<(usize, UpstreamError)>,
}

impl Plan {
    pub(super) fn of(wants: Vec<FetchWant>) -> Self {
        let mut plan = Self::default();
        for (index, want) in wants.into_iter().enumerate() {
            plan.add(index, want);
        }
        plan.share();
        plan
    }

    fn add(&mut self, index: usize, want: FetchWant) {
        match want {
            FetchWant::Node { node, .. } if !is_gid(&node.native_id) => self.absent.push(index),
            FetchWant::Node { node, asks } if kind(node.type_name).is_some() => {
                self.nodes.entry(node).or_default().add(index, asks);
            }
            FetchWant::Lookup { lookup, asks, .. } if lookup.name == VIEWER => self.viewer.add(index, asks),
            FetchWant::Page(page) => match ListRead::of(&page) {
                Some(read) => match self.lists.iter_mut().find(|plan| plan.read == read) {
                    Some(plan) => plan.wants.push((index, page)),
                    None => self.lists.push(ListPlan { read, wants: vec![(index, page)] }),
                },
                None => self.refuse(index, "Asana has no such list"),
            },
            FetchWant::Node { .. } | FetchWant::Lookup { .. } => self.refuse(index, "Asana has no such thing"),
        }
    }

    fn refuse(&mut self, index: usize, why: &str) {
        self.refused.push((index, UpstreamError::new(UpstreamErrorKind::Rejected, why)));
    }

    /// A list that is read whole answers for its open tasks too.
    fn share(&mut self) {
        let (open, mut whole): (Vec<_>, Vec<_>) = self.lists.drain(..).partition(|plan| plan.read.open_only);
        for mut plan in open {
            let same = ListRead { open_only: false, ..plan.read.clone() };
            match whole.iter_mut().find(|plan| plan.read == same && same.cursor.is_none()) {
                Some(whole) => whole.wants.append(&mut plan.wants),
                None => self.lists.push(plan),
            }
        }
        self.lists.append(&mut whole);
    }
}

impl NodePlan {
    fn add(&mut self, index: usize, asks: BTreeSet<&'static str>) {
        self.asks.extend(asks);
        self.wants.push(index);
    }
}

impl ListRead {
    fn of(want: &PageWant) -> Option<Self> {
        let list = &want.list;
        super::lists::LISTS
            .iter()
            .find(|known| known.name == list.name && known.parent == list.parent.as_ref().map(|node| node.type_name))?;
        let values = |name: &str| want.filter.get(name).map_or(&[][..], Vec::as_slice);
        let of_project = list.parent.as_ref().is_some_and(|parent| parent.type_name == PROJECT);
        let workspaces = if list.name == PROJECTS { values(WORKSPACE_FILTER) } else { &[] };
        Some(Self {
            list: list.clone(),
            workspaces: workspaces.iter().cloned().collect(),
            open_only: of_project && list.name == TASKS && values(COMPLETED) == ["false"],
            cursor: want.cursor.clone(),
        })
    }
}
