//! Metrics.

#![expect(clippy::unused_async, reason = "errors below asynchronous fields keep their own path")]

use std::sync::Arc;

use async_graphql::{Object, SimpleObject};

use crate::{
    cost::Slice,
    enums::MetricKind,
    error::PortError,
    ports::{Load, MetricValue},
    scalars::Time,
    table::Many,
};

/// A metric's value.
pub struct Metric {
    kind: MetricKind,
    load: Arc<Load<MetricValue>>,
}

impl Metric {
    /// A loaded value.
    pub fn new(kind: MetricKind, load: Arc<Load<MetricValue>>) -> Self {
        Self { kind, load }
    }
}

fn name(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::OpenPullRequests => "Open pull requests",
        MetricKind::MedianTimeToMerge => "Median time to merge",
        MetricKind::BuildSuccessRate => "Build success rate",
        MetricKind::OpenWorkItems => "Open work items",
        MetricKind::CompletedWorkItems => "Completed work items",
        MetricKind::Messages => "Messages",
    }
}

/// A number, how it was before, and how it came about.
#[Object]
impl Metric {
    /// The measured quantity.
    async fn kind(&self) -> MetricKind {
        self.kind
    }

    /// The measured quantity, in words for people.
    async fn name(&self) -> &'static str {
        name(self.kind)
    }

    /// The unit: `s` for seconds; null for plain numbers and ratios.
    async fn unit(&self) -> Option<&str> {
        self.load.value.unit.as_deref()
    }

    /// The value over the window; null where nothing could be measured. Where not everything could be read, it is that of a part,
    /// and the widget's `problems` say so.
    async fn value(&self) -> Option<f64> {
        self.load.value.value
    }

    /// The value over the window before; null where not all of that window is known.
    async fn previous(&self) -> Option<f64> {
        self.load.value.previous
    }

    /// The values over time, oldest first; empty where not all of the window is known. The last point is now.
    #[graphql(directive = Slice::apply("last", 14))]
    async fn series(
        &self,
        #[graphql(desc = "Only this many of the newest points: 1 to 1000.")] last: Option<i32>,
    ) -> Result<Many<MetricPoint>, PortError> {
        let points = &self.load.value.series;
        let kept = match last {
            None => points.len(),
            Some(last) if (1..=1000).contains(&last) => usize::try_from(last).unwrap_or_default(),
            Some(last) => return Err(PortError::bad_input(format!("last: must be from 1 to 1000, not {last}"))),
        };
        let skipped = points.len().saturating_sub(kept);
        Ok(points.iter().skip(skipped).map(|&(at, value)| MetricPoint { at: at.into(), value }).collect())
    }
}

/// A value at a time.
#[derive(Debug, Clone, SimpleObject)]
pub struct MetricPoint {
    /// When.
    at: Time,
    /// How much.
    value: f64,
}
