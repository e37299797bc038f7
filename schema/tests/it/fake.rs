//! Ports that are made up: a few nodes, lists, dashboards and integrations, and a record of what was asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_graphql::{Request, Response, Variables};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mullion_schema::{
    build,
    enums::{CircuitState, HealthState, IntegrationStatus, Stage, WebhookState, WidgetState, WorkItemState},
    error::{ErrorCode, PortError, ProviderContext},
    id::{ActivityId, DashboardId, EventCursor, GlobalId, IntegrationId, NodeKey, NodeReference, WidgetId},
    ports::*,
    providers,
    view::{FreshnessSource, FreshnessView, NodeView},
};
use serde_json::{Value, json};

/// The made-up world, and what was asked of it.
pub(crate) struct Fake {
    pub(crate) nodes: BTreeMap<String, Value>,
    pub(crate) lists: BTreeMap<&'static str, Vec<&'static str>>,
    pub(crate) failing: BTreeSet<String>,
    pub(crate) sources: Vec<Source>,
    pub(crate) integrations: Vec<(&'static str, &'static str)>,
    pub(crate) asked: Mutex<Vec<String>>,
}

pub(crate) fn time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
}

pub(crate) fn node_id(reference: &str) -> String {
    let (type_name, native_id) = reference.split_once(':').expect("a reference");
    GlobalId::Node { integration: "gh".into(), type_name: type_name.into(), native_id: native_id.into() }.encode()
}

pub(crate) fn own_id(type_name: &str, id: &str) -> String {
    GlobalId::own(type_name, id).encode()
}

fn reference(text: &str) -> NodeReference {
    let (type_name, native_id) = text.split_once(':').expect("a reference");
    NodeReference { integration: "gh".into(), type_name: type_name.into(), native_id: native_id.into() }
}

impl Fake {
    pub(crate) fn new() -> Self {
        let repository = json!({
            "name": "web", "nameWithOwner": "acme/web", "isPrivate": false, "isArchived": false,
            "owner": "GithubUser:U1", "updatedAt": "2026-11-22T10:00:00Z", "stargazerCount": 7,
        });
        let issue = json!({
            "number": 12, "title": "Broken", "issueState": "OPEN", "stateReason": null, "repositoryName": "acme/web",
            "labels": [{"name": "bug", "color": "f00"}], "assignees": ["GithubUser:U1"], "author": "GithubUser:U1",
            "repository": "GithubRepository:R1", "updatedAt": "2026-11-22T10:00:00Z", "dueOn": "2026-12-01",
        });
        let task = json!({
            "title": "Write it", "completed": false, "sectionName": "Doing", "labels": [], "customFields": [],
            "assignee": null, "updatedAt": "2026-11-22T11:00:00Z",
        });
        let user = json!({"login": "ada", "name": "Ada", "kind": "USER"});
        let nodes = [
            ("GithubRepository:R1", repository),
            ("GithubIssue:I1", issue),
            ("AsanaTask:T1", task),
            ("GithubUser:U1", user),
        ];
        Self {
            nodes: nodes.into_iter().map(|(key, body)| (key.to_owned(), body)).collect(),
            lists: BTreeMap::from([
                ("issues", vec!["GithubIssue:I1"]),
                ("work", vec!["GithubIssue:I1", "AsanaTask:T1"]),
            ]),
            failing: BTreeSet::new(),
            sources: vec![
                Source::WorkItems(WorkItemsSource::default()),
                Source::Builds(BuildsSource { containers: vec![reference("GithubRepository:R1")], branch: None }),
            ],
            integrations: vec![("gh", "github"), ("as", "asana")],
            asked: Mutex::default(),
        }
    }

    pub(crate) fn failing(mut self, what: &str) -> Self {
        self.failing.insert(what.to_owned());
        self
    }

    pub(crate) fn ask(&self, what: String) -> Result<(), PortError> {
        let failure = self.failure(&what);
        self.asked.lock().expect("no panic").push(what);
        failure.map_or(Ok(()), Err)
    }

    fn failure(&self, what: &str) -> Option<PortError> {
        if !self.failing.iter().any(|failing| what.starts_with(failing.as_str())) {
            return None;
        }
        let context = ProviderContext { provider: "github", integration: "gh".into(), retry_after: Some(30) };
        let error = PortError::new(ErrorCode::ProviderUnavailable, "GitHub does not answer");
        Some(PortError { provider: Some(context), ..error })
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }

    fn view(&self, reference: &str) -> Option<Arc<NodeView>> {
        let (type_name, native_id) = reference.split_once(':')?;
        let body = self.nodes.get(reference)?.as_object()?.clone();
        let table = providers::node_type(type_name)?;
        Some(Arc::new(NodeView {
            key: NodeKey::new(&"gh".into(), table.name, native_id),
            body: Arc::new(body),
            freshness: FreshnessView { fetched_at: time(), source: FreshnessSource::Cache, stale_because: None },
            failure: self.failure(&format!("fields of {reference}")).map(Arc::new),
        }))
    }

    fn items(&self, list: &str) -> Vec<(Position, Arc<NodeView>)> {
        let references = self.lists.get(list).cloned().unwrap_or_default();
        let at = |reference: &str| Position { sort: "1".into(), native_id: reference.into() };
        references.into_iter().filter_map(|reference| Some((at(reference), self.view(reference)?))).collect()
    }

    fn integration_view(id: &str, provider: &str) -> Arc<IntegrationView> {
        Arc::new(IntegrationView {
            id: id.into(),
            provider: provider.into(),
            name: format!("My {provider}"),
            account_name: None,
            status: IntegrationStatus::Connected,
            stage: Stage::Pilot,
            scopes: Vec::new(),
            connected_at: None,
            expires_at: None,
            webhook_url: None,
            updated_at: time(),
        })
    }

    fn widget_view(&self, index: usize) -> Option<Arc<WidgetView>> {
        Some(Arc::new(WidgetView {
            id: index.to_string().into(),
            dashboard: "d1".into(),
            title: format!("Widget {index}"),
            layout: Layout { x: 0, y: 0, width: 6, height: 4 },
            source: Arc::new(self.sources.get(index)?.clone()),
            updated_at: time(),
        }))
    }

    fn page(&self, source: &str, page: &PageRequest) -> Result<Load<WorkPage>, PortError> {
        self.ask(format!("{source} first {} of {:?}", page.first, page.fields.iter().collect::<Vec<_>>()))?;
        let items = self.items(if source == "work" { "work" } else { source });
        let state = if items.is_empty() { WidgetState::Empty } else { WidgetState::Ready };
        let value = WorkPage { total: Some(2), has_next: false, items };
        Ok(Load { value, state, problems: Vec::new(), missing: None, refreshed_at: Some(time()) })
    }
}

fn dashboard_view() -> Arc<DashboardView> {
    Arc::new(DashboardView {
        id: "d1".into(),
        slug: "team".into(),
        name: "Team".into(),
        description: None,
        columns: 12,
        created_at: time(),
        updated_at: time(),
    })
}

#[async_trait]
impl Nodes for Fake {
    async fn node(&self, key: NodeKey, want: Want) -> Result<Option<Arc<NodeView>>, PortError> {
        self.ask(format!("{} {:?} lists {:?}", key.reference(), want.fields.iter().collect::<Vec<_>>(), want.lists))?;
        Ok(self.view(&key.reference()))
    }

    async fn find(&self, lookup: Lookup, want: Want) -> Result<Option<Arc<NodeView>>, PortError> {
        self.ask(format!("find {} {:?} lists {:?}", lookup.name, lookup.arguments, want.lists))?;
        let found = match lookup.name {
            "repository" => "GithubRepository:R1",
            "issue" => "GithubIssue:I1",
            _ => "GithubUser:U1",
        };
        Ok(self.view(found))
    }

    async fn list(&self, query: ListQuery) -> Result<ListPage, PortError> {
        self.ask(format!("list {} of {:?} filter {:?}", query.list.name, query.list.parent, query.list.filter))?;
        Ok(ListPage {
            items: self.items(query.list.name),
            has_next: true,
            total: None,
            failure: self.failure(&format!("rest of {}", query.list.name)),
        })
    }
}

#[async_trait]
impl Boards for Fake {
    async fn dashboards(&self, _: PageRequest) -> Result<Page<Arc<DashboardView>>, PortError> {
        self.ask("dashboards".into())?;
        Ok(Page::default())
    }

    async fn dashboard(&self, id: &DashboardId) -> Result<Option<Arc<DashboardView>>, PortError> {
        self.ask(format!("dashboard {id}"))?;
        Ok((id.as_str() == "d1").then(dashboard_view))
    }

    async fn dashboard_by_slug(&self, slug: &str) -> Result<Option<Arc<DashboardView>>, PortError> {
        self.ask(format!("dashboard {slug}"))?;
        Ok((slug == "team").then(dashboard_view))
    }

    async fn widgets(&self, _: &DashboardId) -> Result<Vec<Arc<WidgetView>>, PortError> {
        self.ask("widgets".into())?;
        Ok((0..self.sources.len()).filter_map(|index| self.widget_view(index)).collect())
    }

    async fn widget(&self, id: &WidgetId) -> Result<Option<Arc<WidgetView>>, PortError> {
        self.ask(format!("widget {id}"))?;
        Ok(id.as_str().parse().ok().and_then(|index| self.widget_view(index)))
    }

    async fn create_dashboard(&self, new: NewDashboard) -> Result<Arc<DashboardView>, PortError> {
        self.ask(format!("create {new:?}"))?;
        Ok(dashboard_view())
    }

    async fn update_dashboard(
        &self,
        _: &DashboardId,
        changes: DashboardChanges,
    ) -> Result<Arc<DashboardView>, PortError> {
        self.ask(format!("update {changes:?}"))?;
        Ok(dashboard_view())
    }

    async fn delete_dashboard(&self, id: &DashboardId) -> Result<(), PortError> {
        self.ask(format!("delete {id}"))
    }

    async fn add_widget(&self, new: NewWidget) -> Result<Arc<WidgetView>, PortError> {
        self.ask(format!("add {new:?}"))?;
        self.widget_view(0).ok_or_else(PortError::internal)
    }

    async fn update_widget(&self, _: &WidgetId, changes: WidgetChanges) -> Result<Arc<WidgetView>, PortError> {
        self.ask(format!("update {changes:?}"))?;
        self.widget_view(0).ok_or_else(PortError::internal)
    }

    async fn move_widgets(
        &self,
        _: &DashboardId,
        moves: Vec<(WidgetId, Layout)>,
    ) -> Result<Arc<DashboardView>, PortError> {
        self.ask(format!("move {moves:?}"))?;
        Ok(dashboard_view())
    }

    async fn remove_widget(&self, id: &WidgetId) -> Result<(), PortError> {
        self.ask(format!("remove {id}"))
    }

    async fn refresh_widget(&self, id: &WidgetId) -> Result<Arc<WidgetView>, PortError> {
        self.ask(format!("refresh {id}"))?;
        self.widget_view(0).ok_or_else(PortError::internal)
    }
}

#[async_trait]
impl Accounts for Fake {
    fn providers(&self) -> Vec<Arc<ProviderView>> {
        let provider = |key: &str| ProviderView {
            key: key.into(),
            name: key.into(),
            stage: Stage::Production,
            documentation_url: None,
            oauth: false,
            webhooks: true,
            node_types: Vec::new(),
        };
        vec![Arc::new(provider("asana")), Arc::new(provider("github"))]
    }

    async fn integrations(&self, _: Option<&str>, _: PageRequest) -> Result<Page<Arc<IntegrationView>>, PortError> {
        self.ask("integrations".into())?;
        Ok(Page::default())
    }

    async fn integration(&self, id: &IntegrationId) -> Result<Option<Arc<IntegrationView>>, PortError> {
        self.ask(format!("integration {id}"))?;
        let found = self.integrations.iter().find(|(known, _)| *known == id.as_str());
        Ok(found.map(|(id, provider)| Self::integration_view(id, provider)))
    }

    async fn of_provider(&self, provider: &str) -> Result<Vec<Arc<IntegrationView>>, PortError> {
        let found = self.integrations.iter().filter(|(_, known)| *known == provider);
        Ok(found.map(|(id, provider)| Self::integration_view(id, provider)).collect())
    }

    async fn feeding(&self, _: &Source) -> Result<Vec<Arc<IntegrationView>>, PortError> {
        self.ask("feeding".into())?;
        Ok(vec![Self::integration_view("gh", "github")])
    }

    async fn health(&self, id: &IntegrationId) -> Result<HealthView, PortError> {
        self.ask(format!("health {id}"))?;
        Ok(HealthView {
            state: HealthState::Healthy,
            checked_at: None,
            success_rate: None,
            latency_p50_ms: None,
            latency_p95_ms: None,
            last_error: None,
            last_delivery_at: None,
            webhook_state: WebhookState::Polling,
            circuit: CircuitState::Closed,
            socket_state: None,
            socket_error: None,
        })
    }

    async fn quota(&self, id: &IntegrationId) -> Result<Vec<QuotaView>, PortError> {
        self.ask(format!("quota {id}"))?;
        Ok(Vec::new())
    }

    async fn connect(&self, new: NewIntegration) -> Result<Connected, PortError> {
        self.ask(format!("connect {new:?}"))?;
        Ok(Connected {
            integration: Self::integration_view("gh", "github"),
            webhook_secret: Some(Secret::new("s3cret".into())),
        })
    }

    async fn update(&self, id: &IntegrationId, changes: IntegrationChanges) -> Result<Arc<IntegrationView>, PortError> {
        self.ask(format!("update {id} {changes:?}"))?;
        Ok(Self::integration_view("gh", "github"))
    }

    async fn register_webhooks(
        &self,
        id: &IntegrationId,
        containers: Vec<NodeReference>,
    ) -> Result<Connected, PortError> {
        self.ask(format!("register {id} {}", containers.len()))?;
        Ok(Connected { integration: Self::integration_view("gh", "github"), webhook_secret: None })
    }

    async fn disconnect(&self, id: &IntegrationId) -> Result<(), PortError> {
        self.ask(format!("disconnect {id}"))
    }
}

pub(crate) fn activity_view() -> Arc<ActivityView> {
    Arc::new(ActivityView {
        id: "a1".into(),
        cursor: EventCursor::from("c1"),
        provider: "github".into(),
        integration: Some("gh".into()),
        kind: "issues.closed".into(),
        actor: Some(reference("GithubUser:U1")),
        subject: Some(reference("GithubIssue:I1")),
        summary: "Ada closed acme/web#12".into(),
        occurred_at: time(),
        received_at: time(),
    })
}

#[async_trait]
impl ActivityLog for Fake {
    async fn page(&self, filter: &ActivitySource, page: PageRequest) -> Result<Arc<ActivityPage>, PortError> {
        self.ask(format!("activity {} {filter:?}", page.first))?;
        let at = Position { sort: "1".into(), native_id: "a1".into() };
        let page = Page { items: vec![(at, activity_view())], has_next: false, total: None };
        Ok(Arc::new(ActivityPage { page, problems: Vec::new() }))
    }

    async fn activity(&self, id: &ActivityId) -> Result<Option<Arc<ActivityView>>, PortError> {
        Ok((id.as_str() == "a1").then(activity_view))
    }

    async fn head(&self) -> Result<EventCursor, PortError> {
        self.ask("head".into())?;
        Ok(EventCursor::from("c9"))
    }
}

fn ready<T>(value: T) -> Load<T> {
    Load { value, state: WidgetState::Ready, problems: Vec::new(), missing: None, refreshed_at: None }
}

#[async_trait]
impl Work for Fake {
    async fn work_items(&self, _: &WorkItemsSource, page: PageRequest) -> Result<Load<WorkPage>, PortError> {
        self.page("work", &page)
    }

    async fn counts_by_state(&self, _: &WorkItemsSource) -> Result<Load<BTreeMap<WorkItemState, i32>>, PortError> {
        self.ask("counts".into())?;
        let value = BTreeMap::from([(WorkItemState::Todo, 3)]);
        Ok(ready(value))
    }

    async fn pull_requests(&self, _: &PullRequestsSource, page: PageRequest) -> Result<Load<WorkPage>, PortError> {
        self.page("pulls", &page)
    }

    async fn builds(&self, _: &BuildsSource, page: PageRequest) -> Result<Load<WorkPage>, PortError> {
        self.page("builds", &page)
    }

    async fn messages(&self, _: &MessagesSource, page: PageRequest) -> Result<Load<WorkPage>, PortError> {
        self.page("messages", &page)
    }

    async fn metric(&self, _: &MetricSource) -> Result<Load<MetricValue>, PortError> {
        self.ask("metric".into())?;
        Ok(ready(MetricValue::default()))
    }
}

pub(crate) fn ports(fake: &Arc<Fake>, role: Role) -> Ports {
    let viewer =
        ViewerView { id: "k1".into(), name: "Key".into(), role, tenant: "t1".into(), tenant_name: "Acme".into() };
    Ports {
        nodes: Arc::clone(fake) as _,
        boards: Arc::clone(fake) as _,
        accounts: Arc::clone(fake) as _,
        activity: Arc::clone(fake) as _,
        deliveries: Arc::clone(fake) as _,
        work: Arc::clone(fake) as _,
        unknown_words: Arc::clone(fake) as _,
        viewer: Arc::new(viewer),
    }
}

/// Runs a document as a role.
pub(crate) fn run_as(fake: &Arc<Fake>, role: Role, document: &str, variables: Value) -> Response {
    let request = Request::new(document).variables(Variables::from_json(variables)).data(ports(fake, role));
    futures::executor::block_on(build::build().execute(request))
}

/// Runs a document as an admin and gives the answer as JSON text, in its order.
pub(crate) fn run(fake: &Arc<Fake>, document: &str) -> String {
    serde_json::to_string(&run_as(fake, Role::Admin, document, json!({})).data).expect("JSON")
}

/// Runs a document and gives the first error's code and message.
pub(crate) fn error(fake: &Arc<Fake>, role: Role, document: &str, variables: Value) -> (String, String) {
    let response = run_as(fake, role, document, variables);
    let error = response.errors.first().cloned().expect("an error");
    let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
    let code = code.cloned().and_then(|code| code.into_json().ok()).unwrap_or_default();
    (code.as_str().unwrap_or_default().to_owned(), error.message)
}
