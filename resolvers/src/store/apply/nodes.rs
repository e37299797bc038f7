//! The nodes of a batch: read once, merged in memory, written once.

use std::collections::{BTreeMap, BTreeSet};

use mullion_schema::view::Body;
use serde_json::Value;

use super::{
    ApplyContext, Batch,
    effect::{Effect, Step, Turn},
};
use crate::{
    provider::{
        NodeRef,
        change::{NodeWrite, Version},
    },
    store::{
        StoreError,
        merge::{Merged, NodeState, Outcome, mark_stale, mark_unknown, merge},
        node::{load, save},
        session::Session,
        text::is_storable,
    },
};

/// The nodes that a batch touches.
#[derive(Debug, Default)]
pub(super) struct Work {
    states: BTreeMap<NodeRef, NodeState>,
    existed: BTreeSet<NodeRef>,
    dirty: BTreeSet<NodeRef>,
    /// By change of the batch, then node. One more than changes: what the batch did besides.
    effects: Vec<BTreeMap<NodeRef, Effect>>,
    /// The nodes that are others now, with what they were.
    turns: BTreeMap<NodeRef, Turn>,
}

impl Work {
    /// Reads all nodes that the batch names.
    pub(super) async fn load(
        connection: &impl Session,
        context: &ApplyContext<'_>,
        batch: &Batch,
    ) -> Result<Self, StoreError> {
        let writes = batch.changes.iter().flat_map(|change| change.writes.iter().map(|write| &write.node));
        let stale = batch.changes.iter().flat_map(|change| &change.stale);
        let recounts = batch.changes.iter().flat_map(|change| change.recounts.iter().map(|recount| &recount.item));
        let items = batch.pages.iter().flat_map(|page| &page.items);
        let named: BTreeSet<NodeRef> = writes
            .chain(stale)
            .chain(recounts)
            .chain(items)
            .chain(&batch.unknown)
            .filter(|node| is_storable(node))
            .cloned()
            .collect();
        let mut work = Self { effects: vec![BTreeMap::new(); batch.changes.len() + 1], ..Self::default() };
        work.add(connection, context, named.into_iter().collect()).await?;
        Ok(work)
    }

    /// Reads more nodes.
    pub(super) async fn add(
        &mut self,
        connection: &impl Session,
        context: &ApplyContext<'_>,
        mut nodes: Vec<NodeRef>,
    ) -> Result<(), StoreError> {
        nodes.retain(|node| !self.states.contains_key(node));
        for (node, state) in load(connection, context.tenant, context.integration, &nodes).await? {
            self.existed.insert(node.clone());
            self.states.insert(node, state);
        }
        Ok(())
    }

    /// Merges all writes and marks of the batch.
    pub(super) fn merge(&mut self, context: &ApplyContext<'_>, batch: &Batch) {
        for (index, change) in batch.changes.iter().enumerate() {
            for write in change.writes.iter().filter(|write| is_storable(&write.node)) {
                let merged = merge(self.states.get(&write.node), write, context.origin_of(index));
                self.note_turn(index, write, &merged);
                self.put(index, &write.node, merged);
            }
            for node in &change.stale {
                self.mark_stale(index, node, context);
            }
        }
        for node in batch.unknown.iter().filter(|node| is_storable(node)) {
            let merged = mark_unknown(self.states.get(node), context.origin.at);
            self.put(batch.changes.len(), node, merged);
        }
    }

    /// Marks a node that is known as stale.
    pub(super) fn mark_stale(&mut self, index: usize, node: &NodeRef, context: &ApplyContext<'_>) {
        if let Some(state) = self.states.get(node) {
            let mut merged = mark_stale(state, context.origin_of(index).at);
            merged.became_stale = true;
            self.put(index, node, merged);
        }
    }

    /// Keeps what a node was, before a write that does something to it.
    fn note_turn(&mut self, change: usize, write: &NodeWrite, merged: &Merged) {
        let before = self.states.get(&write.node);
        let rival = rival(write, merged);
        if merged.outcome == Outcome::Confirmed && before.is_some() && rival.is_none() {
            return;
        }
        let versions = write.aspects.iter().map(|aspect| aspect.version).chain(write.deleted);
        let at = versions.map(|version| version.at).min().unwrap_or_default();
        if let Some(turn) = self.turns.get_mut(&write.node) {
            turn.at = turn.at.min(at);
            turn.rival = rival.or(turn.rival.take());
        } else {
            let turn = Turn { before: before.cloned(), rival, at, change };
            self.turns.insert(write.node.clone(), turn);
        }
    }

    /// Moves a number in a node's body, or leaves it open what it is now. The time it was counted stays, for the next step.
    pub(super) fn count(
        &mut self,
        context: &ApplyContext<'_>,
        change: usize,
        (node, key): (&NodeRef, &str),
        step: Step,
    ) {
        let Some(mut state) = self.states.get(node).cloned() else { return };
        let Some(stamp) = state.stamps.get_mut(key) else { return };
        let mut outcome = Outcome::Confirmed;
        match step {
            Step::By(by) => {
                let Some(value) = state.body.get(key).and_then(|value| moved(value, by)) else { return };
                state.body.insert(key.to_owned(), value);
                outcome = Outcome::Changed;
            }
            Step::Unknown => stamp.tied = true,
        }
        // An answer to what was asked before this is older.
        stamp.version = stamp.version.max(Version::at(context.origin.at));
        self.put(change, node, Merged { state, outcome, became_stale: step == Step::Unknown });
    }

    /// Sets fields that a node copies from another, and says whether any was another. They keep their versions: newer ones replace
    /// them as they would have before.
    pub(super) fn copy(&mut self, change: usize, node: &NodeRef, fields: Body) -> bool {
        let Some(state) = self.states.get(node) else { return false };
        // Nearly every delivery brings the name that is known: nothing is copied for it.
        let differs = |(key, value): (&String, &Value)| state.body.get(key).is_some_and(|known| known != value);
        if !fields.iter().any(differs) {
            return false;
        }
        let mut state = state.clone();
        for (key, value) in fields {
            if let Some(known) = state.body.get_mut(&key) {
                *known = value;
            }
        }
        self.put(change, node, Merged { state, outcome: Outcome::Changed, became_stale: false });
        true
    }

    fn put(&mut self, index: usize, node: &NodeRef, merged: Merged) {
        if self.states.get(node) != Some(&merged.state) {
            self.dirty.insert(node.clone());
        }
        self.states.insert(node.clone(), merged.state);
        let Some(effects) = self.effects.get_mut(index) else { return };
        let effect = Effect { outcome: merged.outcome, stale: merged.became_stale };
        let known = effects.entry(node.clone()).or_insert(effect);
        known.outcome = known.outcome.max(effect.outcome);
        known.stale |= effect.stale;
    }

    /// The state of a node, as far as it is known now.
    pub(super) fn state(&self, node: &NodeRef) -> Option<&NodeState> {
        self.states.get(node)
    }

    /// The nodes that are others now.
    pub(super) fn turns(&self) -> impl Iterator<Item = (&NodeRef, &Turn)> {
        self.turns.iter()
    }

    /// The change that the batch made to a node, if any.
    pub(super) fn turn(&self, node: &NodeRef) -> Option<&Turn> {
        self.turns.get(node)
    }

    /// Whether there was a row of it before this batch.
    pub(super) fn existed(&self, node: &NodeRef) -> bool {
        self.existed.contains(node)
    }

    /// The effects of each change, by node; the last entry has those of the batch besides.
    pub(super) fn effects(&self) -> &[BTreeMap<NodeRef, Effect>] {
        &self.effects
    }

    /// The index for what the batch does besides its changes.
    pub(super) fn besides(&self) -> usize {
        self.effects.len().saturating_sub(1)
    }

    /// Nodes whose body is another now, or who came or went.
    pub(super) fn changed(&self) -> BTreeSet<&NodeRef> {
        let effects = self.effects.iter().flatten();
        let changed = effects.filter(|(node, effect)| effect.outcome > Outcome::Confirmed || !self.existed(node));
        changed.map(|(node, _)| node).collect()
    }

    /// Nodes that became stale.
    pub(super) fn stale(&self) -> BTreeSet<&NodeRef> {
        self.effects.iter().flatten().filter(|(_, effect)| effect.stale).map(|(node, _)| node).collect()
    }

    /// Writes what is another than it was.
    pub(super) async fn save(&self, connection: &impl Session, context: &ApplyContext<'_>) -> Result<(), StoreError> {
        let rows: Vec<_> = self.dirty.iter().filter_map(|node| Some((node, self.states.get(node)?))).collect();
        save(connection, context.tenant, context.integration, &rows).await
    }

    /// All nodes with what is known of them, in the end.
    pub(super) fn into_states(self) -> impl Iterator<Item = (NodeRef, NodeState)> {
        let touched: BTreeSet<NodeRef> = self.effects.into_iter().flatten().map(|(node, _)| node).collect();
        self.states.into_iter().filter(move |(node, _)| touched.contains(node))
    }
}

/// The state of a node if the content that lost a tie is the right one.
fn rival(write: &NodeWrite, merged: &Merged) -> Option<NodeState> {
    let state = &merged.state;
    let mut rival = None;
    for (key, value) in write.aspects.iter().flat_map(|aspect| &aspect.fields) {
        if state.stamps.get(key).is_some_and(|stamp| stamp.tied) && state.body.get(key) != Some(value) {
            rival.get_or_insert_with(|| state.clone()).body.insert(key.clone(), value.clone());
        }
    }
    rival
}

/// A number after a step by so much; `None`: the value is no number.
fn moved(value: &Value, by: i64) -> Option<Value> {
    Some(value.as_i64()?.saturating_add(by).max(0).into())
}
