//! The sentences in which people are told what happened: what an activity stores of them, and the names that are filled in when they
//! are read. The words are each provider's own, in its folder.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use mullion_schema::view::Body;
use serde::{Deserialize, Serialize};

use super::reference::NodeRef;
use crate::capitalized::capitalized;

/// Longer names and titles are cut.
const LONGEST: usize = 120;
/// Where the bodies of nodes keep the name for people: the first that is set counts.
const NAMES: [&str; 5] = ["nameWithOwner", "displayName", "name", "title", "login"];

/// One part of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Detail {
    /// A text as the event told it.
    Text(String),
    /// A node that is called by the name that it has when the sentence is read.
    Node {
        /// `Type:nativeId`.
        node: String,
        /// The name that the event told, for as long as no other is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        given: Option<String>,
    },
}

impl Detail {
    /// A node whose event tells no name.
    pub fn node(node: &NodeRef) -> Self {
        Self::Node { node: node.to_string(), given: None }
    }

    /// A node with the name that the event tells.
    pub fn named(node: &NodeRef, given: &str) -> Self {
        Self::Node { node: node.to_string(), given: Some(shortened(given)) }
    }
}

impl From<&str> for Detail {
    fn from(text: &str) -> Self {
        Self::Text(shortened(text))
    }
}

impl From<String> for Detail {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

/// The parts of a sentence, by what they are in it.
pub type Details = BTreeMap<String, Detail>;

/// The detail under which the one who did it stands.
pub const ACTOR: &str = "actor";

/// The known bodies of the nodes that sentences name, by `Type:nativeId`.
#[derive(Debug, Default)]
pub struct Names {
    bodies: HashMap<String, Arc<Body>>,
    deleted: HashSet<String>,
}

impl Names {
    /// The body of a node.
    pub fn body(&self, node: &str) -> Option<&Body> {
        self.bodies.get(node).map(Arc::as_ref)
    }

    /// The same names; these nodes were deleted.
    #[must_use]
    pub fn without(self, deleted: impl IntoIterator<Item = String>) -> Self {
        Self { deleted: deleted.into_iter().collect(), ..self }
    }

    /// Whether a node was deleted.
    pub fn is_deleted(&self, node: &str) -> bool {
        self.deleted.contains(node)
    }

    /// A node's name. An id is no name, although bodies may fall back on it.
    fn of(&self, node: &str) -> Option<&str> {
        name_in(self.body(node)?, node.split_once(':').map_or(node, |(_, id)| id))
    }
}

/// The name in the body of a node with this id.
pub(crate) fn name_in<'b>(body: &'b Body, id: &str) -> Option<&'b str> {
    let mut names = NAMES.iter().filter_map(|key| body.get(*key)?.as_str());
    names.find(|name| !name.trim().is_empty() && *name != id)
}

impl FromIterator<(String, Arc<Body>)> for Names {
    fn from_iter<I: IntoIterator<Item = (String, Arc<Body>)>>(bodies: I) -> Self {
        Self { bodies: bodies.into_iter().collect(), deleted: HashSet::new() }
    }
}

/// The parts that an activity's sentence is worded from.
#[derive(Debug, Clone, Copy)]
pub struct SentenceParts<'a> {
    /// `pull_request.closed`.
    pub kind: &'a str,
    /// Its parts.
    pub details: &'a Details,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// The known bodies of the nodes that it names.
    pub names: &'a Names,
    /// Whether its subject was deleted since then: what was said in it is not shown any more.
    pub gone: bool,
}

impl SentenceParts<'_> {
    /// A part in words: the text, or the name of the node.
    pub fn get(&self, part: &str) -> Option<String> {
        let text = match self.details.get(part)? {
            Detail::Text(text) => text,
            Detail::Node { node, given } => self.names.of(node).or(given.as_deref())?,
        };
        Some(shortened(text)).filter(|text| !text.is_empty())
    }

    /// A part in words, or other words where it is not known.
    pub fn or(&self, part: &str, otherwise: &str) -> String {
        self.get(part).unwrap_or_else(|| otherwise.to_owned())
    }

    /// A part in quotation marks, or other words without them.
    pub fn quoted(&self, part: &str, otherwise: &str) -> String {
        self.get(part).map_or_else(|| otherwise.to_owned(), |text| format!("‘{text}’"))
    }

    /// Whether there is such a part, known or not.
    pub fn has(&self, part: &str) -> bool {
        self.details.contains_key(part)
    }

    /// The known body of the node that a part names.
    pub fn body(&self, part: &str) -> Option<&Body> {
        match self.details.get(part)? {
            Detail::Node { node, .. } => self.names.body(node),
            Detail::Text(_) => None,
        }
    }

    /// A sentence about what somebody did, or about what happened where nobody is said to have done it.
    pub fn by_actor(&self, did: &str, happened: &str) -> String {
        if !self.has(ACTOR) {
            return capitalized(happened);
        }
        format!("{} {did}", self.or(ACTOR, "Somebody"))
    }
}

/// A part of a sentence that its event does not tell, because it depends on the state of a thing when it happened. A reading of the thing
/// after the event tells it. Once it is known it is kept, because later readings tell of a later state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsettled {
    /// The part that is missing.
    pub part: &'static str,
    /// The part that names the thing.
    pub of: &'static str,
    /// The field of the thing that tells, and its key in the body.
    pub field: &'static str,
    /// The part by which one knows other events that changed the same field; `None`: nothing changes it.
    pub changed_by: Option<&'static str>,
}

/// A text on one line, cut where it is long.
pub fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default().trim_end()),
        None => line,
    }
}

#[cfg(test)]
impl Names {
    /// The bodies of these nodes.
    pub(crate) fn of_bodies(bodies: &serde_json::Value) -> Self {
        let bodies = bodies.as_object().expect("bodies by reference").iter();
        bodies.map(|(node, body)| (node.clone(), body.as_object().expect("a body").clone().into())).collect()
    }
}

#[cfg(test)]
impl SentenceParts<'_> {
    /// The sentence of a draft, with these names for nodes.
    pub(crate) fn worded(
        provider: &dyn crate::provider::Provider,
        draft: &crate::provider::change::ActivityDraft,
        names: &Names,
    ) -> String {
        let parts = SentenceParts {
            gone: false,
            kind: &draft.kind,
            details: &draft.details,
            occurred_at: draft.occurred_at,
            names,
        };
        provider.sentence(&parts)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::{ACTOR, Detail, Details, Names, SentenceParts, shortened};
    use crate::provider::NodeRef;

    fn details(parts: &[(&str, Detail)]) -> Details {
        parts.iter().map(|(name, detail)| ((*name).to_owned(), detail.clone())).collect()
    }

    #[test]
    fn a_part_is_called_by_its_present_name_then_by_the_one_that_was_told_and_never_by_its_id() {
        let node = NodeRef::new("User", "7");
        for (body, told, expected) in [
            (Some(json!({ "displayName": "Ada", "login": "ada" })), Some("ada"), Some("Ada")),
            (Some(json!({ "displayName": null, "name": " ", "login": "ada" })), None, Some("ada")),
            (Some(json!({ "displayName": "7" })), None, None),
            (Some(json!({})), Some("ada"), Some("ada")),
            (None, Some("ada"), Some("ada")),
            (None, None, None),
        ] {
            let detail = told.map_or_else(|| Detail::node(&node), |told| Detail::named(&node, told));
            let bodies = body.iter().map(|body| (node.to_string(), body.as_object().unwrap().clone().into()));
            let (details, names) = (details(&[(ACTOR, detail)]), bodies.collect::<Names>());
            let parts = SentenceParts {
                gone: false,
                kind: "x",
                details: &details,
                occurred_at: DateTime::UNIX_EPOCH,
                names: &names,
            };
            assert_eq!(parts.get(ACTOR).as_deref(), expected, "{body:?}");
            let sentence = parts.by_actor("slept", "there was quiet");
            assert_eq!(sentence, format!("{} slept", expected.unwrap_or("Somebody")));
        }
        let (details, names) = (Details::new(), Names::default());
        let parts = SentenceParts {
            gone: false,
            kind: "x",
            details: &details,
            occurred_at: DateTime::UNIX_EPOCH,
            names: &names,
        };
        assert_eq!(parts.by_actor("slept", "there was quiet"), "There was quiet");
    }

    #[test]
    fn parts_are_stored_as_json_and_read_back() {
        let node = NodeRef::new("User", "7");
        let details = details(&[("a", "text".into()), ("b", Detail::node(&node)), ("c", Detail::named(&node, "Ada"))]);
        let stored = serde_json::to_string(&details).unwrap();
        assert_eq!(stored, r#"{"a":"text","b":{"node":"User:7"},"c":{"node":"User:7","given":"Ada"}}"#);
        assert_eq!(serde_json::from_str::<Details>(&stored).unwrap(), details);
    }

    #[test]
    fn texts_are_one_line_and_not_too_long() {
        assert_eq!(shortened(" two\n lines\t"), "two lines");
        assert_eq!(shortened(&"é".repeat(121)), format!("{}…", "é".repeat(120)));
    }
}
