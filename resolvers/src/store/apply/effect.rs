//! The effects of a batch on a node.

use crate::store::merge::{NodeState, Outcome};

/// The effect of one change of a batch on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effect {
    /// The most that any write did to it.
    pub(super) outcome: Outcome,
    /// Whether it became stale, or was marked as such again.
    pub(super) stale: bool,
}

/// How a node that a batch changed differs from before.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    /// Its state before.
    pub(super) before: Option<NodeState>,
    /// The state that it may have instead: events of one instant contradict each other, and the provider was not asked yet.
    pub(super) rival: Option<NodeState>,
    /// The oldest version that changed something, in microseconds.
    pub(super) at: i64,
    /// Which change of the batch did it.
    pub(super) change: usize,
}

/// How a number moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// By so much.
    By(i64),
    /// The number is to be asked for again.
    Unknown,
}
