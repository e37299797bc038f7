//! The parts that most of the resolvers' rooms stand on, put together.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use mullion_resolvers::{
    accounts::{Connector, QuotaUses, Webhooks},
    bus::{Bus, Wake},
    cache::{epochs::Epochs, nodes::NodeCache},
    changes::{Announcer, Applier},
    clock::Clock,
    execution,
    live::LiveHub,
    ports::{self, Rooms},
    provider::Providers,
    reading::{CachedStore, Claims, Directory, Engine, EngineParts},
    reconcile,
    store::Database,
    upstream::Upstream,
    vault::Vault,
};
use mullion_schema::ports::UnknownWords;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::{config::Config, reconciling};

/// The parts that the rooms share.
pub struct Core {
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
    /// Tells the inbox's workers that something waits.
    pub wake: Wake,
}

/// The core's ways to the outside.
pub(crate) struct Outside {
    /// The vault's key.
    pub(crate) key: [u8; 32],
    /// The clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// The way to the providers.
    pub(crate) upstream: Upstream,
    /// Live operations.
    pub(crate) hub: Arc<LiveHub>,
    /// The way to the other replicas.
    pub(crate) bus: Arc<dyn Bus>,
    /// The claims by which replicas share their fetches.
    pub(crate) claims: Claims,
    /// Where fetches run.
    pub(crate) tasks: TaskTracker,
}

/// The parts that the rooms need beside the core.
pub(crate) struct RoomParts {
    /// Registers webhooks.
    pub(crate) webhooks: Arc<Webhooks>,
    /// Notified when a token for a socket is given or taken away.
    pub(crate) socket_tokens: Arc<Notify>,
    /// Counts what is used of the providers' quotas.
    pub(crate) quota_uses: Arc<QuotaUses>,
    /// Counts words of providers that the graph does not know.
    pub(crate) unknown_words: Arc<dyn UnknownWords>,
}

/// The core, and the announcer that follows what other replicas write.
pub(crate) fn core(config: &Config, database: Database, outside: Outside) -> anyhow::Result<(Core, Arc<Announcer>)> {
    let Outside { key, clock, upstream, hub, bus, claims, tasks } = outside;
    let vault = Vault::new([STANDARD.encode(key).as_str()]).context("the encryption key cannot be used")?;
    let providers: Arc<Providers> = Arc::new(mullion_resolvers::providers::all());
    let epochs = Arc::new(Epochs::default());
    // Lists get half as much as the nodes, and both no more than the setting allows.
    let nodes = NodeCache::new(config.cache.node_bytes / 3 * 2);
    let cached_store = Arc::new(CachedStore::new(database.clone(), nodes, Arc::clone(&epochs)));
    let connector = Arc::new(Connector::new(
        database.clone(),
        vault.clone(),
        Arc::clone(&providers),
        upstream.clone(),
        (Arc::clone(&clock), reconciling::pulse_rules(config)),
    ));
    let directory =
        Arc::new(Directory::new(Arc::clone(&connector) as _, Arc::clone(&cached_store), Arc::clone(&epochs)));
    let announcer = Announcer::new(database.clone(), Arc::clone(&epochs), Arc::clone(&hub), Arc::clone(&bus));
    let announcer = Arc::new(announcer);
    let applier = Arc::new(Applier::new(Arc::clone(&cached_store), Arc::clone(&announcer)));
    let engine = Engine::new(EngineParts {
        cached_store,
        directory,
        sink: Arc::clone(&applier) as _,
        claims,
        epochs,
        clock: Arc::clone(&clock),
        tasks,
    });
    let engine = Arc::new(engine.with_patience(Duration::from_millis(config.upstream.patience_milliseconds)));
    let wake = Wake::new(bus);
    let core = Core { database, vault, engine, applier, hub, providers, connector, upstream, clock, wake };
    Ok((core, announcer))
}

impl Core {
    pub(crate) fn for_reconciler(&self, webhooks: Arc<Webhooks>) -> reconcile::Parts {
        reconcile::Parts {
            database: self.database.clone(),
            engine: Arc::clone(&self.engine),
            applier: Arc::clone(&self.applier),
            hub: Arc::clone(&self.hub),
            connector: Arc::clone(&self.connector),
            webhooks,
            wake: self.wake.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    pub(crate) fn rooms(&self, parts: RoomParts) -> Arc<Rooms> {
        let RoomParts { webhooks, socket_tokens, quota_uses, unknown_words } = parts;
        Arc::new(Rooms::new(ports::Parts {
            database: self.database.clone(),
            vault: self.vault.clone(),
            engine: Arc::clone(&self.engine),
            applier: Arc::clone(&self.applier),
            hub: Arc::clone(&self.hub),
            providers: Arc::clone(&self.providers),
            connector: Arc::clone(&self.connector),
            upstream: self.upstream.clone(),
            clock: Arc::clone(&self.clock),
            webhooks,
            wake: self.wake.clone(),
            socket_tokens,
            quota_uses,
            unknown_words,
        }))
    }

    pub(crate) fn for_executor(&self, rooms: Arc<Rooms>, tasks: TaskTracker) -> execution::Parts {
        execution::Parts {
            rooms,
            database: self.database.clone(),
            engine: Arc::clone(&self.engine),
            hub: Arc::clone(&self.hub),
            clock: Arc::clone(&self.clock),
            tasks,
        }
    }
}
