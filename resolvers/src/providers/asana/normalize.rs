//! Asana's records as node writes, with the nodes that come inside them, each of them once.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mullion_schema::view::Body;
use serde_json::Value;

use super::{
    keys::{COUNT_KEYS, embedded, kind},
    names::{COMMENT, COUNTS, PROJECT, SECTION, TASK},
    values::{list, node, reference, time},
};
use crate::provider::{
    NodeRef,
    change::{Aspect, NodeWrite, Version},
};

/// Collects the nodes of answers.
#[derive(Debug)]
pub(super) struct Records {
    /// When the request was sent: the version of what carries none of its own.
    asked_at: DateTime<Utc>,
    seen: BTreeSet<(NodeRef, Vec<String>)>,
    /// In the order in which they may be written: what is referred to comes first.
    pub(super) writes: Vec<NodeWrite>,
}

impl Records {
    pub(super) fn new(asked_at: DateTime<Utc>) -> Self {
        Self { asked_at, seen: BTreeSet::new(), writes: Vec::new() }
    }

    /// Takes a record, with what is known of it besides; tells which node it is and its body.
    pub(super) fn take(&mut self, type_name: &'static str, record: &Value, more: Body) -> Option<(NodeRef, Body)> {
        let kind = kind(type_name)?;
        let node = node(kind.type_name, record)?;
        // A story that Asana itself writes about a task is no comment.
        if type_name == COMMENT && record.get("type").is_some_and(|kind| kind != "comment") {
            return None;
        }
        for (type_name, inner) in embedded(type_name, record) {
            self.take(type_name, inner, Body::new());
        }
        if type_name == TASK {
            self.sections(record);
        }
        let mut body = kind.body(record);
        if !body.is_empty() {
            body.extend(more);
            let keys = body.keys().cloned().collect();
            // The same person comes with every task, with the same fields.
            if self.seen.insert((node.clone(), keys)) {
                self.writes.push(NodeWrite::core(node.clone(), self.version(type_name, record), body.clone()));
            }
        }
        Some((node, body))
    }

    /// The sections that a task stands in, with their projects.
    fn sections(&mut self, task: &Value) {
        for place in list(task, "memberships") {
            let (Some(section), Some(project)) = (place.get("section"), place.get("project")) else { continue };
            let project = reference(PROJECT, project);
            if !project.is_null() {
                self.take(SECTION, section, Body::from_iter([("project".to_owned(), project)]));
            }
        }
    }

    /// Takes a project's numbers of tasks; whether all are there.
    pub(super) fn counts(&mut self, project: &NodeRef, counts: &Value) -> bool {
        let count = |(key, field): (&str, &str)| Some((key.to_owned(), counts.get(field)?.as_u64()?.into()));
        let fields: Body = COUNT_KEYS.into_iter().filter_map(count).collect();
        let are_all = fields.len() == COUNT_KEYS.len();
        let aspect = Aspect { name: COUNTS, version: Version::at(self.asked_at), fields };
        self.writes.push(NodeWrite { node: project.clone(), aspects: vec![aspect], deleted: None });
        are_all
    }

    fn version(&self, type_name: &str, record: &Value) -> Version {
        match type_name {
            TASK | PROJECT => time(record, "modified_at").map(Version::at).unwrap_or_default(),
            _ => Version::at(self.asked_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use mullion_schema::view::Body;
    use serde_json::json;

    use super::Records;
    use crate::provider::change::Version;

    #[test]
    fn a_task_brings_its_people_projects_and_sections_once_and_with_their_versions() {
        let asked_at = DateTime::from_timestamp(50, 0).expect("a time");
        let mut records = Records::new(asked_at);
        let task = |gid: &str| {
            json!({"gid": gid, "name": "t", "modified_at": "1970-01-01T00:00:02Z",
                "assignee": {"gid": "9", "name": "Ann"}, "parent": {"gid": "8"},
                "memberships": [{"project": {"gid": "5", "name": "P", "modified_at": "1970-01-01T00:00:01Z"},
                    "section": {"gid": "6", "name": "Doing"}}]})
        };
        for gid in ["1", "2"] {
            let (node, body) = records.take("AsanaTask", &task(gid), Body::new()).expect("a task");
            assert_eq!(node.native_id.as_ref(), gid);
            assert_eq!((&body["assignee"], &body["parent"]), (&json!("AsanaUser:9"), &json!("AsanaTask:8")));
        }
        let at = |seconds| Version::at(DateTime::from_timestamp(seconds, 0).expect("a time"));
        let written: Vec<_> =
            records.writes.iter().map(|write| (write.node.to_string(), write.aspects[0].version)).collect();
        let expected = [("AsanaUser:9", at(50)), ("AsanaProject:5", at(1)), ("AsanaSection:6", at(50))];
        let tasks = [("AsanaTask:1", at(2)), ("AsanaTask:2", at(2))];
        let expected: Vec<_> = expected.into_iter().chain(tasks).map(|(node, at)| (node.to_owned(), at)).collect();
        assert_eq!(written, expected);
        assert_eq!(records.writes[2].aspects[0].fields["project"], "AsanaProject:5");
    }

    #[test]
    fn what_is_no_record_is_no_node() {
        let mut records = Records::new(DateTime::UNIX_EPOCH);
        for odd in [json!(null), json!([]), json!({"gid": 7}), json!({"gid": "../x"}), json!({"name": "x"})] {
            assert_eq!(records.take("AsanaTask", &odd, Body::new()), None, "{odd}");
        }
        let note = json!({"gid": "1", "type": "system", "text": "assigned"});
        assert_eq!(records.take("AsanaComment", &note, Body::new()), None);
        assert!(records.writes.is_empty());
    }
}
