//! `[webhooks]`: how the providers' deliveries are taken, worked and kept.

use super::section::section;

section! {
    /// How the providers' deliveries are taken, worked and kept.
    Webhooks in "webhooks" {
        /// Bytes of bodies in flight, over all endpoints; beyond it, 503. One delivery may have 25 MB. Once half of it is taken, and for what bodies have beyond 64 KiB, an endpoint may take a quarter.
        max_bytes_in_flight: usize = 128_000_000, 26_000_000..=1_000_000_000_000;
        /// How long a body may take to arrive.
        read_timeout_seconds: u64 = 10, 1..=3_600;
        /// Deliveries that may wait to be written to disk; beyond it, 503 at once.
        max_queued: usize = 10_000, 1..=100_000_000;
        /// Bytes of them; beyond it, 503 at once.
        max_queued_bytes: usize = 64_000_000, 1..=1_000_000_000_000;
        /// Bytes of acknowledged deliveries, packed, that may lie in the log beside SQLite's file until the database takes them;
        /// beyond it, 503 at once.
        max_log_bytes: u64 = 1_000_000_000, 1..=1_000_000_000_000;
        /// A delivery that cannot be applied is parked after so many tries, about a second, two, four, … apart.
        max_attempts: u32 = 8, 1..=64;
        /// Groups of deliveries that are applied at a time; on SQLite always two.
        workers: usize = 4, 1..=1_000;
        /// Days that settled deliveries are kept: so long a repeated one is recognised, and any can be replayed.
        retention_days: u64 = 7, 1..=36_500;
        /// Bytes of deliveries that are kept; the oldest settled ones go first.
        retention_bytes: u64 = 2_000_000_000, 0..=1_000_000_000_000;
        /// Whether `serve` starts on a PostgreSQL that may lose what it committed (`fsync` or `synchronous_commit` is off).
        allow_unsafe_database: bool = false;
    }
}
