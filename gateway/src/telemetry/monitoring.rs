//! Alert rules and board name only metrics, labels and values that the binary has: a rule that can never fire is worse than none.

use std::collections::{BTreeMap, BTreeSet};

use super::documented::shown;

const ALERTS: &str = include_str!("../../../docs/deploy/monitoring/alerts.yaml");
const BOARD: &str = include_str!("../../../docs/deploy/monitoring/grafana.json");

/// The labels that Prometheus itself adds to each series.
const OF_THE_TARGET: [&str; 2] = ["instance", "job"];
/// Functions and keywords of the query language that are used.
const WORDS: [&str; 9] = ["by", "changes", "count", "histogram_quantile", "increase", "max", "min", "rate", "sum"];

/// The labels of each sample with the values that they have.
type Samples = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn samples(text: &str) -> Samples {
    let mut samples = Samples::from([("up".to_owned(), BTreeMap::new())]);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        let labels = samples.entry(line[..end].to_owned()).or_default();
        if let Some((between, _)) = line[end..].strip_prefix('{').and_then(|rest| rest.rsplit_once('}')) {
            for (label, _, value) in matchers(between) {
                labels.entry(label).or_default().insert(value);
            }
        }
    }
    samples
}

/// `a="b",c=~"d"` as name, operator and value.
fn matchers(text: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('"') {
        let (value, behind) = after.split_once('"').unwrap_or((after, ""));
        let before = before.trim_matches([',', ' ']);
        let name = before.trim_end_matches(['=', '~', '!']);
        found.push((name.to_owned(), before[name.len()..].to_owned(), value.to_owned()));
        rest = behind;
    }
    found
}

/// The faults of an expression.
fn faults(expression: &str, samples: &Samples) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut metrics, mut grouped) = (Vec::new(), Vec::new());
    let mut rest = expression;
    while let Some(begin) =
        rest.find(|letter: char| letter.is_ascii_alphabetic() || matches!(letter, '_' | '$' | '[' | '"'))
    {
        let tail = &rest[begin..];
        // A duration, or a text.
        if let Some(end) = [('[', ']'), ('"', '"')].iter().find_map(|(open, close)| {
            let inside = tail.strip_prefix(*open)?;
            Some(inside.find(*close).map_or(tail.len(), |at| at + 2))
        }) {
            rest = &tail[end..];
            continue;
        }
        let end = tail
            .find(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '_' | '$'))
            .unwrap_or(tail.len());
        let (word, behind) = tail.split_at(end);
        rest = behind;
        if word == "by" {
            let (labels, after) = rest.trim_start().trim_start_matches('(').split_once(')').unwrap_or_default();
            grouped.extend(labels.split(',').map(|label| label.trim().to_owned()));
            rest = after;
        } else if let Some(labels) = samples.get(word) {
            if let Some((between, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
                faults.extend(matchers(between).iter().filter_map(|matcher| fault(word, labels, matcher)));
                rest = after;
            }
            metrics.push(labels);
        } else if !WORDS.contains(&word) {
            faults.push(format!("{word} is no metric"));
        }
    }
    let known = |label: &String| {
        OF_THE_TARGET.contains(&label.as_str()) || metrics.iter().any(|labels| labels.contains_key(label))
    };
    faults.extend(grouped.iter().filter(|label| !known(label)).map(|label| format!("no metric has the label {label}")));
    faults
}

/// The faults of a matcher of a metric's label.
fn fault(
    metric: &str,
    labels: &BTreeMap<String, BTreeSet<String>>,
    (label, operator, value): &(String, String, String),
) -> Option<String> {
    if OF_THE_TARGET.contains(&label.as_str()) {
        return None;
    }
    let Some(values) = labels.get(label) else { return Some(format!("{metric} has no label {label}")) };
    // Patterns are checked where they are lists of words.
    let alternatives = if operator.ends_with('~') { value.split('|').collect() } else { vec![value.as_str()] };
    let unknown = alternatives.into_iter().find(|value| !value.contains(['.', '$']) && !values.contains(*value))?;
    Some(format!("{metric} never has {label}={unknown:?}"))
}

fn expressions_of_alerts() -> Vec<String> {
    let rules = ALERTS.split("\n        expr: ").skip(1);
    let end = |rule: &str| ["\n        for:", "\n        labels:"].iter().filter_map(|next| rule.find(next)).min();
    rules.map(|rule| rule[..end(rule).expect("each rule has labels")].trim_start_matches("|-").to_owned()).collect()
}

fn expressions_of_board() -> Vec<String> {
    let board: serde_json::Value = serde_json::from_str(BOARD).expect("the board is JSON");
    let panels = board["panels"].as_array().expect("the board has panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().expect("each target has an expression").to_owned()).collect()
}

#[test]
fn alerts_and_board_name_only_metrics_labels_and_values_that_there_are() {
    let samples = samples(&shown());
    let (alerts, board) = (expressions_of_alerts(), expressions_of_board());
    assert_eq!(alerts.len(), ALERTS.matches("- alert: ").count());
    assert!(alerts.len() > 10 && board.len() > 10);
    for expression in alerts.iter().chain(&board) {
        let faults = faults(expression, &samples);
        assert!(faults.is_empty(), "{expression}: {}", faults.join(", "));
    }
}

#[test]
fn names_labels_and_values_that_there_are_not_are_found() {
    let samples = samples(&shown());
    for (expression, expected) in [
        ("rate(mullion_deliverys_total[5m])", "mullion_deliverys_total is no metric"),
        ("mullion_deliveries_total{outcome=\"failed\"}", "mullion_deliveries_total has no label outcome"),
        ("mullion_deliveries_total{result=~\"failed|wrong\"}", "mullion_deliveries_total never has result=\"wrong\""),
        ("mullion_deliveries_total{result=\"wrong\"} > 1", "mullion_deliveries_total never has result=\"wrong\""),
        ("sum by (tenant) (mullion_open_sockets)", "no metric has the label tenant"),
        ("process_cpu_seconds", "process_cpu_seconds is no metric"),
    ] {
        assert_eq!(faults(expression, &samples), [expected]);
    }
    assert!(faults("sum by (instance) (up{job=\"$job\"})", &samples).is_empty());
}
