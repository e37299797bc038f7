//! `[cache]`: how much memory the caches may take.

use super::section::section;

section! {
    /// How much memory the caches may take.
    Cache in "cache" {
        /// Parsed documents.
        document_bytes: u64 = 32_000_000, 0..=1_000_000_000_000;
        /// Serialized answers.
        response_bytes: u64 = 64_000_000, 0..=1_000_000_000_000;
        /// Nodes of providers, and the lists that hold them.
        node_bytes: u64 = 128_000_000, 0..=1_000_000_000_000;
        /// Answers of providers that are kept with their ETags, to be asked for again for free.
        etag_bytes: u64 = 32_000_000, 0..=1_000_000_000_000;
    }
}
