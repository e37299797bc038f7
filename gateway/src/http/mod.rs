//! The HTTP side of the gateway: its routes and what stands before and behind them.

pub mod console;
