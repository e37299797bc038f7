//! How operations arrive and answers leave: what HTTP, WebSocket and Server-Sent Events have in common.

pub mod engine;
pub mod error;
pub mod params;
pub mod sse;
pub mod websocket;
