//! `[persisted]`: automatic persisted queries.

use super::section::section;

section! {
    /// Automatic persisted queries: clients ask for a document by its SHA-256 hash, once they have sent it with the hash.
    Persisted in "persisted" {
        /// Whether clients may ask by hash; where not, they are told `PersistedQueryNotSupported` and send documents.
        enabled: bool = true;
        /// Documents that are kept of each tenant; beyond it, those go that were not used for the longest time.
        max_documents: u64 = 1_000, 1..=1_000_000_000;
        /// Bytes of them, of each tenant.
        max_bytes: u64 = 10_000_000, 1..=1_000_000_000_000;
        /// Days that a document is kept which nobody asks for.
        retention_days: u64 = 30, 1..=36_500;
        /// Bytes of documents, of all tenants, that are found without asking the database.
        memory_bytes: u64 = 8_000_000, 0..=1_000_000_000_000;
    }
}
