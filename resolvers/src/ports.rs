//! The one place that says where each port of the graph is answered.

use std::{sync::Arc, time::Duration};

use mullion_schema::ports::{Nodes, Ports, UnknownWords, ViewerView};
use tokio::sync::Notify;

use crate::{
    accounts::{Accounts, AccountsAnswer, Connector, QuotaUses, Webhooks},
    activity::{Activities, ActivityAnswer, Cursors},
    boards::{Boards, BoardsAnswer},
    bus::Wake,
    cache::kept::Kept,
    changes::Applier,
    clock::Clock,
    inbox::{Deliveries, DeliveriesAnswer},
    live::LiveHub,
    provider::Providers,
    reading::{Engine, Scope, session::Session},
    store::Database,
    upstream::Upstream,
    vault::Vault,
};

/// How long a row of our own is kept in memory at most, as an answer is.
const KEPT: Duration = Duration::from_secs(30);
/// Bytes that all rows of a kind may take, about. They are small, and there are few of them.
const KEPT_BYTES: u64 = 4_000_000;

/// The parts that the rooms are made from.
pub struct Parts {
    /// The database.
    pub database: Database,
    /// Seals tokens and secrets.
    pub vault: Vault,
    /// Reads the providers' nodes.
    pub engine: Arc<Engine>,
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
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Registers webhooks.
    pub webhooks: Arc<Webhooks>,
    /// Wakes the inbox's workers.
    pub wake: Wake,
    /// Notified when a token for a socket is given or taken away.
    pub socket_tokens: Arc<Notify>,
    /// Counts what is used of the providers' quotas.
    pub quota_uses: Arc<QuotaUses>,
    /// Counts words of providers that the graph does not know.
    pub unknown_words: Arc<dyn UnknownWords>,
}

/// The rooms that answer the ports: nodes and work items are answered by [`Session`], over the engine.
pub struct Rooms {
    pub(crate) engine: Arc<Engine>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) boards: Arc<Boards>,
    /// Activities, for the releaser too.
    pub activities: Arc<Activities>,
    pub(crate) deliveries: Arc<Deliveries>,
    unknown_words: Arc<dyn UnknownWords>,
}

impl Rooms {
    /// The rooms over these parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { database, vault, engine, applier, hub, providers, connector, upstream, clock, .. } = parts;
        let activities = Arc::new(Activities {
            database: database.clone(),
            engine: Arc::clone(&engine),
            providers: Arc::clone(&providers),
            cursors: Cursors::new(&vault),
            clock: Arc::clone(&clock),
            kept: kept(&engine),
        });
        let boards = Arc::new(Boards {
            database: database.clone(),
            engine: Arc::clone(&engine),
            applier: Arc::clone(&applier),
            clock: Arc::clone(&clock),
            dashboards: kept(&engine),
            widgets: kept(&engine),
        });
        let deliveries = Arc::new(Deliveries {
            database: database.clone(),
            activities: Arc::clone(&activities),
            hub,
            wake: parts.wake,
        });
        let accounts = Arc::new(Accounts {
            database,
            vault,
            engine: Arc::clone(&engine),
            applier,
            providers,
            connector,
            upstream,
            clock,
            webhooks: parts.webhooks,
            socket_tokens: parts.socket_tokens,
            quota_uses: parts.quota_uses,
            kept: kept(&engine),
        });
        Self { engine, accounts, boards, activities, deliveries, unknown_words: parts.unknown_words }
    }

    /// The ports of one execution.
    pub fn ports(&self, viewer: &Arc<ViewerView>, scope: &Arc<Scope>) -> Ports {
        let session = Arc::new(Session::new(Arc::clone(&self.engine), Arc::clone(scope)));
        let scope = || Arc::clone(scope);
        Ports {
            nodes: Arc::clone(&session) as Arc<dyn Nodes>,
            work: session,
            boards: Arc::new(BoardsAnswer { boards: Arc::clone(&self.boards), scope: scope() }),
            accounts: Arc::new(AccountsAnswer { accounts: Arc::clone(&self.accounts), scope: scope() }),
            activity: Arc::new(ActivityAnswer { activities: Arc::clone(&self.activities), scope: scope() }),
            deliveries: Arc::new(DeliveriesAnswer { deliveries: Arc::clone(&self.deliveries), scope: scope() }),
            unknown_words: Arc::clone(&self.unknown_words),
            viewer: Arc::clone(viewer),
        }
    }
}

fn kept<K, V>(engine: &Engine) -> Kept<K, V>
where
    K: Clone + Eq + std::hash::Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Kept::new(Arc::clone(&engine.epochs), KEPT_BYTES, Some(KEPT))
}
