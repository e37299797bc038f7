//! The adapter against the sandbox without a socket, and the table of events.

mod broken;
mod events;
mod hooks;
mod log;
mod reads;
mod world;
