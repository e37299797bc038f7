//! Answers the ports of the graph: loaders, caches, live operations, provider adapters, upstream client, vault, inbox, stores.

pub mod answers;
pub mod background;
pub mod bus;
pub mod cache;
pub mod change;
pub mod clock;
pub mod credentials;
pub mod engine;
pub mod execution;
mod form;
mod json;
pub mod listen;
pub mod live;
pub mod loaders;
pub mod provider;
pub mod providers;
pub mod reconcile;
pub mod recovery;
pub mod sandbox;
pub mod secret;
mod signature;
mod sort_key;
pub mod store;
pub mod tag;
pub mod upstream;
pub mod vault;
pub mod webhook;
