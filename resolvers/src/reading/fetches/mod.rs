//! Fetches from providers: collected into batches, shared by all who want the same, and written before anyone is told.

pub(super) mod claims;
pub(super) mod fetcher;
pub(super) mod outcome;
pub(super) mod readers;
pub(super) mod sink;
