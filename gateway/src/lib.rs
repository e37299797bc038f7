//! The gateway: configuration, command line, HTTP and WebSocket transports, telemetry, shutdown.
//!
//! A library beside the binary, so that tests and examples run it in process, over a stand-in for the engine.

pub mod boot;
pub mod cli;
pub mod config;
pub mod data_folder;
pub mod document;
pub mod http;
pub mod lifecycle;
pub mod telemetry;
pub mod transport;

#[cfg(test)]
mod fake;
