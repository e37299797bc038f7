//! Nodes that lack what their type promises: they are left out of lists, and the answer says so. Otherwise one of them would take
//! the whole list away.

use std::sync::Arc;

use super::catalog::node_type;
use crate::{
    error::{ErrorCode, PortError, ProviderContext},
    ports::Position,
    view::NodeView,
};

/// A list's items with their places.
type Items = Vec<(Position, Arc<NodeView>)>;

/// The items that can be shown, and an error for each integration with items that cannot.
pub fn showable(items: Items) -> (Items, Vec<PortError>) {
    let lacks = |view: &NodeView| node_type(view.key.type_name).and_then(|table| table.missing(view));
    if items.iter().all(|(_, view)| lacks(view).is_none()) {
        return (items, Vec::new());
    }
    let mut errors: Vec<PortError> = Vec::new();
    let shown = items.into_iter().filter(|(_, view)| {
        let Some(field) = lacks(view) else { return true };
        let of_this = |error: &PortError| {
            error.provider.as_ref().is_some_and(|context| context.integration == view.key.integration)
        };
        if !errors.iter().any(of_this) {
            errors.push(left_out(view, field));
        }
        false
    });
    (shown.collect(), errors)
}

fn left_out(view: &NodeView, field: &str) -> PortError {
    let type_name = view.key.type_name;
    let message = format!("some items are left out, because the provider did not give the {field} of a {type_name}");
    let provider = node_type(type_name).map(|table| ProviderContext {
        provider: table.provider,
        integration: view.key.integration.clone(),
        retry_after: None,
    });
    PortError { provider, ..PortError::new(ErrorCode::ProviderError, message) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::showable;
    use crate::{ports::Position, view::tests::view};

    #[test]
    fn a_node_without_what_its_type_promises_is_left_out_and_told() {
        let run = json!({
            "name": "CI", "displayTitle": "CI", "status": "A_STATUS_OF_NEXT_YEAR", "headSha": "a", "runNumber": 1,
            "event": "push", "updatedAt": "2026-01-01T00:00:00Z", "createdAt": "2026-01-01T00:00:00Z",
        });
        let mut broken = run.clone();
        broken["headSha"] = json!(null);
        let item =
            |body| (Position { sort: "1".into(), native_id: "1".into() }, Arc::new(view("GithubWorkflowRun", body)));
        let (shown, errors) = showable(vec![item(run.clone()), item(broken.clone()), item(broken), item(run)]);
        assert_eq!((shown.len(), errors.len()), (2, 1));
        assert!(errors[0].message.contains("headSha of a GithubWorkflowRun"), "{}", errors[0].message);
    }
}
