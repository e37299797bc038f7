//! The starting point of every case: an empty database, a clock that is turned by hand, two tenants with an integration each, and
//! the rules of a provider that is not there.

use std::{path::PathBuf, sync::Arc};

use chrono::{DateTime, Duration, Utc};
use mullion_schema::{
    id::{IntegrationId, NodeKey, TenantId},
    ports::{Filter, List},
    view::Body,
};
use sea_orm::{ConnectionTrait, Database as Connector, DbErr, RuntimeErr, TransactionTrait as _};
use serde_json::{Value, json};

use crate::{
    clock::{Clock, FixedClock},
    provider::{
        CopiedFields, Count, FetchedPage, Keeping, ListRef, NodeRef, PageWant,
        change::{Change, NodeWrite, Version},
        sentence::{Detail, Details, SentenceParts},
    },
    store::{
        Database, OpenOptions, StoreError,
        apply::{Applied, Batch, Rules, Source},
        inbox::WaitingDelivery,
        integration::{IntegrationDraft, IntegrationStage, IntegrationStatus},
        lease::{Held, LANES},
        node::StoredNode,
    },
};

/// A database with two tenants.
pub(crate) struct Bench {
    pub(crate) db: Database,
    pub(crate) clock: FixedClock,
    pub(crate) url: String,
    pub(crate) tenant: TenantId,
    pub(crate) integration: IntegrationId,
    pub(crate) other_tenant: TenantId,
    pub(crate) other_integration: IntegrationId,
    /// The database file, where there is one.
    pub(crate) file: Option<PathBuf>,
    _folder: Option<tempfile::TempDir>,
}

impl Bench {
    /// A transaction that is open until this is dropped. On SQLite nobody else can write meanwhile.
    pub(crate) async fn open_transaction(&self) -> impl Sized + use<> {
        self.db.migration_connection().begin().await.unwrap()
    }

    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mullion.db");
        Self::new(&format!("sqlite://{}", file.display()), Some(file), Some(folder)).await
    }

    #[expect(clippy::disallowed_methods, reason = "tests are told by the environment where PostgreSQL is")]
    pub(crate) async fn postgres() -> Self {
        let Ok(url) = std::env::var("MULLION_TEST_POSTGRES_URL") else {
            panic!(
                "MULLION_TEST_POSTGRES_URL is not set: start a PostgreSQL and set it to postgres://user@host:port/database, \
                 of a user that may create databases; ./tests/run does so"
            );
        };
        let admin = Connector::connect(&url).await.unwrap();
        let name = format!("store_{}", ulid::Ulid::from_parts(0, random()).to_string().to_lowercase());
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
        admin.close().await.unwrap();
        let mut url = url::Url::parse(&url).unwrap();
        url.set_path(&name);
        Self::new(url.as_str(), None, None).await
    }

    /// Another empty one, on the same kind of database.
    pub(crate) async fn like(other: &Self) -> Self {
        if other.file.is_some() { Self::sqlite().await } else { Self::postgres().await }
    }

    async fn new(url: &str, file: Option<PathBuf>, folder: Option<tempfile::TempDir>) -> Self {
        let clock = FixedClock::at(start());
        let options =
            OpenOptions { max_connections: 4, own_lease_clock: true, dashboards: 60, ..OpenOptions::default() };
        let db = Database::open(url, &options, Arc::new(clock.clone())).await.unwrap();
        mullion_migrations::apply(db.migration_connection()).await.unwrap();
        let (tenant, other_tenant) = (TenantId::from("acme"), TenantId::from("umbrella"));
        let (integration, other_integration) = (IntegrationId::from("i-acme"), IntegrationId::from("i-umbrella"));
        db.beat("nobody", true).await.unwrap();
        db.leave("nobody").await.unwrap();
        for (tenant, integration) in [(&tenant, &integration), (&other_tenant, &other_integration)] {
            db.create_tenant(tenant, "A tenant").await.unwrap();
            db.create_integration(tenant, integration, "fake", draft("An account")).await.unwrap();
        }
        Self {
            db,
            clock,
            url: url.to_owned(),
            tenant,
            integration,
            other_tenant,
            other_integration,
            file,
            _folder: folder,
        }
    }

    /// Applies a delivery that came in now.
    pub(crate) async fn deliver(&self, changes: Vec<Change>) -> Applied {
        let mut batch = Batch::of_fetch(self.tick());
        batch.source = Source::Webhook;
        batch.changes = changes;
        self.db.apply(&self.tenant, &self.integration, &FakeRules, batch).await.unwrap()
    }

    /// Applies a fetch that is sent now.
    pub(crate) async fn fetch(&self, writes: Vec<NodeWrite>, pages: Vec<FetchedPage>) -> Applied {
        let mut batch = Batch::of_fetch(self.tick());
        batch.changes = vec![Change { writes, ..Change::default() }];
        batch.pages = pages;
        self.db.apply(&self.tenant, &self.integration, &FakeRules, batch).await.unwrap()
    }

    pub(crate) fn tick(&self) -> DateTime<Utc> {
        self.clock.advance(Duration::milliseconds(10));
        self.clock.now()
    }

    pub(crate) async fn node(&self, node: &NodeRef) -> Option<StoredNode> {
        let key = NodeKey::new(&self.integration, node.type_name, node.native_id.clone());
        self.db.nodes(&self.tenant, &[key]).await.unwrap().pop().unwrap()
    }

    pub(crate) async fn members(&self, list: &List) -> Vec<String> {
        let members = self.db.members(&self.tenant, list, None, 1000).await.unwrap();
        members.into_iter().map(|member| member.native_id).collect()
    }

    pub(crate) async fn head(&self) -> i64 {
        self.db.head(&self.tenant).await.unwrap()
    }

    /// Runs SQL past the store: what another process would do.
    pub(crate) async fn behind_its_back(&self, sql: &str) {
        self.db.migration_connection().execute_unprepared(sql).await.unwrap();
    }

    /// The lanes that a worker of this name holds.
    pub(crate) async fn hold(&self, worker: &str) -> Held {
        self.db.beat(worker, false).await.unwrap()
    }

    /// The deliveries that are due, in all lanes.
    pub(crate) async fn due(&self) -> Vec<WaitingDelivery> {
        let lanes: Vec<i64> = (0..LANES).collect();
        self.db.next_deliveries(&lanes, 1000).await.unwrap()
    }

    /// The list of a repository's issues.
    pub(crate) fn issues(&self) -> List {
        List {
            integration: self.integration.clone(),
            parent: Some(("FakeRepo", "R1".into())),
            name: "issues",
            filter: Filter::new(),
        }
    }
}

/// The store's error while its database is away.
pub(crate) fn outage() -> StoreError {
    StoreError::Database(DbErr::Conn(RuntimeErr::Internal("away".into())))
}

pub(crate) fn start() -> DateTime<Utc> {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    u128::from_le_bytes(bytes)
}

pub(crate) fn draft(name: &str) -> IntegrationDraft {
    IntegrationDraft {
        name: name.into(),
        base_url: None,
        account_name: None,
        account_user: None,
        scopes: vec!["repo".into()],
        facts: serde_json::Map::new(),
        status: IntegrationStatus::Connected,
        stage: IntegrationStage::Prototype,
        token: None,
        connected_at: Some(start()),
        expires_at: None,
    }
}

pub(crate) fn issue_ref(id: &str) -> NodeRef {
    NodeRef::new("FakeIssue", id)
}

pub(crate) fn body(value: Value) -> Body {
    match value {
        Value::Object(fields) => fields,
        other => panic!("not an object: {other}"),
    }
}

/// An issue of the repository, that stands at `sort`.
pub(crate) fn issue(id: &str, version: i64, sort: &str, state: &str) -> NodeWrite {
    let fields = body(json!({ "sort": sort, "state": state }));
    NodeWrite::core(issue_ref(id), Version { at: version, rank: 0 }, fields)
}

pub(crate) fn written(writes: Vec<NodeWrite>) -> Vec<Change> {
    vec![Change { writes, ..Change::default() }]
}

pub(crate) fn issues_ref() -> ListRef {
    ListRef { parent: Some(NodeRef::new("FakeRepo", "R1")), name: "issues" }
}

/// A page of the issues.
pub(crate) fn page(cursor: Option<&str>, ids: &[&str], next: Option<&str>) -> FetchedPage {
    FetchedPage {
        want: PageWant { list: issues_ref(), filter: Filter::new(), cursor: cursor.map(str::to_owned) },
        items: ids.iter().map(|id| issue_ref(id)).collect(),
        next: next.map(str::to_owned),
        total: None,
    }
}

/// An issue copies the name of its repository.
const COPIED: &[CopiedFields] = &[CopiedFields {
    source: "FakeRepo",
    keys: &["name"],
    lists: &["issues"],
    reference: "repo",
    copy: |repo, _, _| repo.get("name").map(|name| ("repoName".to_owned(), name.clone())).into_iter().collect(),
}];

/// The parts of a sentence of one text.
pub(crate) fn saying(text: impl Into<Detail>) -> Details {
    Details::from([("text".to_owned(), text.into())])
}

/// Issues stand in their repository's list; searches are in the provider's own order.
pub(crate) struct FakeRules;

impl Rules for FakeRules {
    fn copied(&self) -> &'static [CopiedFields] {
        COPIED
    }

    fn memberships(&self, node: &NodeRef, body: &Body) -> Vec<(ListRef, String)> {
        let sort = body.get("sort").and_then(Value::as_str).filter(|_| node.type_name == "FakeIssue");
        sort.map(|sort| (issues_ref(), sort.to_owned())).into_iter().collect()
    }

    fn matches(&self, _list: &ListRef, filter: &Filter, body: &Body) -> bool {
        filter.get("states").is_none_or(|states| {
            body.get("state").and_then(Value::as_str).is_some_and(|state| states.iter().any(|wanted| wanted == state))
        })
    }

    fn keeping(&self, list: &ListRef) -> Keeping {
        if list.name == "search" { Keeping::Opaque } else { Keeping::Window }
    }

    fn type_name(&self, name: &str) -> Option<&'static str> {
        ["FakeIssue", "FakeRepo", "FakeUser"].into_iter().find(|known| *known == name)
    }

    fn filter_name(&self, name: &str) -> Option<&'static str> {
        (name == "states").then_some("states")
    }

    fn counts(&self) -> &'static [Count] {
        &[Count { parent: "FakeRepo", key: "openCount", list: "issues", filter: ("states", "OPEN") }]
    }

    fn is_container(&self, type_name: &str) -> bool {
        type_name == "FakeRepo"
    }

    fn sentence(&self, parts: &SentenceParts<'_>) -> String {
        parts.or("text", "")
    }

    fn names_come_later(&self) -> bool {
        false
    }
}
