//! `[upstream]`: how the providers are called.

use super::section::section;

section! {
    /// How the providers are called.
    Upstream in "upstream" {
        /// Hosts (`host` or `host:port`) that may be called although they are private or not https.
        allow: Vec<String> = Vec::new();
        /// Longest time of one call.
        timeout_seconds: u64 = 15, 1..=3_600;
        /// Milliseconds that a fetch is waited for where an older value is known. After that the older value is served as STALE, and replaced when the fetch ends. Subscriptions wait no longer in any case: what is not known by then is a problem of its widget until the fetch ends.
        patience_milliseconds: u64 = 1_000, 0..=3_600_000;
        /// Calls at a time, for each integration.
        max_concurrency: usize = 8, 1..=10_000;
    }
}
