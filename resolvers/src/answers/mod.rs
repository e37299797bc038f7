//! Answers of the graph's ports about our own rows, and what they share.

pub(crate) mod rows;

use std::sync::Arc;

use mullion_schema::ports::{Ports, UnknownWords, ViewerView};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use url::Url;

pub use self::rows::Rows;
use crate::{
    accounts::{AccountsAnswer, Connector, QuotaUses},
    activity::{ActivityAnswer, Cursors},
    boards::BoardsAnswer,
    bus::Wake,
    changes::Applier,
    clock::Clock,
    inbox::DeliveriesAnswer,
    live::LiveHub,
    provider::Providers,
    reading::{Engine, Scope, session::Session},
    store::Database,
    upstream::Upstream,
    vault::Vault,
};

/// The parts of a running gateway that answers are made from. Wired once.
pub struct Services {
    /// The database.
    pub database: Database,
    /// Seals tokens and secrets.
    pub vault: Vault,
    /// Reads the providers' nodes.
    pub engine: Arc<Engine>,
    /// Rows of our own in memory.
    pub rows: Rows,
    /// Writes what providers tell, and announces changes.
    pub applier: Arc<Applier>,
    /// Live operations.
    pub hub: Arc<LiveHub>,
    /// The providers.
    pub providers: Arc<Providers>,
    /// Connects integrations.
    pub connector: Arc<Connector>,
    /// Calls to providers.
    pub upstream: Upstream,
    /// Event cursors.
    pub cursors: Cursors,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where providers reach us: `{base}/webhooks/…`. `None`: nowhere.
    pub webhook_base: Option<Url>,
    /// Tells the inbox's workers that something waits.
    pub wake: Wake,
    /// Tells the listeners that a token for a socket was given or taken away.
    pub sockets: Arc<Notify>,
    /// Counts what is used of the providers' quotas.
    pub quota_uses: Arc<QuotaUses>,
    /// Counts words of providers that the graph does not know.
    pub unknown_words: Arc<dyn UnknownWords>,
    /// Where tasks run.
    pub tasks: TaskTracker,
}

impl Services {
    /// The ports of one execution.
    pub fn ports(self: &Arc<Self>, viewer: &Arc<ViewerView>, scope: &Arc<Scope>) -> Ports {
        let session = Arc::new(Session::new(Arc::clone(&self.engine), Arc::clone(scope)));
        Ports {
            nodes: Arc::clone(&session) as Arc<dyn mullion_schema::ports::Nodes>,
            boards: Arc::new(BoardsAnswer { services: Arc::clone(self), scope: Arc::clone(scope) }),
            accounts: Arc::new(AccountsAnswer { services: Arc::clone(self), scope: Arc::clone(scope) }),
            activity: Arc::new(ActivityAnswer { services: Arc::clone(self), scope: Arc::clone(scope) }),
            deliveries: Arc::new(DeliveriesAnswer { services: Arc::clone(self), scope: Arc::clone(scope) }),
            work: session,
            unknown_words: Arc::clone(&self.unknown_words),
            viewer: Arc::clone(viewer),
        }
    }
}
