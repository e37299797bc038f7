//! Rows of our own in memory: what the answers of one execution after another would read from the store again and again.

use std::{sync::Arc, time::Duration};

use mullion_schema::ports::{DashboardView, IntegrationView, WidgetView};

use crate::{
    activity::ActivityPage,
    cache::{epochs::Epochs, kept::Kept},
    store::activity::ActivityFilter,
};

/// How long a row is kept at most, as an answer is.
const KEPT: Duration = Duration::from_secs(30);
/// What all of a kind may take, about. They are small, and there are few of them.
const BYTES: u64 = 4_000_000;
/// What one row takes, about.
pub(crate) const ROW_BYTES: usize = 1_000;

/// How a dashboard is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum DashboardKey {
    /// By its id.
    Id(String),
    /// By its slug.
    Slug(String),
}

/// Which widgets are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum WidgetsKey {
    /// Those of a dashboard.
    Of(String),
    /// One.
    One(String),
}

/// Which activities are asked for: the filter, before which position, how many.
pub(crate) type ActivitiesKey = (ActivityFilter, Option<i64>, usize);

/// The rows that are kept.
pub struct Rows {
    /// `None`: there is no such dashboard.
    pub(crate) dashboards: Kept<DashboardKey, Option<Arc<DashboardView>>>,
    pub(crate) widgets: Kept<WidgetsKey, Arc<[Arc<WidgetView>]>>,
    /// All of a tenant, oldest first.
    pub(crate) integrations: Kept<(), Arc<[Arc<IntegrationView>]>>,
    pub(crate) activities: Kept<ActivitiesKey, Arc<ActivityPage>>,
}

impl Rows {
    /// None yet.
    pub fn new(epochs: &Arc<Epochs>) -> Self {
        Self {
            dashboards: Kept::new(Arc::clone(epochs), BYTES, Some(KEPT)),
            widgets: Kept::new(Arc::clone(epochs), BYTES, Some(KEPT)),
            integrations: Kept::new(Arc::clone(epochs), BYTES, Some(KEPT)),
            activities: Kept::new(Arc::clone(epochs), BYTES, Some(KEPT)),
        }
    }
}
