//! Caches in front of the store: nodes, and whole answers. Bounded by bytes, guarded by epochs.

pub mod epochs;
pub mod nodes;
