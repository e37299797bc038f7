//! The graph's own types: what is neither a provider's nor a root.

pub mod activity;
pub mod connection;
pub mod dashboard;
pub mod delivery;
pub mod freshness;
pub mod integration;
pub mod metric;
pub mod provider;
pub mod source;
pub mod viewer;
pub mod widget;
