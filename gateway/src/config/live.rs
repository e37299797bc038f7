//! `[live]`: WebSockets, event streams, and the stream that they resume from.

use super::section::section;

section! {
    /// WebSockets, event streams, and the stream that they resume from.
    Live in "live" {
        /// How long a WebSocket may take until `connection_init`.
        init_timeout_milliseconds: u64 = 5_000, 1..=600_000;
        /// Time between pings of a WebSocket; they carry the cursor up to which everything was sent.
        ping_seconds: u64 = 25, 1..=3_600;
        /// Time between keep-alives of an event stream; they carry the cursor up to which everything was sent.
        event_stream_keep_alive_seconds: u64 = 15, 1..=3_600;
        /// Operations that one WebSocket may run at a time.
        max_operations_per_socket: usize = 100, 1..=1_000_000;
        /// Open WebSockets, event streams and multipart answers of this process.
        max_sockets: usize = 50_000, 1..=10_000_000;
        /// Those of one tenant; in `dev`, where there is one tenant only, `max_sockets` counts instead of the default.
        max_sockets_per_tenant: usize = 10_000, 1..=10_000_000;
        /// Subscriptions that one tenant may have, however many of them ask the same; beyond, they are refused with `RATE_LIMITED`.
        max_subscriptions_per_tenant: usize = 50_000, 1..=10_000_000;
        /// Subscriptions of one tenant that differ in document, variables or role, and are executed each on their own; beyond, they are refused with `RATE_LIMITED`.
        max_operations_per_tenant: usize = 5_000, 1..=10_000_000;
        /// Bytes of replies that a WebSocket's client may leave unread; more, and it is closed with 4413.
        max_queued_bytes: usize = 1_048_576, 1_024..=1_000_000_000;
        /// Messages a second that a WebSocket may send; the messages of four seconds may come at once. More: 4429.
        max_messages_per_second: u32 = 100, 1..=1_000_000_000;
        /// Longest message that a WebSocket may send.
        max_message_bytes: usize = 65_536, 1_024..=1_000_000_000;
        /// How many clients a second are asked to come back when the process ends: over what time `retryAfterMs` spreads them.
        reconnects_per_second: u32 = 1_000, 1..=1_000_000;
        /// Days that a cursor can be resumed from.
        retention_days: u64 = 7, 1..=36_500;
        /// Changes of a tenant that a cursor can be resumed over; older ones go first.
        retention_changes: u64 = 1_000_000, 1..=1_000_000_000_000;
        /// Changes that a widget, a dashboard or a node subscription is resumed over one by one; beyond, its whole state is sent.
        replay_changes: u64 = 10_000, 0..=1_000_000_000_000;
        /// Time between re-reads of a live widget whose webhooks are silent.
        poll_seconds: u64 = 60, 1..=86_400;
    }
}
