//! How operations arrive and answers leave: what HTTP, WebSocket and Server-Sent Events have in common.

pub mod admission;
pub mod engine;
pub mod error;
pub mod keep_alive;
pub mod multipart;
pub mod params;
pub mod persisted;
pub mod sse;
pub mod websocket;

#[cfg(test)]
mod tests;
