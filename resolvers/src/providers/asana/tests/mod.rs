//! The adapter against the sandbox without a socket, and the table of events.

mod events;
mod hooks;
mod reads;
mod world;
