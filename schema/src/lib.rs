//! The graph: types, roots, interfaces, scalars, global ids, inputs, error codes, and the ports that its fields call.
//!
//! Nothing here does I/O: the SDL, its documentation and its tests compile from this crate alone.

pub mod accounts;
pub mod answer_size;
pub mod build;
pub mod coerce;
pub mod cost;
pub mod cursor;
mod description;
pub mod entity;
pub mod enums;
pub mod error;
mod federation;
pub mod fields;
pub mod id;
pub mod inputs;
pub mod interfaces;
pub mod limits;
pub mod mutation;
pub mod ports;
pub mod providers;
pub mod query;
pub mod scalars;
pub mod subscription;
pub mod table;
pub mod types;
pub mod validate;
pub mod view;
