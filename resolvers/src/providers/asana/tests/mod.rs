//! Asana's adapter as the engine uses it.
