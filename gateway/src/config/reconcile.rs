//! `[reconcile]`: how often providers are asked for what their webhooks may not have told.

use super::section::section;

section! {
    /// How often providers are asked for what their webhooks may not have told.
    Reconcile in "reconcile" {
        /// Time between two looks at an integration whose webhooks arrive, while somebody watches it.
        live_seconds: u64 = 1_800, 1..=31_536_000;
        /// The same where there are webhooks and none arrives, or where something was just found missing.
        silent_seconds: u64 = 90, 1..=31_536_000;
        /// The same where there are no webhooks.
        polling_seconds: u64 = 45, 1..=31_536_000;
        /// The same where nobody watches; `dev` never looks then. 0: never.
        unwatched_seconds: u64 = 21_600, 0..=31_536_000;
        /// Webhooks of which nothing was seen for so long count as silent.
        silent_after_seconds: u64 = 3_600, 1..=31_536_000;
        /// Calls to the provider in one look, more or less; what is left over has to wait for the next.
        max_calls: usize = 20, 1..=100_000;
    }
}
