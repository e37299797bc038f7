//! Answers the ports of the graph: loaders, caches, live operations, provider adapters, upstream client, vault, inbox, stores.

pub mod clock;
pub mod providers;
pub mod sandbox;
