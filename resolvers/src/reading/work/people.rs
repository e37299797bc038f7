//! The people whom the items of a page name: somebody who cannot be loaded is a part that is missing.

use std::collections::HashSet;

use foldhash::fast::RandomState;
use mullion_schema::{
    enums::WidgetState,
    error::ErrorCode,
    fields::FieldSet,
    id::NodeKey,
    ports::{Load, Problem, WorkPage},
    table::NodeType,
};

use super::gathered::problem;
use crate::reading::{integrations::Integration, node_view::texts, read_nodes::NodeWant, session::Session};

/// The interface of people.
const PERSON: &str = "Person";

impl Session {
    /// Adds the problems with people whom the selected fields of the items name and of whom nothing can be shown.
    pub(super) async fn with_people(&self, mut load: Load<WorkPage>, fields: &FieldSet) -> Load<WorkPage> {
        let wants = self.unknown_people(&load.value, fields);
        if wants.is_empty() {
            return load;
        }
        let engine = self.engine();
        let loaded = engine.load_nodes(self.scope(), wants).await;
        for error in loaded.into_values().filter_map(Result::err) {
            let problem = problem(&error, engine.clock.now());
            let is_same = |known: &Problem| known.code == problem.code && known.integration == problem.integration;
            if !load.problems.iter().any(is_same) {
                load.problems.push(problem);
            }
            load.state = match (error.code, load.state) {
                (ErrorCode::ProviderAuthExpired, _) => WidgetState::Reconnect,
                (_, WidgetState::Ready) => WidgetState::Stale,
                (_, state) => state,
            };
        }
        load
    }

    /// The people of a page of whom nothing is in memory, with all of their fields: whatever is selected of them is asked for once.
    fn unknown_people(&self, page: &WorkPage, fields: &FieldSet) -> Vec<NodeWant> {
        let (engine, scope) = (self.engine(), self.scope());
        let mut seen: HashSet<NodeKey, RandomState> = HashSet::default();
        let mut wants = Vec::new();
        for (_, view) in page.items.iter().filter(|_| !fields.is_empty()) {
            let Some(integration) = engine.directory.at_hand(&scope.tenant, &view.key.integration) else { continue };
            let Some(kind) = integration.node_type(view.key.type_name) else { continue };
            let named = kind.needs(fields).filter_map(|key| view.body.get(key)).flat_map(texts);
            for (key, person) in named.filter_map(|reference| person(&integration, reference)) {
                let is_new = seen.insert(key.clone());
                if is_new && engine.node_at_hand(scope, &key, &FieldSet::default()).is_none() {
                    wants.push((key, person.names()));
                }
            }
        }
        wants
    }
}

/// The person that a reference names.
fn person(integration: &Integration, reference: &str) -> Option<(NodeKey, &'static NodeType)> {
    let (type_name, native_id) = reference.split_once(':')?;
    let kind = integration.node_type(type_name).filter(|kind| kind.interfaces.contains(&PERSON))?;
    Some((NodeKey::new(&integration.id, kind.name, native_id), kind))
}
