//! The bus between the processes of one installation. The database is the truth; the bus only carries hints that a tenant's stream
//! or the inbox has grown, so that the others need not wait for their next look.

pub mod nats;
mod wake;

use async_trait::async_trait;
use mullion_schema::id::TenantId;

pub use self::wake::Wake;

/// A sign that something is worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A tenant's stream has at least this head.
    Head {
        /// The tenant of the stream.
        tenant: TenantId,
        /// Its head, or an earlier one.
        head: i64,
    },
    /// Deliveries wait in the inbox.
    Inbox,
}

/// Carries hints. They may be lost, come twice, late and out of order.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Tells the other processes. Never waits.
    fn tell(&self, hint: Hint);

    /// The next hint of another process; waits for ever where there are none.
    async fn hear(&self) -> Hint;

    /// Whether hints get through at present.
    fn is_connected(&self) -> bool;
}

/// One process alone: it has all changes at first hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

#[async_trait]
impl Bus for Alone {
    fn tell(&self, _: Hint) {}

    async fn hear(&self) -> Hint {
        std::future::pending().await
    }

    fn is_connected(&self) -> bool {
        false
    }
}
