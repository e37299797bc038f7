//! placeholder
pub mod http;

fn main() {}
