//! Inputs and their checks. Whatever a mutation hands to a port was checked here; errors name the field.

pub mod board;
pub mod check;
pub mod delivery;
pub mod integration;
pub mod source;
