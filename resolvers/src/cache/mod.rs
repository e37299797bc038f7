//! Caches in front of the store: nodes, lists, and rows of our own. Bounded by bytes, guarded by epochs.

pub mod epochs;
pub mod kept;
pub mod nodes;
pub mod single_flight;
