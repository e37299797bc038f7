//! Counts the provider API calls of one sandbox: what tests of batching read. Control calls never come here.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

/// Distinct paths that are told apart; whatever comes after them is counted together, so that a scan cannot fill the memory.
const MAX_PATHS: usize = 10_000;
const OTHER: &str = "(other)";

/// How often which path was called since the last reset.
#[derive(Debug, Default)]
pub struct Stats {
    calls: Mutex<BTreeMap<String, u64>>,
}

impl Stats {
    /// Counts a call. `path` is relative to the mount and without its query.
    pub fn count(&self, method: &http::Method, path: &str) {
        let key = format!("{method} {path}");
        let mut calls = self.calls.lock();
        let key = if calls.len() < MAX_PATHS || calls.contains_key(&key) { key } else { OTHER.to_owned() };
        *calls.entry(key).or_default() += 1;
    }

    /// Starts again at 0.
    pub fn reset(&self) {
        self.calls.lock().clear();
    }

    /// `{"total":3,"paths":{"POST /graphql":3}}`.
    pub fn to_json(&self) -> Value {
        let calls = self.calls.lock();
        let paths: Map<String, Value> = calls.iter().map(|(path, count)| (path.clone(), json!(count))).collect();
        json!({ "total": calls.values().sum::<u64>(), "paths": paths })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_method_and_path_until_reset() {
        let stats = Stats::default();
        stats.count(&http::Method::POST, "/graphql");
        stats.count(&http::Method::POST, "/graphql");
        stats.count(&http::Method::GET, "/repos/acme/web");
        assert_eq!(stats.to_json().to_string(), r#"{"total":3,"paths":{"GET /repos/acme/web":1,"POST /graphql":2}}"#);
        stats.reset();
        assert_eq!(stats.to_json().to_string(), r#"{"total":0,"paths":{}}"#);
    }

    #[test]
    fn a_scan_does_not_fill_the_memory() {
        let stats = Stats::default();
        for n in 0..MAX_PATHS + 5 {
            stats.count(&http::Method::GET, &format!("/{n}"));
        }
        let json = stats.to_json();
        assert_eq!(json["total"], MAX_PATHS + 5);
        assert_eq!(json["paths"][OTHER], 5);
    }
}
