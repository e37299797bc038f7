//! The seeded tenant of `dev`: an integration for each stand-in and a dashboard that draws on all of them.

use std::sync::Arc;

use anyhow::Context;
use mullion_resolvers::{
    clock::Clock,
    inbox::seal_secret,
    provider::{Demo, NodeRef, Providers},
    secret::Secret,
    store::{
        Database,
        dashboard::DashboardDraft,
        endpoint::EndpointDraft,
        integration::{IntegrationDraft, IntegrationStage, IntegrationStatus},
        widget::{Layout, WidgetDraft},
    },
    vault::{Place, Vault},
};
use mullion_schema::{
    enums::{MetricKind, PullRequestState, WorkItemState},
    id::{IntegrationId, NodeReference, TenantId},
    ports::{
        ActivitySource, BuildsSource, MessagesSource, MetricSource, PullRequestsSource, Role, Source, ViewerView,
        WorkItemFilter, WorkItemsSource,
    },
};

use crate::stand_ins::World;

/// The tenant of `dev`.
pub const TENANT: &str = "dev";
/// The slug of its dashboard.
pub const DASHBOARD: &str = "team";
/// The token for the stand-ins, which take any.
const TOKEN: &str = "sandbox-token";

/// The parts that the tenant is made with.
pub struct Parts {
    /// The database.
    pub database: Database,
    /// Seals the stand-ins' tokens and secrets.
    pub vault: Vault,
    /// The providers.
    pub providers: Arc<Providers>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// The one caller of `dev`.
pub fn everybody() -> Arc<ViewerView> {
    Arc::new(ViewerView {
        id: "dev".into(),
        name: "Developer".into(),
        role: Role::Admin,
        tenant: TENANT.into(),
        tenant_name: "Development".into(),
    })
}

/// Makes what is missing of the tenant, its integrations, their endpoints and the dashboard. The rest stays as it is, but for the
/// secret and the stand-ins' addresses, which the command line may have changed.
pub async fn seed(parts: &Parts, worlds: &[World], secret: &Secret) -> anyhow::Result<()> {
    let tenant: TenantId = TENANT.into();
    parts.database.create_tenant(&tenant, "Development").await.context("the tenant cannot be made")?;
    let mut sources: Vec<(IntegrationId, Demo)> = Vec::new();
    for world in worlds {
        let id: IntegrationId = format!("{}-dev", world.provider).into();
        integration(parts, &tenant, &id, world).await.with_context(|| format!("{id} cannot be made"))?;
        endpoint(parts, &tenant, &id, Webhook { provider: world.provider, secret })
            .await
            .with_context(|| format!("{id} has no endpoint"))?;
        if let Some(provider) = parts.providers.get(world.provider) {
            sources.push((id, provider.demo_of(world.seed, world.base)));
        }
    }
    let containers = |pick: fn(&Demo) -> &Vec<NodeRef>| -> Vec<NodeReference> {
        let of = |(id, demo): &(IntegrationId, Demo)| {
            let nodes = pick(demo).iter();
            nodes.map(|node| reference(id, node)).collect::<Vec<_>>()
        };
        sources.iter().flat_map(of).collect()
    };
    dashboard(parts, &tenant, &widgets(&containers)).await
}

fn reference(integration: &IntegrationId, node: &NodeRef) -> NodeReference {
    NodeReference {
        integration: integration.clone(),
        type_name: node.type_name.into(),
        native_id: Arc::clone(&node.native_id),
    }
}

async fn integration(parts: &Parts, tenant: &TenantId, id: &IntegrationId, world: &World) -> anyhow::Result<()> {
    if let Some(known) = parts.database.integration(tenant, id).await? {
        if known.draft.base_url.as_deref() != Some(&world.api_root) {
            let change = |draft: &mut IntegrationDraft| draft.base_url = Some(world.api_root.clone());
            parts.database.update_integration(tenant, id, None, change).await?;
        }
        return Ok(());
    }
    // One that was removed before has the same id.
    for removal in parts.database.removals().await?.into_iter().filter(|removal| removal.integration == *id) {
        let mut removal = removal.without_lingering();
        while parts.database.remove_some(&mut removal).await? {}
    }
    let provider = parts.providers.get(world.provider).context("the provider is not in this build")?;
    let place = Place { tenant, integration: id, column: "token" };
    let token = parts.vault.seal(place, &Secret::from(TOKEN))?;
    let account = provider.identify(&world.connection(&parts.clock, tenant, id)?).await?;
    let draft = IntegrationDraft {
        name: format!("{} (sandbox)", provider.descriptor().name),
        base_url: Some(world.api_root.clone()),
        account_name: Some(account.name),
        account_user: account.user.map(|user| user.to_string()),
        scopes: account.scopes,
        facts: account.facts,
        status: IntegrationStatus::Connected,
        stage: IntegrationStage::Prototype,
        token: Some(token),
        connected_at: Some(parts.clock.now()),
        expires_at: None,
    };
    parts.database.create_integration(tenant, id, world.provider, draft).await?;
    Ok(())
}

/// The webhook of a stand-in.
struct Webhook<'a> {
    provider: &'static str,
    secret: &'a Secret,
}

async fn endpoint(parts: &Parts, tenant: &TenantId, id: &IntegrationId, webhook: Webhook<'_>) -> anyhow::Result<()> {
    let Webhook { provider, secret } = webhook;
    let sealed = seal_secret(&parts.vault, tenant, id, secret).map_err(|error| anyhow::anyhow!(error.message))?;
    if let Some(known) = parts.database.endpoint_at(provider, id.as_str()).await? {
        let change = |draft: &mut EndpointDraft| {
            draft.secrets = Some(sealed);
            true
        };
        parts.database.update_endpoint(tenant, &known.id, change).await?;
    } else {
        let draft = EndpointDraft { secrets: Some(sealed), ..EndpointDraft::default() };
        parts.database.create_endpoint(tenant, id, Some(id.as_str()), draft).await?;
    }
    Ok(())
}

type Containers<'a> = dyn Fn(fn(&Demo) -> &Vec<NodeRef>) -> Vec<NodeReference> + 'a;

fn widgets(containers: &Containers<'_>) -> Vec<(&'static str, Layout, Source)> {
    let open = Some(vec![WorkItemState::Todo, WorkItemState::InProgress]);
    let pulls = containers(|demo| &demo.pull_requests);
    let at = |x, y, width, height| Layout { x, y, width, height };
    vec![
        (
            "Open work",
            at(0, 0, 6, 6),
            Source::WorkItems(WorkItemsSource {
                filter: WorkItemFilter {
                    containers: Some(containers(|demo| &demo.work_items)),
                    states: open,
                    ..WorkItemFilter::default()
                },
                ..WorkItemsSource::default()
            }),
        ),
        (
            "Pull requests",
            at(6, 0, 6, 6),
            Source::PullRequests(PullRequestsSource {
                containers: pulls.clone(),
                states: Some(vec![PullRequestState::Open]),
                authors: None,
            }),
        ),
        (
            "Builds",
            at(0, 6, 4, 5),
            Source::Builds(BuildsSource { containers: containers(|demo| &demo.builds), branch: None }),
        ),
        ("Talk", at(4, 6, 4, 5), Source::Messages(MessagesSource { containers: containers(|demo| &demo.messages) })),
        ("What happened", at(8, 6, 4, 5), Source::Activity(ActivitySource::default())),
        (
            "Open pull requests",
            at(0, 11, 4, 3),
            Source::Metric(MetricSource {
                metric: MetricKind::OpenPullRequests,
                containers: Some(pulls),
                window_seconds: 7 * 24 * 3600,
            }),
        ),
    ]
}

async fn dashboard(parts: &Parts, tenant: &TenantId, widgets: &[(&'static str, Layout, Source)]) -> anyhow::Result<()> {
    const SEEDED: &str = "dev dashboard seeded";
    // Once: whoever deletes or changes it keeps it so.
    if parts.database.setting(SEEDED).await?.is_some() {
        return Ok(());
    }
    let draft = DashboardDraft {
        slug: DASHBOARD.into(),
        name: "Team".into(),
        description: Some("Work, reviews, builds and talk of a seeded team".into()),
        columns: 12,
    };
    let dashboard = match parts.database.dashboard_by_slug(tenant, DASHBOARD).await? {
        Some(known) => known,
        None => parts.database.create_dashboard(tenant, draft).await?.value,
    };
    for (title, layout, source) in widgets {
        let value = serde_json::to_value(source)?;
        let kind = value.get("kind").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let draft = WidgetDraft { title: (*title).to_owned(), layout: *layout, kind, source: value };
        parts.database.create_widget(tenant, &dashboard.id, draft, |_| *layout).await?;
    }
    parts.database.set_setting(SEEDED, "1").await?;
    Ok(())
}
