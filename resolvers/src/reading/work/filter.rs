//! Which work items pass: evaluated over what is known, alike for all providers.

use std::collections::HashSet;

use mullion_schema::{
    enums::{WorkItemState, WorkItemType},
    fields::FieldSet,
    ports::WorkItemFilter,
    view::NodeView,
};

use crate::reading::{cached_store::derived::DerivedFacts, integrations::Integration};

/// A filter, ready to be asked.
pub(super) struct WorkFilter<'a> {
    pub(super) source: &'a WorkItemFilter,
    labels: Option<HashSet<String>>,
    text: Option<String>,
}

impl<'a> WorkFilter<'a> {
    pub(super) fn new(source: &'a WorkItemFilter) -> Self {
        let labels = source.labels.as_ref().map(|labels| labels.iter().map(|label| label.to_lowercase()).collect());
        Self { source, labels, text: source.text.as_ref().map(|text| text.to_lowercase()) }
    }

    /// The fields that the filter and the orders look at.
    pub(super) fn fields(&self) -> FieldSet {
        let mut fields = vec!["state", "updatedAt", "createdAt", "dueOn"];
        fields.extend(self.source.labels.as_ref().map(|_| "labels"));
        fields.extend(self.source.text.as_ref().map(|_| "bodyText"));
        if self.source.assignees.is_some() || self.source.assigned_to_me.is_some() {
            fields.push("assignees");
        }
        fields.into_iter().collect()
    }

    /// Whether items of this kind are wanted; without `types`: issues and tasks.
    pub(super) fn wants(&self, kind: WorkItemType) -> bool {
        match &self.source.types {
            Some(types) => types.contains(&kind),
            None => kind != WorkItemType::PullRequest,
        }
    }

    /// Whether items may be wanted that are open, and whether ones that are closed.
    pub(super) fn open_and_closed(&self) -> (bool, bool) {
        let Some(states) = &self.source.states else { return (true, true) };
        let any = |wanted: &[WorkItemState]| states.iter().any(|state| wanted.contains(state));
        (any(&[WorkItemState::Todo, WorkItemState::InProgress]), any(&[WorkItemState::Done, WorkItemState::Canceled]))
    }

    /// Whether items in any state pass.
    pub(super) fn takes_all_states(&self) -> bool {
        let takes = |state| self.source.states.as_ref().is_none_or(|states| states.contains(&state));
        [WorkItemState::Todo, WorkItemState::InProgress, WorkItemState::Done, WorkItemState::Canceled]
            .into_iter()
            .all(takes)
    }

    /// Whether nothing but being open or closed decides, so that a provider's list of open or of closed items holds just those
    /// that pass.
    pub(super) fn is_only_of_states(&self) -> bool {
        let takes = |state| self.source.states.as_ref().is_none_or(|states| states.contains(&state));
        let WorkItemFilter { assignees, assigned_to_me, labels, due_before, text, .. } = self.source;
        takes(WorkItemState::Todo) == takes(WorkItemState::InProgress)
            && takes(WorkItemState::Done) == takes(WorkItemState::Canceled)
            && assignees.is_none()
            && assigned_to_me.is_none()
            && labels.is_none()
            && due_before.is_none()
            && text.is_none()
    }

    /// Whether an item passes.
    pub(super) fn admits(&self, integration: &Integration, view: &NodeView, facts: &DerivedFacts) -> bool {
        self.admits_state(view, facts)
            && self.admits_people(integration, view)
            && self.admits_labels(view)
            && self.source.due_before.is_none_or(|limit| view.date("dueOn").is_some_and(|due| due < limit))
            && self.text.as_ref().is_none_or(|text| facts.mention(view, text))
    }

    fn admits_state(&self, view: &NodeView, facts: &DerivedFacts) -> bool {
        let Some(states) = &self.source.states else { return true };
        facts.state(view).is_some_and(|state| states.contains(&state))
    }

    fn admits_people(&self, integration: &Integration, view: &NodeView) -> bool {
        let assigned = assignees(view);
        let listed = self.source.assignees.as_ref().is_none_or(|people| {
            people.iter().any(|person| {
                person.integration == integration.id
                    && assigned.iter().any(|(kind, id)| *kind == &*person.type_name && *id == &*person.native_id)
            })
        });
        let mine = self.source.assigned_to_me.is_none_or(|wanted| {
            let me = integration.user.as_deref().and_then(|user| user.split_once(':'));
            me.is_some_and(|me| assigned.contains(&me)) == wanted
        });
        listed && mine
    }

    fn admits_labels(&self, view: &NodeView) -> bool {
        let Some(wanted) = &self.labels else { return true };
        let labels = view.get("labels").and_then(serde_json::Value::as_array);
        labels
            .into_iter()
            .flatten()
            .filter_map(|label| label.get("name")?.as_str())
            .any(|name| wanted.contains(&name.to_lowercase()))
    }
}

fn assignees(view: &NodeView) -> Vec<(&str, &str)> {
    view.references("assignees").unwrap_or_else(|| view.reference("assignee").into_iter().collect())
}
