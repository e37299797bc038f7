//! The engine over a store that holds an account of GitHub, whose fetches come to what the case says.

pub(crate) mod bench;
mod coverage;
mod failing;
mod failures;
mod gaps;
mod missing;
mod names;
mod numbers;
mod pages;
mod panics;
mod patience;
pub(crate) mod scripted;
mod turns;
mod widgets;
