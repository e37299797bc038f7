//! The engine: answers reads from caches, store and providers, in that order, and records what each answer was read from.

mod fetcher;
pub mod integrations;
