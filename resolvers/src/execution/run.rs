//! One subscription as the live hub runs it: its document over the executor.

use std::{collections::HashSet, sync::Arc};

use async_graphql::{Response, ServerError, Value};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::Duration;
use mullion_schema::{
    error::{ErrorCode, PortError},
    id::{DashboardId, EventCursor, NodeKey, TenantId, WidgetId},
    ports::{ActivitySource, ActivityView, Boards as _, Live, LiveInput, LivePlan, WatchedId},
};

use tracing::Instrument as _;

use super::{
    Caller, Executor, Operation, after_of,
    answer::written,
    digest::{digest, incidental_keys},
    weight::bytes_of,
};
use crate::{
    activity::filter_of,
    boards::BoardsAnswer,
    budget::{Budget, Share, held},
    error_chain::chain,
    live::{Rendered, Run, Unreadable},
    provider::sentence::Names,
    reading::{Scope, internal},
    store::{StoreError, activity::Activity, stream::AppliedChange},
    tag::Tag,
};

pub(super) struct LiveRun {
    executor: Arc<Executor>,
    caller: Caller,
    operation: Operation,
    key: Arc<str>,
    incidental: HashSet<String>,
    /// The bytes that it keeps of the request count as the tenant's, as long as it lives.
    _held: Share,
}

impl LiveRun {
    /// A run of an operation, unless its tenant would hold more than it may.
    pub(super) fn new(
        executor: Arc<Executor>,
        caller: Caller,
        operation: Operation,
        plan: &LivePlan,
    ) -> Result<Self, Budget> {
        let incidental = incidental_keys(&operation.document, operation.name.as_deref());
        let key = sharing_key(&caller, &operation, plan).into();
        // Only the parsed form is executed, and it is smaller than a text with long comments.
        let operation = Operation { text: Arc::from(""), ..operation };
        let bytes = bytes_of(&operation.document, &operation.variables);
        let held = executor.budgets.bytes().take(caller.tenant(), bytes).ok_or(Budget::HeldBytes)?;
        Ok(Self { executor, caller, operation, key, incidental, _held: held })
    }

    /// Boards as the answers read them: what is asked before each answer is read once for both, and for all who ask.
    fn boards(&self) -> BoardsAnswer {
        let parts = &self.executor.parts;
        let scope = Arc::new(Scope::new(self.tenant().clone(), parts.clock.now(), None));
        BoardsAnswer { boards: Arc::clone(&parts.rooms.boards), scope }
    }

    async fn changes(&self, position: i64, limit: u64) -> Result<Option<Vec<AppliedChange>>, StoreError> {
        let database = &self.executor.parts.database;
        let changes = database.changes_since(self.tenant(), position, limit).await?;
        // Asked afterwards: what was removed while they were read raised it.
        let kept = position >= database.oldest_position(self.tenant()).await?;
        Ok(kept.then_some(changes))
    }
}

/// A hash of the permission set, the document, and its variables without the cursor to resume after: of that each subscriber has its own.
fn sharing_key(caller: &Caller, operation: &Operation, plan: &LivePlan) -> String {
    let after = after_of(plan).map(EventCursor::as_str);
    let mut variables = serde_json::to_value(&operation.variables).unwrap_or_default();
    if let Some(map) = variables.as_object_mut() {
        map.retain(|_, value| after.is_none() || value.as_str() != after);
    }
    let name = operation.name.as_deref().unwrap_or_default();
    let key = format!("{}\n{name}\n{variables}\n{}", caller.permission_set(&operation.document), operation.text);
    blake3::hash(key.as_bytes()).to_hex().to_string()
}

/// The cause was logged where it happened: of the port's error nothing is left to tell.
fn unreadable(_: PortError) -> Unreadable {
    Unreadable
}

/// Whether the fault is not the provider's and not the client's: then the same execution may succeed a moment later.
fn is_failure_here(error: &ServerError) -> bool {
    let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
    let here = [ErrorCode::InternalServerError, ErrorCode::ServiceUnavailable];
    matches!(code, Some(Value::String(code)) if here.iter().any(|known| code.as_str() == <&'static str>::from(*known)))
}

#[async_trait]
impl Run for LiveRun {
    fn sharing_key(&self) -> Arc<str> {
        Arc::clone(&self.key)
    }

    fn tenant(&self) -> &TenantId {
        self.caller.tenant()
    }

    fn name(&self) -> Option<&str> {
        self.operation.label()
    }

    async fn render(&self, input: LiveInput, max_age: Option<Duration>) -> Result<Rendered, Unreadable> {
        let parts = &self.executor.parts;
        let noted = self.head().await?;
        let scope = Scope::new(self.tenant().clone(), parts.clock.now(), max_age);
        // Others stand behind it: the next activities, also those of other providers, and those who wait for the first answer of each
        // widget. A fetch that ends later leads to an answer of its own.
        let scope = Arc::new(scope.hurrying());
        let cursor = input.cursor.clone();
        let live = Live::Render(Arc::new(input));
        // In a task: a subscriber that is not asked for its next answer any more must not stop in the middle of what others wait for.
        let (executor, caller, run_in) = (Arc::clone(&self.executor), self.caller.clone(), Arc::clone(&scope));
        let request = self.operation.request();
        let span = tracing::error_span!("live_run", tenant = %self.tenant(), operation = self.operation.label());
        let run = async move { executor.run_live(&caller, request, live, &run_in).await };
        let run = parts.tasks.spawn(run.instrument(span));
        let response = run.await.unwrap_or_else(|error| {
            tracing::error!(error = %chain(&error), "a live execution broke off");
            Response::from_errors(vec![PortError::internal().without_location()])
        });
        let failed = scope.has_failed() || response.errors.iter().any(is_failure_here);
        let digest = digest(&response, &self.incidental);
        let response = response.extension("cursor", cursor.as_str().into());
        let tags = scope.tags().into_iter().collect();
        let (stale, changes_with_time) = (scope.is_stale(), scope.changes_with_time());
        let background_fetches = scope.background_fetches();
        let payload = written(&response, self.executor.answer_bytes).unwrap_or_else(|instead| instead.bytes);
        let payload = self.hold(payload);
        Ok(Rendered { payload, digest, tags, noted, failed, stale, changes_with_time, background_fetches })
    }

    fn hold(&self, payload: Bytes) -> Bytes {
        let share = self.executor.budgets.bytes().force(self.tenant(), payload.len());
        held(payload, Arc::new(share))
    }

    fn is_current(&self, noted: i64, tags: &HashSet<Tag>) -> bool {
        self.executor.parts.engine.epochs().is_current(self.tenant(), noted, tags)
    }

    async fn widgets(&self, dashboard: &DashboardId) -> Result<Option<Vec<WidgetId>>, Unreadable> {
        let boards = self.boards();
        if boards.dashboard(dashboard).await.map_err(unreadable)?.is_none() {
            return Ok(None);
        }
        let widgets = boards.widgets(dashboard).await.map_err(unreadable)?;
        Ok(Some(widgets.into_iter().map(|widget| widget.id.clone()).collect()))
    }

    async fn is_deleted(&self, id: &WatchedId) -> Result<bool, Unreadable> {
        let parts = &self.executor.parts;
        let tenant = self.tenant();
        match id {
            WatchedId::Node(node) => {
                let Some(known) = mullion_schema::providers::node_type(&node.type_name) else { return Ok(false) };
                let key = NodeKey::new(&node.integration, known.name, Arc::clone(&node.native_id));
                parts.engine.is_deleted(tenant, &key).await.map_err(unreadable)
            }
            WatchedId::Own { type_name, id } => {
                let boards = self.boards();
                match type_name.as_str() {
                    "Widget" => Ok(boards.widget(&id.as_str().into()).await.map_err(unreadable)?.is_none()),
                    "Dashboard" => Ok(boards.dashboard(&id.as_str().into()).await.map_err(unreadable)?.is_none()),
                    "Integration" => {
                        let row = parts.database.integration(tenant, &id.as_str().into()).await;
                        Ok(row.map_err(|error| unreadable(internal(error)))?.is_none())
                    }
                    _ => Ok(false),
                }
            }
        }
    }

    async fn head(&self) -> Result<i64, Unreadable> {
        self.executor.parts.engine.head(self.tenant()).await.map_err(unreadable)
    }

    async fn changes_since(&self, position: i64, limit: u64) -> Result<Option<Vec<AppliedChange>>, Unreadable> {
        self.changes(position, limit).await.map_err(|error| unreadable(internal(error)))
    }

    async fn is_silent(&self, tags: &HashSet<Tag>) -> Result<bool, Unreadable> {
        let parts = &self.executor.parts;
        let now = parts.clock.now();
        let ids: HashSet<&str> = tags.iter().filter_map(Tag::integration).collect();
        for id in ids {
            let integration = parts.engine.directory().get(self.tenant(), &id.into()).await.map_err(unreadable)?;
            let Some(integration) = integration else { continue };
            let mut own = tags.iter().filter(|tag| tag.integration() == Some(id));
            if integration.is_silent(own.all(|tag| integration.covers_tag(tag)), now) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn reach_store(&self) -> Result<(), Unreadable> {
        self.executor.parts.database.ping().await.map_err(|error| unreadable(internal(error)))
    }

    fn cursor(&self, position: i64) -> EventCursor {
        self.executor.parts.rooms.activities.cursors.encode(self.tenant(), position)
    }

    async fn activities(&self, activities: &[Arc<Activity>]) -> Vec<Arc<ActivityView>> {
        let (known, tenant) = (&self.executor.parts.rooms.activities, self.tenant());
        if let Ok((views, _)) = known.views(tenant, activities.iter().map(Arc::as_ref)).await {
            return views;
        }
        // The store's failure is logged where it was seen. A sentence without the names is as true, and nobody misses the event.
        let nobody = Names::default();
        activities.iter().map(|activity| Arc::new(known.view(tenant, activity, &nobody))).collect()
    }

    fn admits(&self, filter: &ActivitySource, activity: &Activity) -> bool {
        filter_of(filter).admits(activity)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_graphql::{Variables, parser::parse_query};
    use mullion_schema::ports::{ActivitySource, LivePlan, Role, ViewerView};

    use super::{Caller, Operation, sharing_key};

    fn caller(id: &str, role: Role, tenant: &str) -> Caller {
        let (name, tenant_name) = (id.to_owned(), tenant.to_owned());
        Caller::without_key(Arc::new(ViewerView { id: id.into(), name, role, tenant: tenant.into(), tenant_name }))
    }

    fn key(caller: &Caller, text: &str, variables: serde_json::Value, after: Option<&str>) -> String {
        let document = Arc::new(parse_query(text).unwrap());
        let variables = Variables::from_json(variables);
        let operation = Operation { text: text.into(), document, name: None, variables };
        let plan = LivePlan::Activity { filter: ActivitySource::default(), after: after.map(Into::into) };
        sharing_key(caller, &operation, &plan)
    }

    #[test]
    fn two_keys_of_one_role_watch_one_operation_and_roles_and_tenants_never_do() {
        const DOCUMENT: &str = "subscription ($after: EventCursor) { activity(after: $after) { id } }";
        let watched = |caller: &Caller, text| key(caller, text, serde_json::json!({}), None);
        let ann = caller("ann", Role::Editor, "acme");
        let others = [
            (caller("bob", Role::Editor, "acme"), true),
            (caller("ann", Role::Viewer, "acme"), false),
            (caller("ann", Role::Editor, "other"), false),
        ];
        for (other, shares) in others {
            assert_eq!(watched(&ann, DOCUMENT) == watched(&other, DOCUMENT), shares, "{other:?}");
            let personal = "subscription { activity { id } } fragment F on Query { viewer { id } }";
            assert_ne!(watched(&ann, personal), watched(&other, personal));
        }
        let resumed = |after: &str| key(&ann, DOCUMENT, serde_json::json!({ "after": after }), Some(after));
        assert_eq!(resumed("one"), resumed("two"), "each subscriber has its own place to resume after");
    }
}
