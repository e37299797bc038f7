//! Dashboards.

use std::{borrow::Cow, sync::Arc};

use async_graphql::{Context, ID, Object};

use super::{Widget, load::Hints, widget_object};
use crate::{
    cost::Items,
    error::PortError,
    id::GlobalId,
    ports::DashboardView,
    scalars::Time,
    table::{Item, Many, ports},
};

/// A dashboard.
#[derive(Clone)]
pub struct Dashboard(pub Arc<DashboardView>);

impl Item for Dashboard {
    fn stem() -> Cow<'static, str> {
        Cow::Borrowed("Dashboard")
    }
}

/// Widgets on a grid.
#[Object]
impl Dashboard {
    /// Opaque, global and stable.
    async fn id(&self) -> ID {
        GlobalId::own("Dashboard", self.0.id.as_str()).encode().into()
    }

    /// Its name in addresses, unique in the tenant.
    async fn slug(&self) -> &str {
        &self.0.slug
    }

    /// Its name for people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The purpose of the dashboard.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// How many columns its grid has.
    async fn columns(&self) -> i32 {
        self.0.columns
    }

    /// Its widgets, top to bottom, left to right.
    #[graphql(directive = Items::apply(10))]
    async fn widgets(&self, ctx: &Context<'_>) -> Result<Many<Widget>, PortError> {
        let hints = Arc::new(Hints::of(ctx));
        let widgets = ports(ctx)?.boards.widgets(&self.0.id).await?;
        Ok(widgets.into_iter().map(|view| widget_object(view, &hints)).collect())
    }

    /// When it was created.
    async fn created_at(&self) -> Time {
        self.0.created_at.into()
    }

    /// When its name, slug, description or grid last changed: `expectedUpdatedAt` of an update.
    async fn updated_at(&self) -> Time {
        self.0.updated_at.into()
    }
}
