//! `[limits]`: what a document may ask.

use super::section::section;

section! {
    /// The limits of a document; one that is over a limit is refused with `OPERATION_TOO_COMPLEX`.
    Limits in "limits" {
        /// Tokens of a document.
        max_tokens: usize = 10_000, 1..=10_000_000;
        /// Brackets of any kind in each other; the executor recurses on them.
        max_nesting: usize = 32, 1..=64;
        /// Aliases in a document.
        max_aliases: usize = 100, 0..=1_000_000;
        /// Fields of an operation, fragments expanded. All operations and fragments of a document together may come to eight times as many fields and values.
        max_fields: u64 = 10_000, 1..=1_000_000_000;
        /// Levels of fields; introspection counts as one.
        max_depth: u64 = 15, 1..=64;
        /// Cost of an operation: its fields times the sizes of the lists around them, as `@listSize` and `@cost` in the SDL say.
        max_cost: u64 = 200_000, 1..=1_000_000_000_000;
        /// Bytes of an answer; one that grows beyond it ends with `OPERATION_TOO_COMPLEX` while it is built.
        max_answer_bytes: usize = 16_000_000, 100_000..=256_000_000;
        /// Queries and mutations of one tenant that are executed at a time; others wait their turn (at most half of `server.request_timeout_seconds`, then they are refused with `RATE_LIMITED`), cached answers and live updates do not.
        max_concurrent_executions: usize = 16, 1..=100_000;
        /// Live updates of one tenant that are executed at a time, and four times as many of all tenants together; others wait their turn, those of several tenants in rotation. One that waits for a provider does not count.
        max_concurrent_live_executions: usize = 16, 1..=100_000;
        /// Seconds of processor time that the queries and mutations of one tenant may take in a minute, at once or spread over it; beyond, they are refused with `RATE_LIMITED`. Reading and validating a document counts, also where it is refused; cached answers and live updates do not. 0: as many as there are. In `dev`, where there is one tenant only, 0 counts instead of the default.
        max_processor_seconds_per_minute: u64 = 60, 0..=60_000;
        /// Bytes that are held in memory for one tenant: live updates that are kept, answers that are not sent yet, and the documents and variables of live operations, caches apart. Beyond, queries, mutations and new subscriptions are refused with `RATE_LIMITED` until some are sent.
        max_held_bytes_per_tenant: usize = 256_000_000, 1_000_000..=1_000_000_000_000;
        /// Dashboards that one tenant may have.
        max_dashboards: usize = 1_000, 1..=1_000_000;
        /// Widgets that one dashboard may have; each is read for every answer about it.
        max_widgets_per_dashboard: usize = 100, 1..=1_000;
    }
}
