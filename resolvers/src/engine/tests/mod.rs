//! The engine over a store that holds an account of GitHub, which cannot be asked: there is no token.

pub(crate) mod bench;
mod pages;
mod panics;
mod turns;
