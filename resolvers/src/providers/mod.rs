//! The one list of providers: one line each.

pub mod asana;
pub mod github;
pub mod slack;
