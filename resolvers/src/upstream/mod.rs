//! The only door out to a provider: limits, retries, breaker, ETags, address guards and quota are here, so none can be skipped.

mod connection;
mod error;

pub use connection::{Connection, QuotaReading, Transport, UpstreamRequest, UpstreamResponse};
pub use error::{UpstreamError, UpstreamErrorKind};
