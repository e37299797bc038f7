//! `[upstream]`: how the providers are called.

use super::section::section;

section! {
    /// How the providers are called.
    Upstream in "upstream" {
        /// Hosts (`host` or `host:port`) that may be called although they are private or not https.
        allow: Vec<String> = Vec::new();
        /// Longest time of one call.
        timeout_seconds: u64 = 15;
        /// Calls at a time, for each integration.
        max_concurrency: usize = 8;
    }
}
