//! `[webhooks]`: how much of the providers' deliveries is taken at a time.

use super::section::section;

section! {
    /// How much of the providers' deliveries is taken at a time.
    Webhooks in "webhooks" {
        /// Bytes of bodies in flight, over all endpoints; beyond it, 503.
        max_bytes_in_flight: usize = 128_000_000;
        /// How long a body may take to arrive.
        read_timeout_seconds: u64 = 10;
    }
}
