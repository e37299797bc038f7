//! The one list of providers: one line each.

pub mod github;
