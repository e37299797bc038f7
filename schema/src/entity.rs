//! From ids to things: `node`, `nodes`, and the providers' roots.

use std::sync::Arc;

use async_graphql::{Context, ID};
use chrono::{DateTime, Utc};

use crate::{
    accounts::integration::Integration,
    error::{ErrorCode, PortError},
    id::{ActivityId, DashboardId, GlobalId, IntegrationId, MalformedId, NodeKey, WidgetId},
    inputs::check::{global_id, own_id},
    ports::IntegrationView,
    providers::ProviderGraph,
    table::{AnyObject, FromView, load, node_type, ports},
    types::{
        activity::Activity,
        boards::{Dashboard, Hints, widget_as},
        node::Node,
    },
    view::{Body, FreshnessSource, FreshnessView, NodeView},
};

/// The thing that a text names; `None` where it is no id of this graph: there is no such thing.
pub async fn find_node(ctx: &Context<'_>, id: &ID) -> Result<Option<Node>, PortError> {
    match GlobalId::decode(id) {
        Ok(id) => node_of(ctx, id).await,
        Err(MalformedId) => Ok(None),
    }
}

/// The thing that an id names; `None` for what is unknown, foreign, or of a type that is no `Node`.
pub async fn node_by_id(ctx: &Context<'_>, field: &str, id: &ID) -> Result<Option<Node>, PortError> {
    node_of(ctx, global_id(field, id)?).await
}

/// The thing that a decoded id names.
pub async fn node_of(ctx: &Context<'_>, id: GlobalId) -> Result<Option<Node>, PortError> {
    match id {
        GlobalId::Own { type_name, id } => own_node(ctx, &type_name, id).await,
        GlobalId::Node { integration, type_name, native_id } => {
            let Some(table) = node_type(&type_name) else { return Ok(None) };
            let key = NodeKey::new(&integration, table.name, native_id);
            Ok(load(ctx, key).await?.and_then(Node::from_view))
        }
    }
}

async fn own_node(ctx: &Context<'_>, type_name: &str, id: String) -> Result<Option<Node>, PortError> {
    let ports = ports(ctx)?;
    Ok(match type_name {
        "Dashboard" => ports.boards.dashboard(&DashboardId::from(id)).await?.map(|view| Node::new(Dashboard(view))),
        "Widget" => {
            let hints = Arc::new(Hints::of(ctx));
            ports.boards.widget(&WidgetId::from(id)).await?.map(|view| widget_as(view, &hints))
        }
        "Integration" => {
            ports.accounts.integration(&IntegrationId::from(id)).await?.map(|view| Node::new(Integration(view)))
        }
        "Activity" => ports.activity.activity(&ActivityId::from(id)).await?.map(|view| Node::new(Activity(view))),
        _ => None,
    })
}

/// A provider's root through the integration that is named, or the tenant's only one.
pub async fn accounts_root(
    ctx: &Context<'_>,
    provider: &'static ProviderGraph,
    id: Option<ID>,
) -> Result<Option<Box<dyn AnyObject>>, PortError> {
    let accounts = &ports(ctx)?.accounts;
    let integration = match id {
        Some(id) => match own_id("integrationId", &id, "Integration")? {
            Some(id) => accounts.integration(&IntegrationId::from(id)).await?,
            None => None,
        },
        None => only(provider, accounts.of_provider(provider.key).await?)?,
    };
    let integration = integration.filter(|integration| integration.provider == provider.key);
    Ok(integration.map(|integration| (provider.root.make)(Arc::new(root_view(provider, &integration)))))
}

fn only(
    provider: &ProviderGraph,
    mut found: Vec<Arc<IntegrationView>>,
) -> Result<Option<Arc<IntegrationView>>, PortError> {
    if found.len() < 2 {
        return Ok(found.pop());
    }
    let named: Vec<String> = found
        .iter()
        .map(|integration| {
            let id = GlobalId::own("Integration", integration.id.as_str()).encode();
            format!("{} ({id})", integration.name)
        })
        .collect();
    let message = format!("integrationId: there are several integrations of {}: {}", provider.key, named.join(", "));
    Err(PortError::new(ErrorCode::BadUserInput, message))
}

/// The account itself has no body: its fields are lists and look-ups.
fn root_view(provider: &ProviderGraph, integration: &IntegrationView) -> NodeView {
    NodeView {
        key: NodeKey::new(&integration.id, provider.root.name, ""),
        body: Arc::new(Body::new()),
        freshness: FreshnessView {
            fetched_at: DateTime::<Utc>::UNIX_EPOCH,
            source: FreshnessSource::Cache,
            stale_because: None,
        },
        failure: None,
    }
}
