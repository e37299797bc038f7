//! Metrics are found under the names that the documentation gives them.

use std::collections::BTreeSet;

use mullion_resolvers::supervisor::TaskObserver as _;
use prometheus_client::metrics::counter::Counter;

use super::{labels::IntegrationLabels, metrics::Metrics};
use crate::config::{Limits, Live};

const RUNBOOK: &str = include_str!("../../../docs/runbook.md");
const OTHERS: [&str; 5] = [
    include_str!("../../../docs/deploy/README.md"),
    include_str!("../../../docs/deploy/kubernetes/mullion.yaml"),
    include_str!("../../../docs/guide/operations.md"),
    include_str!("../../../docs/guide/configuration.md"),
    include_str!("../../../README.md"),
];

/// All that `/metrics` ever shows.
pub(super) fn shown() -> String {
    let mut metrics = Metrics::with_providers(["any"]);
    metrics.show_dropped_lines(Counter::default());
    metrics.show_dropped_spans(Counter::default());
    metrics.tasks.check("database", true);
    metrics.tasks.begun("worker");
    let (provider, integration) = ("any".to_owned(), "i1".to_owned());
    let labels = IntegrationLabels { provider, integration, bucket: "core".to_owned() };
    metrics.quota.told(&labels, 1, None);
    drop(metrics.circuit_state.get_or_create(&labels));
    metrics.live.show_limits(&Live::default(), &Limits::default());
    metrics.live.closed(1001);
    metrics.encode()
}

/// Names of samples, and of histograms, whose samples have names of their own.
fn names(shown: &str) -> BTreeSet<&str> {
    shown
        .lines()
        .filter_map(|line| match line.strip_prefix("# TYPE ") {
            Some(kind) => kind.strip_suffix(" histogram"),
            None if line.starts_with('#') => None,
            None => line.split(['{', ' ']).next(),
        })
        .filter_map(|name| name.strip_prefix("mullion_").or_else(|| name.starts_with("process_").then_some(name)))
        .collect()
}

/// The texts between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The metrics that the runbook names: the first column of its table, and names in its text that end as metrics do.
fn in_the_runbook() -> Vec<&'static str> {
    let table = RUNBOOK.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let table = table.flat_map(|cell| cell.split('`').step_by(2)).filter(|name| !name.starts_with('/'));
    let is_metric = |name: &&str| name.ends_with("_total") || (name.ends_with("_seconds") && !name.contains('.'));
    table.chain(code(RUNBOOK).filter(is_metric)).collect()
}

#[test]
fn the_metrics_that_the_documentation_names_are_there() {
    let shown = shown();
    let names = names(&shown);
    let runbook = in_the_runbook();
    assert!(runbook.len() > 15, "{runbook:?}");
    for documented in runbook {
        let (name, label) = documented.split_once('{').unwrap_or((documented, ""));
        assert!(names.contains(name), "{documented} is not among {names:?}");
        let (begin, label) = (format!("mullion_{name}{{"), format!("{}=", label.trim_end_matches('}')));
        let has = shown.lines().any(|line| line.starts_with(&begin) && line.contains(&label));
        assert!(label == "=" || has, "{documented} has no such label");
    }
    for text in OTHERS {
        for rest in text.split("mullion_").skip(1) {
            let name =
                rest.split(|letter: char| !(letter.is_ascii_lowercase() || letter == '_')).next().unwrap_or_default();
            // A crate of ours, where logs are filtered by it.
            assert!(names.contains(name) || name == "resolvers", "mullion_{name} is not among {names:?}");
        }
    }
}
