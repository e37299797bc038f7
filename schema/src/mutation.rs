//! The root of mutations: each checks the role, then the input, then asks a port.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use crate::{
    accounts::integration::Integration,
    error::PortError,
    id::{DashboardId, IntegrationId, WidgetId},
    inputs::{
        board::{
            AddWidgetInput, CreateDashboardInput, MoveWidgetInput, UpdateDashboardInput, UpdateWidgetInput,
            WidgetLayoutInput,
        },
        check::{Unknown, allowed, at_most, delivery_id, node_ids, required_own_id, title},
        integration::{ConnectIntegrationInput, UpdateIntegrationInput},
    },
    ports::{
        Boards, Connected, DashboardChanges, DashboardView, DeliveryView, IntegrationView, Layout, NewWidget, Role,
        WidgetView,
    },
    types::{
        boards::{Dashboard, Hints, Widget, widget_object},
        delivery::WebhookDelivery,
    },
};

/// The root of mutations.
pub struct Mutation;

/// The mutations of the graph.
#[Object]
impl Mutation {
    /// Creates a dashboard. Needs the role editor.
    async fn create_dashboard(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The dashboard.")] input: CreateDashboardInput,
    ) -> Result<DashboardPayload, PortError> {
        let ports = allowed(ctx, Role::Editor)?;
        ports.boards.create_dashboard(input.check()?).await.map(DashboardPayload)
    }

    /// Changes a dashboard. Needs the role editor.
    async fn update_dashboard(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change.")] input: UpdateDashboardInput,
    ) -> Result<DashboardPayload, PortError> {
        let boards = &allowed(ctx, Role::Editor)?.boards;
        let id = DashboardId::from(required_own_id("input.id", &input.id, "Dashboard")?);
        let changes = input.check()?;
        fits_columns(boards.as_ref(), &id, &changes).await?;
        boards.update_dashboard(&id, changes).await.map(DashboardPayload)
    }

    /// Deletes a dashboard with its widgets. Needs the role editor.
    async fn delete_dashboard(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: ID,
    ) -> Result<DeletePayload, PortError> {
        let ports = allowed(ctx, Role::Editor)?;
        let row = DashboardId::from(required_own_id("id", &id, "Dashboard")?);
        ports.boards.delete_dashboard(&row).await.map(|()| DeletePayload(id))
    }

    /// Adds a widget to a dashboard. Needs the role editor.
    async fn add_widget(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The widget.")] input: AddWidgetInput,
    ) -> Result<WidgetPayload, PortError> {
        let boards = &allowed(ctx, Role::Editor)?.boards;
        let dashboard = DashboardId::from(required_own_id("input.dashboardId", &input.dashboard_id, "Dashboard")?);
        let title = title("input.title", &input.title)?;
        let source = input.source.check("input.source")?;
        let layout = match &input.layout {
            Some(layout) => Some(fits(boards.as_ref(), &dashboard, &[("input.layout".to_owned(), layout)]).await?),
            None => None,
        };
        let layout = layout.and_then(|layouts| layouts.first().copied());
        boards.add_widget(NewWidget { dashboard, title, layout, source }).await.map(WidgetPayload)
    }

    /// Changes a widget. A source of another kind is refused: a widget keeps its kind. Needs the role editor.
    async fn update_widget(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change.")] input: UpdateWidgetInput,
    ) -> Result<WidgetPayload, PortError> {
        let boards = &allowed(ctx, Role::Editor)?.boards;
        let id = WidgetId::from(required_own_id("input.id", &input.id, "Widget")?);
        let changes = input.check()?;
        if let Some(source) = &changes.source {
            let widget = boards.widget(&id).await?.ok_or_else(|| PortError::not_found("input.id"))?;
            if !widget.source.same_kind(source) {
                return Err(PortError::bad_input("input.source: a widget keeps its kind; add another widget instead"));
            }
        }
        boards.update_widget(&id, changes).await.map(WidgetPayload)
    }

    /// Moves widgets of a dashboard, all or none. Needs the role editor.
    async fn move_widgets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The dashboard.")] dashboard_id: ID,
        #[graphql(desc = "Where to: at most 100.")] moves: Vec<MoveWidgetInput>,
    ) -> Result<DashboardPayload, PortError> {
        let boards = &allowed(ctx, Role::Editor)?.boards;
        let dashboard = DashboardId::from(required_own_id("dashboardId", &dashboard_id, "Dashboard")?);
        at_most("moves", &moves)?;
        let mut ids = Vec::with_capacity(moves.len());
        let mut places = Vec::with_capacity(moves.len());
        for (index, to) in moves.iter().enumerate() {
            let field = format!("moves[{index}].widgetId");
            let id = WidgetId::from(required_own_id(&field, &to.widget_id, "Widget")?);
            if ids.contains(&id) {
                return Err(PortError::bad_input(format!("{field}: is moved twice")));
            }
            ids.push(id);
            places.push((format!("moves[{index}].layout"), &to.layout));
        }
        let layouts = fits(boards.as_ref(), &dashboard, &places).await?;
        boards.move_widgets(&dashboard, ids.into_iter().zip(layouts).collect()).await.map(DashboardPayload)
    }

    /// Removes a widget. Needs the role editor.
    async fn remove_widget(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: ID,
    ) -> Result<DeletePayload, PortError> {
        let ports = allowed(ctx, Role::Editor)?;
        let row = WidgetId::from(required_own_id("id", &id, "Widget")?);
        ports.boards.remove_widget(&row).await.map(|()| DeletePayload(id))
    }

    /// Reads a widget's data again from its providers. Needs the role editor.
    async fn refresh_widget(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: ID,
    ) -> Result<WidgetPayload, PortError> {
        let ports = allowed(ctx, Role::Editor)?;
        let row = WidgetId::from(required_own_id("id", &id, "Widget")?);
        ports.boards.refresh_widget(&row).await.map(WidgetPayload)
    }

    /// Connects an account at a provider with a token that you hold. Needs the role admin.
    async fn connect_integration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account.")] input: ConnectIntegrationInput,
    ) -> Result<IntegrationPayload, PortError> {
        let accounts = &allowed(ctx, Role::Admin)?.accounts;
        accounts.connect(input.check(accounts.as_ref())?).await.map(IntegrationPayload::from)
    }

    /// Changes an integration; a new token keeps the ids of everything. Needs the role admin.
    async fn update_integration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change.")] input: UpdateIntegrationInput,
    ) -> Result<IntegrationPayload, PortError> {
        let ports = allowed(ctx, Role::Admin)?;
        let id = IntegrationId::from(required_own_id("input.id", &input.id, "Integration")?);
        let integration = ports.accounts.update(&id, input.check()?).await?;
        Ok(IntegrationPayload { integration, webhook_secret: None })
    }

    /// Registers webhooks at the provider, where its API can. Needs the role admin.
    async fn register_webhooks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The integration.")] integration_id: ID,
        #[graphql(desc = "The repositories or projects that are to tell of their changes: at most 100.")]
        container_ids: Vec<ID>,
    ) -> Result<IntegrationPayload, PortError> {
        let ports = allowed(ctx, Role::Admin)?;
        let id = IntegrationId::from(required_own_id("integrationId", &integration_id, "Integration")?);
        let interfaces = &["Container", "ProviderNode"];
        let containers = node_ids("containerIds", &container_ids, interfaces, Unknown::NotFound)?;
        if let Some(index) = containers.iter().position(|container| container.integration != id) {
            return Err(PortError::not_found(&format!("containerIds[{index}]")));
        }
        ports.accounts.register_webhooks(&id, containers).await.map(IntegrationPayload::from)
    }

    /// Has a webhook delivery applied again, with all its tries: it waits, and is taken in its turn. One that was applied leaves
    /// everything as it is, and adds no activity. Needs the role admin.
    async fn replay_webhook_delivery(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which: its id here, or the one that `mullion webhooks list` shows.")] id: ID,
    ) -> Result<WebhookDeliveryPayload, PortError> {
        let ports = allowed(ctx, Role::Admin)?;
        ports.deliveries.replay(&delivery_id("id", &id)?).await.map(WebhookDeliveryPayload)
    }

    /// Disconnects an account and forgets its token. Needs the role admin.
    async fn disconnect_integration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] id: ID,
    ) -> Result<DeletePayload, PortError> {
        let ports = allowed(ctx, Role::Admin)?;
        let row = IntegrationId::from(required_own_id("id", &id, "Integration")?);
        ports.accounts.disconnect(&row).await.map(|()| DeletePayload(id))
    }
}

/// Checks layouts against the dashboard's grid.
async fn fits(
    boards: &dyn Boards,
    dashboard: &DashboardId,
    layouts: &[(String, &WidgetLayoutInput)],
) -> Result<Vec<Layout>, PortError> {
    let found = boards.dashboard(dashboard).await?;
    let columns = found.ok_or_else(|| PortError::not_found("the dashboard"))?.columns;
    layouts.iter().map(|(path, layout)| layout.check(path, columns)).collect()
}

/// Checks that all widgets still fit when the grid gets narrower.
async fn fits_columns(boards: &dyn Boards, id: &DashboardId, changes: &DashboardChanges) -> Result<(), PortError> {
    let Some(columns) = changes.columns else { return Ok(()) };
    let widgets = boards.widgets(id).await?;
    let wide = widgets.iter().find(|widget| widget.layout.x.saturating_add(widget.layout.width) > columns);
    wide.map_or(Ok(()), |widget| {
        Err(PortError::bad_input(format!("input.columns: the widget “{}” does not fit into {columns}", widget.title)))
    })
}

/// A dashboard that was created or changed.
pub struct DashboardPayload(Arc<DashboardView>);

/// A dashboard that was created or changed.
#[Object]
impl DashboardPayload {
    /// As it is now.
    async fn dashboard(&self) -> Dashboard {
        Dashboard(Arc::clone(&self.0))
    }
}

/// A widget that was added or changed.
pub struct WidgetPayload(Arc<WidgetView>);

/// A widget that was added or changed.
#[Object]
impl WidgetPayload {
    /// As it is now.
    async fn widget(&self, ctx: &Context<'_>) -> Widget {
        widget_object(Arc::clone(&self.0), &Arc::new(Hints::of(ctx)))
    }
}

/// An integration that was connected or changed.
pub struct IntegrationPayload {
    integration: Arc<IntegrationView>,
    webhook_secret: Option<String>,
}

impl From<Connected> for IntegrationPayload {
    fn from(connected: Connected) -> Self {
        let webhook_secret = connected.webhook_secret.map(crate::ports::Secret::reveal);
        Self { integration: connected.integration, webhook_secret }
    }
}

/// An integration that was connected or changed.
#[Object]
impl IntegrationPayload {
    /// As it is now.
    async fn integration(&self) -> Integration {
        Integration(Arc::clone(&self.integration))
    }

    /// The secret that the provider has to sign its webhooks with: only when it was generated just now, and only this once.
    async fn webhook_secret(&self) -> Option<&str> {
        self.webhook_secret.as_deref()
    }
}

/// A webhook delivery that is applied again.
pub struct WebhookDeliveryPayload(Arc<DeliveryView>);

/// A webhook delivery that is applied again.
#[Object]
impl WebhookDeliveryPayload {
    /// As it is now: it waits. Query it again to see what became of it.
    async fn delivery(&self) -> WebhookDelivery {
        WebhookDelivery(Arc::clone(&self.0))
    }
}

/// Something that was deleted.
pub struct DeletePayload(ID);

/// Something that was deleted.
#[Object]
impl DeletePayload {
    /// Its id, which names nothing any more.
    async fn deleted_id(&self) -> &ID {
        &self.0
    }
}
