//! The graph: types, roots, interfaces, scalars, global ids, inputs, error codes, and the ports that its fields call.
//!
//! Nothing here does I/O: the SDL, its documentation and its tests compile from this crate alone.

pub mod enums;
pub mod error;
pub mod fields;
pub mod id;
pub mod ports;
pub mod view;
