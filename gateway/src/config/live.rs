//! `[live]`: WebSockets, event streams, and the stream that they resume from.

use super::section::section;

section! {
    /// WebSockets, event streams, and the stream that they resume from.
    Live in "live" {
        /// How long a WebSocket may take until `connection_init`.
        init_timeout_milliseconds: u64 = 5_000;
        /// Time between pings of a WebSocket; each carries the current cursor.
        ping_seconds: u64 = 25;
        /// Time between keep-alives of an event stream; each carries the current cursor.
        event_stream_keep_alive_seconds: u64 = 15;
        /// Operations that one WebSocket may run at a time.
        max_operations_per_socket: usize = 100;
        /// Open WebSockets and event streams of this process.
        max_sockets: usize = 10_000;
        /// Longest message that a WebSocket may send.
        max_message_bytes: usize = 65_536;
        /// Days that a cursor can be resumed from.
        retention_days: u64 = 7;
        /// Changes of a tenant that a cursor can be resumed over; older ones go first.
        retention_changes: u64 = 1_000_000;
        /// Time between re-reads of a live widget whose webhooks are silent.
        poll_seconds: u64 = 60;
    }
}
