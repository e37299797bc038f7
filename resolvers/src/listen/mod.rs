//! Listening: events of providers that send them over a socket which we open, so that nobody needs a public address for webhooks.
//! They go into the same inbox, and are acknowledged when they are on disk. One replica holds the socket of an integration.

mod link;
mod listeners;
mod pace;
mod parts;
mod session;
mod storing;
mod watch;

pub use self::{
    listeners::Listeners,
    parts::{Parts, SocketObserver},
};
