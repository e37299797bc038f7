//! GitHub's GraphQL answers as node writes: every object that says its type and id is a node, however deep it lies.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mullion_schema::view::Body;
use serde_json::Value;

use super::{
    keys::keys,
    names::{self, COMMENT, CORE, PUSHED, REPOSITORY, USER},
    values::{object, reference, text, time},
};
use crate::provider::{
    NodeRef,
    change::{Aspect, NodeWrite, Version},
};

/// Collects the nodes of answers, each of them once.
#[derive(Debug)]
pub(super) struct Collector {
    /// When the request was sent: the version of what carries none of its own.
    asked_at: DateTime<Utc>,
    /// Whether people's addresses may be read. If not, they are known to be nothing.
    emails: bool,
    seen: BTreeSet<(NodeRef, String)>,
    /// In the order in which they may be written: what is referred to comes first.
    pub(super) writes: Vec<NodeWrite>,
}

impl Collector {
    pub(super) fn new(asked_at: DateTime<Utc>, emails: bool) -> Self {
        Self { asked_at, emails, seen: BTreeSet::new(), writes: Vec::new() }
    }

    /// Takes all nodes out of a part of an answer.
    pub(super) fn absorb(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.absorb(item)),
            Value::Object(members) => {
                members.values().for_each(|member| self.absorb(member));
                self.node(value);
            }
            _ => {}
        }
    }

    fn node(&mut self, object: &Value) {
        let Some(node) = reference(object) else { return };
        let shape = object
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::keys)
            .fold(String::new(), |all, key| all + key + " ");
        // The same person comes with every item, with the same fields.
        if !self.seen.insert((node.clone(), shape)) {
            return;
        }
        let mut aspects: Vec<Aspect> = Vec::new();
        for key in keys(node.type_name) {
            let Some(value) = key.read(object) else { continue };
            match aspects.iter_mut().find(|aspect| aspect.name == key.aspect) {
                Some(aspect) => drop(aspect.fields.insert(key.name.to_owned(), value)),
                None => aspects.push(Aspect {
                    name: key.aspect,
                    version: self.version(key.aspect, object),
                    fields: Body::from_iter([(key.name.to_owned(), value)]),
                }),
            }
        }
        if let Some(core) = aspects.iter_mut().find(|aspect| aspect.name == CORE) {
            self.complete(&node, object, &mut core.fields);
        }
        if aspects.iter().any(|aspect| aspect.fields.keys().any(|key| key != "kind")) {
            self.writes.push(NodeWrite { node, aspects, deleted: None });
        }
    }

    fn version(&self, aspect: &str, object: &Value) -> Version {
        match aspect {
            CORE => time(object, "updatedAt").map(Version::at).unwrap_or_default(),
            PUSHED => time(object, "pushedAt").map(Version::at).unwrap_or_default(),
            _ => Version::at(self.asked_at),
        }
    }

    /// Adds the fields that follow from the type or from another field.
    fn complete(&self, node: &NodeRef, object: &Value, core: &mut Body) {
        if node.type_name == USER && core.contains_key("login") {
            let typename = text(object, "__typename");
            if !self.emails || typename != Some("User") {
                core.insert("email".into(), Value::Null);
            }
            if matches!(typename, Some("Bot" | "Mannequin")) {
                core.insert("name".into(), Value::Null);
            }
        }
        if node.type_name == COMMENT {
            core.insert("replyCount".into(), Value::Null);
        }
        if node.type_name == COMMENT
            && let Some(subject) = subject_of(object)
        {
            core.insert("subject".into(), subject);
        }
    }
}

fn subject_of(comment: &Value) -> Option<Value> {
    let pull_request = object(comment, "pullRequest").or_else(|| object(comment, "reviewed"));
    if let Some(id) = pull_request.and_then(|pull_request| text(pull_request, "id")) {
        return Some(format!("{}:{id}", names::PULL_REQUEST).into());
    }
    let id = text(object(comment, "issue")?, "id")?;
    Some(format!("{}:{id}", names::ISSUE).into())
}

/// `owner/name` of the repositories among the writes.
pub(super) fn repository_names(writes: &[NodeWrite]) -> impl Iterator<Item = (&NodeRef, &str)> {
    let repositories = writes.iter().filter(|write| write.node.type_name == REPOSITORY);
    repositories.filter_map(|write| {
        let core = write.aspects.iter().find(|aspect| aspect.name == CORE)?;
        Some((&write.node, core.fields.get("nameWithOwner")?.as_str()?))
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::Collector;
    use crate::provider::{NodeRef, change::Version};

    #[test]
    fn every_typed_object_becomes_a_write_with_the_versions_of_its_aspects() {
        let asked_at = DateTime::from_timestamp(50, 0).expect("a time");
        let mut collector = Collector::new(asked_at, false);
        let author = json!({"__typename": "Bot", "id": "B1", "login": "ci", "updatedAt": "1970-01-01T00:00:02Z"});
        collector.absorb(&json!({"nodes": [
            {"__typename": "PullRequest", "id": "P1", "updatedAt": "1970-01-01T00:00:01Z", "state": "OPEN", "author": author,
             "statusCheckRollup": {"state": "SUCCESS"}, "milestone": null, "repository": {"id": "R1", "nameWithOwner": "a/b"}},
            {"__typename": "PullRequest", "id": "P2", "author": author, "statusCheckRollup": null},
        ]}));
        let nodes: Vec<String> = collector.writes.iter().map(|write| write.node.to_string()).collect();
        assert_eq!(nodes, ["GithubUser:B1", "GithubPullRequest:P1", "GithubPullRequest:P2"]);
        let pull_request = &collector.writes[1];
        let (core, checks) = (&pull_request.aspects[0], &pull_request.aspects[1]);
        assert_eq!(core.version, Version::at(DateTime::from_timestamp(1, 0).expect("a time")));
        assert_eq!(core.fields["author"], "GithubUser:B1");
        assert_eq!(core.fields["repository"], "GithubRepository:R1");
        assert!(core.fields["milestone"].is_null() && !core.fields.contains_key("title"));
        assert_eq!((checks.version, &checks.fields["checks"]), (Version::at(asked_at), &json!("SUCCESS")));
        let bot = &collector.writes[0].aspects[0].fields;
        assert_eq!((&bot["kind"], &bot["name"], &bot["email"]), (&json!("BOT"), &json!(null), &json!(null)));
        assert_eq!(collector.writes[0].node, NodeRef::new("GithubUser", "B1"));
    }
}
