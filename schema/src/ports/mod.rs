//! The ports: what the graph's fields ask for. `resolvers` answers them; here nobody knows how.
//!
//! The caller puts one [`Ports`] into the request data of every execution; fields find it by `ctx.data::<Ports>()`.

mod accounts;
mod activity;
mod boards;
mod deliveries;
mod live;
mod nodes;
mod page;
mod source;
mod viewer;
mod work;

use std::sync::Arc;

pub use accounts::{
    Accounts, Connected, HealthView, IntegrationChanges, IntegrationView, NewIntegration, ProviderView, QuotaView,
    Secret,
};
pub use activity::{ActivityLog, ActivityPage, ActivityView};
pub use boards::{
    Boards, DashboardChanges, DashboardView, Layout, NewDashboard, NewSlug, NewWidget, WidgetChanges, WidgetView,
};
pub use deliveries::{ChangeView, Deliveries, DeliveryFilter, DeliveryView, LiveOperationView};
pub use live::{Live, LiveInput, LivePlan, PlanSink, WatchedId};
pub use nodes::{Filter, List, ListPage, ListQuery, Lookup, Nodes, Position, Want};
pub use page::{Change, Page, PageRequest};
pub use source::{
    ActivitySource, BuildsSource, MessagesSource, MetricSource, PullRequestsSource, Source, WorkItemFilter,
    WorkItemOrder, WorkItemsSource,
};
pub use viewer::{Role, ViewerView};
pub use work::{Load, MetricValue, Problem, Work, WorkPage};

/// Everything that the fields of one execution may ask.
#[derive(Clone)]
pub struct Ports {
    /// The providers' nodes.
    pub nodes: Arc<dyn Nodes>,
    /// Dashboards and widgets.
    pub boards: Arc<dyn Boards>,
    /// Providers and the tenant's integrations.
    pub accounts: Arc<dyn Accounts>,
    /// The tenant's activities.
    pub activity: Arc<dyn ActivityLog>,
    /// The tenant's webhook deliveries.
    pub deliveries: Arc<dyn Deliveries>,
    /// Lists that draw on several providers, and metrics.
    pub work: Arc<dyn Work>,
    /// Counts words of providers that this version does not know.
    pub unknown_words: Arc<dyn UnknownWords>,
    /// The caller.
    pub viewer: Arc<ViewerView>,
}

/// Hears of words of providers that this version does not know, so that somebody can teach them to the next one.
pub trait UnknownWords: Send + Sync {
    /// One was shown at this field of this type, as `UNKNOWN` or as the documented value that stands for it.
    fn shown(&self, type_name: &'static str, field: &'static str);
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct IgnoreUnknownWords;

impl UnknownWords for IgnoreUnknownWords {
    fn shown(&self, _: &'static str, _: &'static str) {}
}
