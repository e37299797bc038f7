//! GitHub: everything of this provider is in this folder.

pub mod sandbox;
