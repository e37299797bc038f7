//! Tests of the graph from outside: its form against the contract, and its answers over ports that are made up.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod answers;
mod coerce;
mod contract;
mod entities;
mod errors;
mod examples;
mod fake;
mod fake_deliveries;
mod inputs;
mod live;
mod names;
mod size;
mod validate;
mod words;
