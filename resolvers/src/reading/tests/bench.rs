//! The starting point of the cases: the services of one process over an empty database, with one account of GitHub.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use mullion_schema::{
    id::{IntegrationId, TenantId},
    ports::Filter,
};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::scripted::Scripted;
use crate::{
    accounts::{Connector, QuotaUses, Webhooks},
    bus::{Alone, Wake},
    cache::{epochs::Epochs, nodes::NodeCache},
    changes::{Announcer, Applier},
    clock::Clock,
    live::{LiveHub, LiveRules, Retry},
    ports::{self, Rooms},
    provider::{
        FetchedPage, ListRef, NodeRef, PageWant, Providers,
        change::{Change, NodeWrite, Version},
    },
    reading::{
        CachedStore, Claims, Directory, Engine, EngineParts,
        integrations::{Integration, PulseRules},
    },
    store::{
        Database,
        apply::{Batch, Source},
        tests::bench::{Bench, body, draft},
    },
    tag::Tag,
    upstream::{AddressGuard, Jitter, Limits, NoObserver, Upstream},
    vault::Vault,
};

/// How long a fetch is waited for where an older value is known: longer than any takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// The parts of one process.
pub(crate) struct Services {
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) database: Database,
    pub(crate) vault: Vault,
    pub(crate) engine: Arc<Engine>,
    pub(crate) applier: Arc<Applier>,
    pub(crate) hub: Arc<LiveHub>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: TaskTracker,
}

/// Services, and the account.
pub(crate) struct World {
    pub(crate) store: Bench,
    /// The provider that the account's fetches ask.
    pub(crate) upstream: Arc<Scripted>,
    pub(crate) services: Arc<Services>,
    pub(crate) tenant: TenantId,
    pub(crate) account: IntegrationId,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::over(Bench::sqlite().await).await
    }

    /// The same over a database of either kind.
    pub(crate) async fn over(store: Bench) -> Self {
        let (tenant, account) = (store.tenant.clone(), IntegrationId::from("hub"));
        store.db.create_integration(&tenant, &account, "github", draft("GitHub")).await.unwrap();
        let upstream = Arc::new(Scripted::new(Arc::clone(&crate::providers::all()["github"])));
        let services = services(&store, with_scripted(&upstream));
        Self { store, upstream, services, tenant, account }
    }

    /// The same, where a fetch is waited for no longer than `patience` if an older value is known.
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        let calling = (AddressGuard::default(), Limits::default());
        let services = services_over(&self.store, with_scripted(&self.upstream), calling, patience);
        Self { services, ..self }
    }

    /// Another process over the same database, with nothing in memory.
    pub(crate) fn restarted(self) -> Self {
        Self { services: services(&self.store, with_scripted(&self.upstream)), ..self }
    }

    pub(crate) async fn integration(&self) -> Arc<Integration> {
        self.services.engine.directory().get(&self.tenant, &self.account).await.unwrap().unwrap()
    }

    /// How many statements have read from the store.
    pub(crate) fn reads(&self) -> u64 {
        self.store.db.statements_read()
    }

    /// Applies the results of a fetch.
    pub(crate) async fn fetched(&self, writes: Vec<NodeWrite>, pages: Vec<FetchedPage>) {
        let mut batch = Batch::of_fetch(self.store.tick());
        batch.changes = vec![Change { writes, ..Change::default() }];
        batch.pages = pages;
        self.services.applier.apply(self.integration().await.as_ref(), batch).await.unwrap();
    }

    /// Applies what a webhook tells.
    pub(crate) async fn told(&self, change: Change) {
        self.outdated_by(change).await;
    }

    /// The same; the tags that it outdates.
    pub(crate) async fn outdated_by(&self, change: Change) -> Vec<Tag> {
        let batch = self.delivery(change);
        let applied = self.services.applier.apply(self.integration().await.as_ref(), batch).await.unwrap();
        applied.changes.into_iter().flat_map(|change| change.tags).collect()
    }

    /// The same, told to another process over the same database.
    pub(crate) async fn told_elsewhere(&self, change: Change) {
        let (batch, provider) = (self.delivery(change), &self.integration().await.provider);
        let applied = self.store.db.apply(&self.tenant, &self.account, provider, batch).await.unwrap();
        self.services.applier.announce(&self.tenant, &applied.changes).await;
    }

    fn delivery(&self, change: Change) -> Batch {
        let mut batch = Batch::of_fetch(self.store.tick());
        batch.source = Source::Webhook;
        batch.changes = vec![change];
        batch
    }
}

/// The providers, with what the case says in the place of GitHub's API.
fn with_scripted(upstream: &Arc<Scripted>) -> Arc<Providers> {
    let mut providers = crate::providers::all();
    providers.insert("github", Arc::clone(upstream) as _);
    Arc::new(providers)
}

/// The services of one more process over the same database.
pub(crate) fn services(store: &Bench, providers: Arc<Providers>) -> Arc<Services> {
    services_over(store, providers, (AddressGuard::default(), Limits::default()), PATIENCE)
}

/// Services that call providers within these limits, and wait so long for them where an older value is known.
pub(crate) fn services_over(
    store: &Bench,
    providers: Arc<Providers>,
    (guard, limits): (AddressGuard, Limits),
    patience: Duration,
) -> Arc<Services> {
    let (database, clock, tasks) = (store.db.clone(), Arc::new(store.clock.clone()), TaskTracker::new());
    let vault = Vault::new([STANDARD.encode([7; 32]).as_str()]).unwrap();
    let quota_uses = Arc::new(QuotaUses::new(database.clone(), tasks.clone(), Arc::clone(&clock) as _));
    let upstream = Upstream::new(guard, limits, Arc::clone(&clock) as _, Arc::new(NoObserver), Jitter::fixed(0.0));
    let upstream = upstream.with_usage_log(Arc::clone(&quota_uses) as _);
    let epochs = Arc::new(Epochs::default());
    let cached_store = Arc::new(CachedStore::new(database.clone(), NodeCache::new(64 << 20), Arc::clone(&epochs)));
    let retry = Retry { first: Duration::from_millis(1), longest: Duration::from_millis(4), ..Retry::default() };
    let rules = LiveRules { reread: Duration::from_hours(1), retry, ..LiveRules::default() };
    let hub = LiveHub::new(tasks.clone(), rules);
    let rules = (Arc::clone(&clock) as _, PulseRules::default());
    let connector =
        Arc::new(Connector::new(database.clone(), vault.clone(), Arc::clone(&providers), upstream.clone(), rules));
    let directory =
        Arc::new(Directory::new(Arc::clone(&connector) as _, Arc::clone(&cached_store), Arc::clone(&epochs)));
    let announcer = Announcer::new(database.clone(), Arc::clone(&epochs), Arc::clone(&hub), Arc::new(Alone));
    let applier = Arc::new(Applier::new(Arc::clone(&cached_store), Arc::new(announcer)));
    let engine = Engine::new(EngineParts {
        cached_store,
        directory,
        sink: Arc::clone(&applier) as _,
        claims: Claims::alone(),
        epochs,
        clock: Arc::clone(&clock) as _,
        tasks: tasks.clone(),
    });
    let engine = Arc::new(engine.with_patience(patience));
    let webhooks = Webhooks { database: database.clone(), vault: vault.clone(), base: None };
    let rooms = Rooms::new(ports::Parts {
        database: database.clone(),
        vault: vault.clone(),
        engine: Arc::clone(&engine),
        applier: Arc::clone(&applier),
        hub: Arc::clone(&hub),
        providers,
        connector,
        upstream,
        clock: Arc::clone(&clock) as _,
        webhooks: Arc::new(webhooks),
        wake: Wake::new(Arc::new(Alone)),
        socket_tokens: Arc::default(),
        quota_uses,
        unknown_words: Arc::new(mullion_schema::ports::IgnoreUnknownWords),
    });
    Arc::new(Services { rooms: Arc::new(rooms), database, vault, engine, applier, hub, clock, tasks })
}

/// A repository.
pub(crate) fn repository(id: &str) -> NodeRef {
    NodeRef::new("GithubRepository", id)
}

/// The list of a repository's issues.
pub(crate) fn issues_of(repository_id: &str) -> ListRef {
    ListRef { parent: Some(repository(repository_id)), name: "issues" }
}

/// An issue of a repository, with everything that is known of issues; `fields` over what all have.
pub(crate) fn issue(repository: &str, id: &str, updated_at: DateTime<Utc>, fields: Value) -> NodeWrite {
    let kind = mullion_schema::providers::node_type("GithubIssue").unwrap();
    let mut known: BTreeMap<String, Value> = kind.keys().into_iter().map(|key| (key.to_owned(), Value::Null)).collect();
    let usual = json!({
        "number": 1, "title": format!("Issue {id}"), "issueState": "OPEN", "labels": [], "assignees": [],
        "assigneeLogins": [], "repositoryName": "acme/web", "repository": format!("GithubRepository:{repository}"),
        "url": "https://github.com/acme/web/issues/1", "bodyText": "", "commentCount": 0,
        "updatedAt": updated_at.to_rfc3339(), "createdAt": updated_at.to_rfc3339(),
    });
    known.extend(body(usual));
    known.extend(body(fields));
    let version = Version { at: updated_at.timestamp_micros(), rank: 0 };
    NodeWrite::core(NodeRef::new("GithubIssue", id), version, known.into_iter().collect())
}

/// The first page of a list, which is all of it.
pub(crate) fn all_of(list: ListRef, filter: Filter, items: Vec<NodeRef>) -> FetchedPage {
    FetchedPage {
        want: PageWant { list, filter, cursor: None },
        total: i64::try_from(items.len()).ok(),
        items,
        next: None,
    }
}
