//! Asana: what the graph shows of it, and the stand-in for its API.

pub mod sandbox;
