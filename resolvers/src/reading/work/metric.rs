//! Metrics: a number over a window of time, the window before it, and a series.

use chrono::{DateTime, Duration, Utc};
use mullion_schema::{
    enums::{MetricKind, PullRequestState, WorkItemState},
    error::PortError,
    fields::FieldSet,
    ports::{BuildsSource, Load, MetricSource, MetricValue, PullRequestsSource, WorkItemFilter},
    view::NodeView,
};

use super::{
    feed::{By, Extent, Feed, LISTED, Order},
    filter::WorkFilter,
    gathered::Gathered,
    history::History,
};
use crate::reading::session::Session;

/// Points of a series: enough for a small chart.
const POINTS: i32 = 14;
/// How builds end that say whether what was built is good. The others were cancelled, skipped or have nothing to say.
const PASSED: [&str; 1] = ["SUCCESS"];
const FAILED: [&str; 3] = ["FAILURE", "TIMED_OUT", "STARTUP_FAILURE"];

/// The present, and a length of time before it.
#[derive(Clone, Copy)]
struct Window {
    now: DateTime<Utc>,
    length: Duration,
}

impl Window {
    fn start(self) -> DateTime<Utc> {
        self.now - self.length
    }

    /// The start of the window before it.
    fn before(self) -> DateTime<Utc> {
        self.now - self.length * 2
    }

    /// The ends of the parts that a series shows a value for each of, with the length of a part.
    fn parts(self) -> impl Iterator<Item = (DateTime<Utc>, Duration)> {
        let step = self.length / POINTS;
        (1..=POINTS).map(move |point| {
            // The last part ends now, whatever the division leaves over.
            let end = if point == POINTS { self.now } else { self.start() + step * point };
            (end, step)
        })
    }
}

/// Measures.
pub(super) async fn measure(session: &Session, source: &MetricSource) -> Result<Load<MetricValue>, PortError> {
    session.scope().note_time();
    let window = Window { now: session.engine().clock.now(), length: Duration::seconds(source.window_seconds.into()) };
    let fields: FieldSet =
        ["createdAt", "updatedAt", "closedAt", "mergedAt", "finishedAt", "conclusion", "sentAt", "state"]
            .into_iter()
            .collect();
    let feed = Feed { session, order: LISTED, fields, extent: Extent::Since(window.before()) };
    let times = (window.start(), window.now);
    let (gathered, value) = match source.metric {
        MetricKind::OpenPullRequests => of_open(History::of_pull_requests(&feed, source, times).await?, window),
        MetricKind::OpenWorkItems => {
            let feed = Feed { order: BY_UPDATE, ..feed };
            of_open(History::of_work_items(&feed, source, times).await?, window)
        }
        kind => of_events(kind, happened(&feed, source).await?, window),
    };
    let empty = value.value.is_none();
    Ok(gathered.load(value, empty))
}

const BY_UPDATE: Order = Order { by: By::Key("updatedAt"), ascending: false };

/// How many are open. Where it is not known how many were, nothing is said of earlier times.
fn of_open(mut history: History, window: Window) -> (Gathered, MetricValue) {
    let nothing_read = history.gathered.items.is_empty() && history.gathered.missing.is_some();
    // Too small, but the last that is known.
    let at_least = || (!nothing_read).then(|| float(history.open_at(window.now)));
    let value = history.open.map(exact).or_else(at_least);
    let mut measured = MetricValue { value, ..MetricValue::default() };
    if history.is_known {
        measured.previous = Some(float(history.open_at(window.start())));
        measured.series = window.parts().map(|(end, _)| (end, float(history.open_at(end)))).collect();
    }
    if history.open.is_none() {
        history.gathered.notes_are_problems();
    }
    (history.gathered, measured)
}

/// The metric of all that happened in the window. A window that is not known as a whole gives the value of a
/// part, and a problem says so.
fn of_events(kind: MetricKind, mut gathered: Gathered, window: Window) -> (Gathered, MetricValue) {
    gathered.distinct();
    let items: Vec<&NodeView> = gathered.items.iter().map(|(_, view)| &**view).collect();
    let nothing_read = items.is_empty() && gathered.missing.is_some();
    let measure = |from: DateTime<Utc>, to: DateTime<Utc>| value(kind, &items, from, to).filter(|_| !nothing_read);
    let is_whole = gathered.known_from <= window.start();
    let parts = window.parts().filter(|_| is_whole);
    let value = MetricValue {
        unit: (kind == MetricKind::MedianTimeToMerge).then(|| "s".to_owned()),
        value: measure(window.start(), window.now),
        previous: (gathered.known_from <= window.before()).then(|| measure(window.before(), window.start())).flatten(),
        series: parts.filter_map(|(end, step)| Some((end, measure(end - step, end)?))).collect(),
    };
    if !is_whole {
        gathered.notes_are_problems();
    }
    (gathered, value)
}

/// All that may have happened in the window or in the one before it.
async fn happened(feed: &Feed<'_>, source: &MetricSource) -> Result<Gathered, PortError> {
    let containers = source.containers.clone();
    let (mut found, read) = match source.metric {
        MetricKind::BuildSuccessRate => {
            let (containers, found) = feed.named_or_all(containers, |lists| lists.builds.is_some()).await?;
            (found, feed.builds(&BuildsSource { containers, branch: None }).await?)
        }
        MetricKind::Messages => {
            let (containers, found) = feed.named_or_all(containers, |lists| lists.messages.is_some()).await?;
            (found, feed.messages(&containers).await?)
        }
        MetricKind::OpenPullRequests | MetricKind::MedianTimeToMerge => {
            let (containers, found) = feed.named_or_all(containers, |lists| lists.pull_requests.is_some()).await?;
            let states = Some(vec![PullRequestState::Merged]);
            (found, feed.pull_requests(&PullRequestsSource { containers, states, authors: None }).await?)
        }
        MetricKind::OpenWorkItems | MetricKind::CompletedWorkItems => {
            let states = Some(vec![WorkItemState::Done]);
            let filter = WorkItemFilter { containers, states, ..WorkItemFilter::default() };
            let feed = Feed { order: BY_UPDATE, ..feed.clone() };
            (Gathered::nothing(), feed.work_items(&WorkFilter::new(&filter)).await?)
        }
    };
    found.join(read);
    Ok(found)
}

/// The metric over what happened in `from..to`; `None` for those that count what is open.
fn value(kind: MetricKind, items: &[&NodeView], from: DateTime<Utc>, to: DateTime<Utc>) -> Option<f64> {
    let within = |view: &NodeView, key: &str| view.time(key).is_some_and(|at| at > from && at <= to);
    let count = |passes: &dyn Fn(&NodeView) -> bool| items.iter().filter(|view| passes(view)).count();
    match kind {
        MetricKind::OpenPullRequests | MetricKind::OpenWorkItems => None,
        MetricKind::CompletedWorkItems => Some(float(count(&|view| within(view, "closedAt")))),
        MetricKind::Messages => Some(float(count(&|view| within(view, "sentAt")))),
        MetricKind::MedianTimeToMerge => {
            let merged = items.iter().filter(|view| within(view, "mergedAt"));
            median(merged.filter_map(|view| Some((view.time("mergedAt")? - view.time("createdAt")?).num_seconds())))
        }
        MetricKind::BuildSuccessRate => {
            let ended = |view: &NodeView, how: &[&str]| {
                let conclusion = view.get("conclusion").and_then(serde_json::Value::as_str);
                within(view, "finishedAt") && conclusion.is_some_and(|conclusion| how.contains(&conclusion))
            };
            let passed = count(&|view| ended(view, &PASSED));
            let decided = passed + count(&|view| ended(view, &FAILED));
            (decided > 0).then(|| float(passed) / float(decided))
        }
    }
}

fn median(values: impl Iterator<Item = i64>) -> Option<f64> {
    let mut values: Vec<i64> = values.collect();
    values.sort_unstable();
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    let lower = if values.len().is_multiple_of(2) { *values.get(middle - 1)? } else { upper };
    Some(f64::midpoint(exact(lower), exact(upper)))
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

/// Exact up to 2^31: two thousand million items, 68 years in seconds.
fn exact(value: i64) -> f64 {
    i32::try_from(value).map_or(f64::from(i32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, Duration, Utc};
    use mullion_schema::{
        enums::MetricKind,
        id::NodeKey,
        view::{FreshnessSource, FreshnessView, NodeView},
    };
    use serde_json::json;

    use super::{median, value};

    fn build(conclusion: &str) -> NodeView {
        let body = json!({ "finishedAt": "2026-11-22T10:00:00Z", "conclusion": conclusion });
        NodeView {
            key: NodeKey::new(&"hub".into(), "GithubWorkflowRun", conclusion),
            body: Arc::new(body.as_object().expect("an object").clone()),
            freshness: FreshnessView {
                fetched_at: DateTime::<Utc>::UNIX_EPOCH,
                source: FreshnessSource::Cache,
                stale_because: None,
            },
            failure: None,
        }
    }

    #[test]
    fn builds_that_say_nothing_of_what_was_built_do_not_count() {
        let to: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().expect("a time");
        for (conclusions, rate) in [
            (&["SUCCESS", "FAILURE"][..], Some(0.5)),
            (&["SUCCESS", "CANCELLED", "SKIPPED", "NEUTRAL", "STALE", "ACTION_REQUIRED"], Some(1.0)),
            (&["SUCCESS", "TIMED_OUT", "STARTUP_FAILURE", "FAILURE"], Some(0.25)),
            (&["CANCELLED", "SKIPPED"], None),
            (&["SUCCESS", "SOMETHING_NEW"], Some(1.0)),
            (&[], None),
        ] {
            let builds: Vec<NodeView> = conclusions.iter().map(|conclusion| build(conclusion)).collect();
            let builds: Vec<&NodeView> = builds.iter().collect();
            let measured = value(MetricKind::BuildSuccessRate, &builds, to - Duration::days(1), to);
            assert_eq!(measured, rate, "{conclusions:?}");
        }
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([5].into_iter()), Some(5.0));
        assert_eq!(median([9, 1, 5].into_iter()), Some(5.0));
        assert_eq!(median([1, 2, 3, 10].into_iter()), Some(2.5));
    }
}
