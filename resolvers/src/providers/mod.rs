//! The one list of providers: one line each.

pub mod asana;
pub mod slack;
