//! The graph's own types that are neither roots nor accounts.

pub mod activity;
pub mod boards;
pub mod delivery;
pub mod metric;
pub mod node;
pub mod source;
pub mod viewer;
