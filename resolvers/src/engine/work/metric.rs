//! Metrics: a number over a window of time, the window before it, and a series.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use mullion_schema::{
    enums::{MetricKind, PullRequestState, WorkItemState},
    error::PortError,
    fields::FieldSet,
    ports::{BuildsSource, Load, MetricSource, MetricValue, PullRequestsSource, WorkItemFilter},
    view::NodeView,
};

use super::{
    By, Gathered, NEWEST,
    feed::{Feed, Order},
    filter::WorkFilter,
};
use crate::engine::session::Session;

/// Points of a series: enough for a small chart.
const POINTS: i32 = 14;

/// Measures.
pub(super) async fn measure(session: &Session, source: &MetricSource) -> Result<Load<MetricValue>, PortError> {
    let now = session.engine().clock.now();
    let window = Duration::seconds(source.window_seconds.into());
    let gathered = gather(session, source).await?;
    let measure = |from: DateTime<Utc>, to: DateTime<Utc>| value(source.metric, &gathered.items_of(), from, to);
    let value = MetricValue {
        unit: (source.metric == MetricKind::MedianTimeToMerge).then(|| "s".to_owned()),
        value: measure(now - window, now),
        previous: measure(now - window * 2, now - window),
        series: (1..=POINTS)
            .filter_map(|point| {
                let step = window / POINTS;
                let to = now - window + step * point;
                Some((to, measure(to - step, to)?))
            })
            .collect(),
    };
    let empty = value.value.is_none();
    Ok(gathered.load(value, empty))
}

impl Gathered {
    fn items_of(&self) -> Vec<&Arc<NodeView>> {
        self.items.iter().map(|(_, view)| view).collect()
    }
}

async fn gather(session: &Session, source: &MetricSource) -> Result<Gathered, PortError> {
    let fields: FieldSet =
        ["createdAt", "updatedAt", "closedAt", "mergedAt", "finishedAt", "conclusion", "sentAt", "state"]
            .into_iter()
            .collect();
    let feed = Feed { session, order: NEWEST, fields, enough: None };
    let containers = source.containers.clone();
    match source.metric {
        MetricKind::OpenPullRequests | MetricKind::MedianTimeToMerge => {
            let state = match source.metric {
                MetricKind::OpenPullRequests => PullRequestState::Open,
                _ => PullRequestState::Merged,
            };
            let source = PullRequestsSource {
                containers: feed.named_or_all(containers, |lists| lists.pull_requests.is_some()).await?,
                states: Some(vec![state]),
                authors: None,
            };
            feed.pull_requests(&source).await
        }
        MetricKind::BuildSuccessRate => {
            let containers = feed.named_or_all(containers, |lists| lists.builds.is_some()).await?;
            feed.builds(&BuildsSource { containers, branch: None }).await
        }
        MetricKind::Messages => {
            let containers = feed.named_or_all(containers, |lists| lists.messages.is_some()).await?;
            feed.messages(&containers).await
        }
        MetricKind::OpenWorkItems | MetricKind::CompletedWorkItems => {
            let states = match source.metric {
                MetricKind::OpenWorkItems => vec![WorkItemState::Todo, WorkItemState::InProgress],
                _ => vec![WorkItemState::Done],
            };
            let filter = WorkItemFilter { containers, states: Some(states), ..WorkItemFilter::default() };
            let order = Order { by: By::Key("updatedAt"), ascending: false };
            Feed { order, ..feed }.work_items(&WorkFilter::new(&filter)).await
        }
    }
}

/// The metric over `from..to`. The ones that count what is open look at `to` as the present: what was opened by then and is open.
fn value(kind: MetricKind, items: &[&Arc<NodeView>], from: DateTime<Utc>, to: DateTime<Utc>) -> Option<f64> {
    let within = |view: &NodeView, key: &str| view.time(key).is_some_and(|at| at > from && at <= to);
    let count = |passes: &dyn Fn(&NodeView) -> bool| items.iter().filter(|view| passes(view)).count();
    match kind {
        MetricKind::OpenPullRequests | MetricKind::OpenWorkItems => {
            Some(float(count(&|view| view.time("createdAt").is_none_or(|at| at <= to))))
        }
        MetricKind::CompletedWorkItems => Some(float(count(&|view| within(view, "closedAt")))),
        MetricKind::Messages => Some(float(count(&|view| within(view, "sentAt")))),
        MetricKind::MedianTimeToMerge => {
            let merged = items.iter().filter(|view| within(view, "mergedAt"));
            median(merged.filter_map(|view| Some((view.time("mergedAt")? - view.time("createdAt")?).num_seconds())))
        }
        MetricKind::BuildSuccessRate => {
            let finished = count(&|view| within(view, "finishedAt"));
            let passed =
                count(&|view| within(view, "finishedAt") && view.text("conclusion").as_deref() == Some("SUCCESS"));
            (finished > 0).then(|| float(passed) / float(finished))
        }
    }
}

fn median(values: impl Iterator<Item = i64>) -> Option<f64> {
    let mut values: Vec<i64> = values.collect();
    values.sort_unstable();
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    let lower = if values.len().is_multiple_of(2) { *values.get(middle - 1)? } else { upper };
    Some(f64::midpoint(seconds(lower), seconds(upper)))
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

/// Exact up to 68 years.
fn seconds(value: i64) -> f64 {
    i32::try_from(value).map_or(f64::from(i32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([5].into_iter()), Some(5.0));
        assert_eq!(median([9, 1, 5].into_iter()), Some(5.0));
        assert_eq!(median([1, 2, 3, 10].into_iter()), Some(2.5));
    }
}
