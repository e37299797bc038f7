//! The root of queries: our own fields, and one field for each provider.

#![expect(clippy::unused_async, reason = "errors below asynchronous fields keep their own path")]
#![expect(clippy::too_many_arguments, reason = "the arguments of a field are its function's")]

use std::{borrow::Cow, sync::Arc};

use async_graphql::{
    ContainerType, Context, ContextSelectionSet, ID, InputType, Object, ObjectType, OutputType, Positioned,
    ServerResult, Value,
    parser::types::Field as ParsedField,
    registry::{MetaField, MetaInputValue, MetaType, Registry},
    resolver_utils::resolve_container,
};

use crate::{
    accounts::{integration::Integration, provider::Provider},
    answer_size,
    cost::{Given, Items, Page},
    cursor::Origin,
    entity::{accounts_root, find_node},
    error::{ErrorCode, PortError},
    federation,
    fields::{FieldSet, selects_total},
    id::{DashboardId, EventCursor},
    inputs::{
        check::{Unknown, allowed, delivery_id, own_id, provider_key},
        delivery::WebhookDeliveryFilter,
        source::{ActivityFilter, WorkItemFilter, WorkItemOrder},
    },
    limits::MAX_ITEMS,
    ports::{Role, WorkItemsSource},
    providers::{PROVIDERS, ProviderGraph},
    table::{Arguments, Connection, Many, note_missing, ports, server_error},
    types::{
        activity::Activity,
        boards::{Dashboard, WorkItemConnection, shown, work_item_connection},
        delivery::WebhookDelivery,
        node::Node,
        viewer::Viewer,
    },
};

/// Our own fields of the root.
pub struct Query;

/// The queries of the graph.
#[Object]
impl Query {
    /// Anything that has an id; null when there is no such thing, when it is not yours, or when the text is no id of this graph.
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "Its id.")] id: ID) -> Option<Result<Node, PortError>> {
        find_node(ctx, &id).await.transpose()
    }

    /// Several things that have ids, in the order of the ids; null wherever `node` is null.
    #[graphql(directive = Given::apply("ids"))]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Their ids: at most 100.")] ids: Vec<ID>,
    ) -> Result<Many<Option<Result<Node, PortError>>>, PortError> {
        if ids.len() > MAX_ITEMS {
            return Err(PortError::bad_input(format!("ids: must have at most {MAX_ITEMS} values")));
        }
        let found = ids.iter().map(|id| async move { find_node(ctx, id).await.transpose() });
        Ok(Many(futures::future::join_all(found).await))
    }

    /// The caller: you, as your credential names you.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer, PortError> {
        Ok(Viewer(Arc::clone(&ports(ctx)?.viewer)))
    }

    /// The providers that can be connected.
    #[graphql(directive = Items::apply(5))]
    async fn providers(&self, ctx: &Context<'_>) -> Result<Many<Provider>, PortError> {
        Ok(ports(ctx)?.accounts.providers().into_iter().map(Provider).collect())
    }

    /// Your integrations, by name. There are none at first: an admin connects an account with `connectIntegration`, and has the provider
    /// tell of changes with `registerWebhooks`.
    #[graphql(directive = Page::apply())]
    async fn integrations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return: 1 to 100, 20 if left out.")] first: Option<i32>,
        #[graphql(desc = "Return what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "Only those of the provider with this key: github.")] provider: Option<String>,
    ) -> Result<Connection<Integration>, PortError> {
        provider.as_deref().map_or(Ok(()), |key| provider_key("provider", key))?;
        let origin = Origin::new("Query.integrations", &provider);
        let request = origin.page_request(first, after.as_deref())?;
        let page = ports(ctx)?.accounts.integrations(provider.as_deref(), request).await?;
        let items = page.items.into_iter().map(|(at, view)| (at, Integration(view)));
        Ok(Connection::new(origin, items.collect(), page.has_next, after.as_deref(), page.total))
    }

    /// Your dashboards, the oldest first. There are none at first: `createDashboard` makes one, and `addWidget` fills it.
    #[graphql(directive = Page::apply())]
    async fn dashboards(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return: 1 to 100, 20 if left out.")] first: Option<i32>,
        #[graphql(desc = "Return what comes after this cursor.")] after: Option<String>,
    ) -> Result<Connection<Dashboard>, PortError> {
        let origin = Origin::new("Query.dashboards", &());
        let page = ports(ctx)?.boards.dashboards(origin.page_request(first, after.as_deref())?).await?;
        let items = page.items.into_iter().map(|(at, view)| (at, Dashboard(view)));
        Ok(Connection::new(origin, items.collect(), page.has_next, after.as_deref(), page.total))
    }

    /// One dashboard, by id or by slug: give exactly one of the two.
    async fn dashboard(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Option<ID>,
        #[graphql(desc = "Its name in addresses.")] slug: Option<String>,
    ) -> Option<Result<Dashboard, PortError>> {
        dashboard(ctx, id, slug).await.map(|found| found.map(Dashboard)).transpose()
    }

    /// Work items of all your integrations side by side. The containers that the filter names are read; where it names none, the
    /// first 100 of each integration. An item that is in several projects, or that several integrations of the same host show, is
    /// there once: as the integration that was connected first shows it.
    #[graphql(directive = Page::apply())]
    async fn work_items(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which; left out: all issues and tasks.")] filter: Option<WorkItemFilter>,
        #[graphql(desc = "In which order.", default_with = "Some(WorkItemOrder::default())")] order_by: Option<
            WorkItemOrder,
        >,
        #[graphql(desc = "How many to return: 1 to 100, 20 if left out.")] first: Option<i32>,
        #[graphql(desc = "Return what comes after this cursor.")] after: Option<String>,
    ) -> Option<Result<WorkItemConnection, PortError>> {
        let found = async {
            let filter = filter.unwrap_or_default().check("filter", Unknown::MatchNothing)?;
            let source = WorkItemsSource { filter, order: order_by.unwrap_or_default().into() };
            let origin = Origin::new("Query.workItems", &source);
            let mut request = origin.page_request(first, after.as_deref())?;
            request.fields = FieldSet::of_connection(ctx);
            request.total = selects_total(ctx.field());
            let load = ports(ctx)?.work.work_items(&source, request).await?;
            let load = shown(load);
            let marks = ctx.field().selection_set().any(|selected| selected.name() == "problems");
            note_missing(ctx, load.missing.as_ref().filter(|_| !marks)).await;
            Ok(work_item_connection(origin, &load, after.as_deref()))
        };
        Some(found.await)
    }

    /// Activities, newest first.
    #[graphql(directive = Page::apply())]
    async fn activity(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which; left out: all.")] filter: Option<ActivityFilter>,
        #[graphql(desc = "How many to return: 1 to 100, 20 if left out.")] first: Option<i32>,
        #[graphql(desc = "Return what comes after this cursor.")] after: Option<String>,
    ) -> Option<Result<Connection<Activity>, PortError>> {
        let found = async {
            let filter = filter.unwrap_or_default().check("filter", Unknown::MatchNothing)?;
            let origin = Origin::new("Query.activity", &filter);
            let request = origin.page_request(first, after.as_deref())?;
            let found = ports(ctx)?.activity.page(&filter, request).await?;
            let page = &found.page;
            let items = page.items.iter().map(|(at, view)| (at.clone(), Activity(Arc::clone(view))));
            Ok(Connection::new(origin, items.collect(), page.has_next, after.as_deref(), page.total))
        };
        Some(found.await)
    }

    /// Webhook deliveries, newest first, as long as they are kept. Needs the role admin.
    #[graphql(directive = Page::apply())]
    async fn webhook_deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which; left out: all.")] filter: Option<WebhookDeliveryFilter>,
        #[graphql(desc = "How many to return: 1 to 100, 20 if left out.")] first: Option<i32>,
        #[graphql(desc = "Return what comes after this cursor.")] after: Option<String>,
    ) -> Option<Result<Connection<WebhookDelivery>, PortError>> {
        let found = async {
            let ports = allowed(ctx, Role::Admin)?;
            let filter = filter.unwrap_or_default().check("filter")?;
            let origin = Origin::new("Query.webhookDeliveries", &filter);
            let request = origin.page_request(first, after.as_deref())?;
            let page = ports.deliveries.page(&filter, request).await?;
            let items = page.items.into_iter().map(|(at, view)| (at, WebhookDelivery(view)));
            Ok(Connection::new(origin, items.collect(), page.has_next, after.as_deref(), page.total))
        };
        Some(found.await)
    }

    /// One webhook delivery, with what came of it; null when there is none of this id, or it is no longer kept. Needs the role admin.
    async fn webhook_delivery(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
    ) -> Option<Result<WebhookDelivery, PortError>> {
        let found = async {
            let ports = allowed(ctx, Role::Admin)?;
            match delivery_id("id", &id) {
                Ok(id) => ports.deliveries.delivery(&id).await,
                Err(error) if error.code == ErrorCode::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        };
        found.await.map(|found| found.map(WebhookDelivery)).transpose()
    }

    /// The stream's newest position. Query first, then subscribe with this as `after`: nothing falls between.
    async fn event_cursor(&self, ctx: &Context<'_>) -> Result<EventCursor, PortError> {
        ports(ctx)?.activity.head().await
    }
}

async fn dashboard(
    ctx: &Context<'_>,
    id: Option<ID>,
    slug: Option<String>,
) -> Result<Option<Arc<crate::ports::DashboardView>>, PortError> {
    let boards = &ports(ctx)?.boards;
    match (id, slug) {
        (Some(id), None) => match own_id("id", &id, "Dashboard")? {
            Some(id) => boards.dashboard(&DashboardId::from(id)).await,
            None => Ok(None),
        },
        (None, Some(slug)) => boards.dashboard_by_slug(&slug).await,
        _ => Err(PortError::bad_input("id, slug: give exactly one of the two")),
    }
}

/// The root of queries: [`Query`], the providers' fields, and what federation asks.
pub struct QueryRoot;

const INTEGRATION_ID: &str = "integrationId";

fn provider_field(registry: &mut Registry, provider: &ProviderGraph) -> MetaField {
    let qualified = (provider.root.register)(registry);
    let mut field = MetaField::new(provider.key, qualified.trim_end_matches('!'));
    field.description = Some(provider.doc.to_owned());
    let mut argument = MetaInputValue::new(INTEGRATION_ID, <Option<ID> as InputType>::create_type_info(registry));
    argument.description = Some("Which integration. Left out: your only one of this provider.".to_owned());
    field.args.insert(INTEGRATION_ID.to_owned(), argument);
    field
}

impl OutputType for QueryRoot {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("Query")
    }

    fn create_type_info(registry: &mut Registry) -> String {
        let qualified = Query::create_type_info(registry);
        for provider in PROVIDERS {
            let field = provider_field(registry, provider);
            if let Some(MetaType::Object { fields, .. }) = registry.types.get_mut("Query") {
                fields.insert(provider.key.to_owned(), field);
            }
        }
        qualified
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<ParsedField>) -> ServerResult<Value> {
        resolve_container(ctx, self).await
    }
}

impl ContainerType for QueryRoot {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        if let Some(answer) = federation::answer(ctx).await {
            return answer.map(Some);
        }
        let name = ctx.item.node.name.node.as_str();
        let Some(provider) = PROVIDERS.iter().find(|provider| provider.key == name) else {
            return Query.resolve_field(ctx).await;
        };
        match provider_root(ctx, provider).await {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                let error = if error.path.is_empty() { ctx.set_error_path(error) } else { error };
                answer_size::add_error(ctx, error).await;
                Ok(Some(Value::Null))
            }
        }
    }
}

impl ObjectType for QueryRoot {}

async fn provider_root(ctx: &Context<'_>, provider: &'static ProviderGraph) -> ServerResult<Value> {
    let id = Arguments::of(ctx.field())?.text(INTEGRATION_ID).map(ID);
    let root = accounts_root(ctx, provider, id).await.map_err(|error| server_error(ctx, error))?;
    match root {
        Some(root) => root.resolve(&ctx.with_selection_set(&ctx.item.node.selection_set)).await,
        None => Ok(Value::Null),
    }
}
