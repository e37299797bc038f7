//! The gateway: configuration, command line, HTTP and WebSocket transports, telemetry, shutdown.
//!
//! A library beside the binary, so that tests and examples run it in process, over a stand-in for what executes.

pub mod backend;
mod banner;
pub mod boot;
pub mod cli;
pub mod config;
pub mod core;
pub mod data_folder;
mod database;
mod housekeeping;
pub mod http;
mod inbox;
pub mod lifecycle;
mod listen;
pub mod operation;
pub mod readiness;
mod reconciling;
pub mod reload;
mod runtimes;
pub mod seed;
mod shielded;
mod stand_in_socket;
pub mod stand_ins;
pub mod telemetry;
pub mod terminal;
pub mod transport;

#[cfg(test)]
mod fake;
