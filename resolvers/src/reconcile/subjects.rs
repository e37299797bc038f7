//! Which containers of an integration are looked after: those with a webhook of their own, those that are watched, and those that
//! were not long ago.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use mullion_schema::id::{IntegrationId, TenantId};

use crate::{
    provider::NodeRef,
    reading::integrations::Integration,
    store::{catch_up::Mark, endpoint::Endpoint},
    tag::Tag,
};

/// The most containers of one integration that are looked after.
const MOST: usize = 200;

/// A container, and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) container: NodeRef,
    /// The webhook that is registered for it.
    pub(super) webhook: Option<String>,
    /// Where its log was read up to, if it ever was.
    pub(super) mark: Option<Mark>,
    /// Whether it is watched, or has a webhook.
    pub(super) wanted: bool,
    /// Whether it is looked at only because a closed socket may have missed something of it.
    pub(super) missed: bool,
}

/// The time a container was last wanted, if it is looked at only because something may have been missed.
pub(super) const NEVER: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// All that is to be looked after, what was not for the longest time first.
pub(super) fn subjects(
    integration: &Integration,
    (endpoints, marks): (&[Endpoint], Vec<Mark>),
    watched: &[Tag],
) -> Vec<Subject> {
    let mut webhooks: HashMap<&str, &str> = HashMap::new();
    for endpoint in endpoints {
        if let (Some(container), Some(id)) = (&endpoint.draft.container, &endpoint.draft.external_id) {
            webhooks.insert(container, id);
        }
    }
    let mut found: BTreeMap<NodeRef, bool> = BTreeMap::new();
    for name in webhooks.keys() {
        found.extend(container(integration, name).map(|node| (node, true)));
    }
    found.extend(containers_in(integration, (&integration.tenant, &integration.id), watched).map(|node| (node, true)));
    let mut marks: HashMap<String, Mark> = marks.into_iter().map(|mark| (mark.subject.clone(), mark)).collect();
    for subject in marks.keys() {
        if let Some(node) = container(integration, subject) {
            found.entry(node).or_insert(false);
        }
    }
    let mut subjects: Vec<Subject> = found
        .into_iter()
        .map(|(container, wanted)| {
            let name = container.to_string();
            let webhook = webhooks.get(name.as_str()).map(|id| (*id).to_owned());
            let mark = marks.remove(&name);
            let missed = !wanted && mark.as_ref().is_some_and(|mark| mark.wanted_at == NEVER);
            Subject { container, webhook, mark, wanted, missed }
        })
        .collect();
    subjects.sort_by_key(|subject| (subject.missed, subject.looked_at()));
    subjects.truncate(MOST);
    subjects
}

impl Subject {
    /// When it was last looked at.
    pub(super) fn looked_at(&self) -> Option<DateTime<Utc>> {
        self.mark.as_ref().and_then(|mark| mark.caught_up_at)
    }
}

fn container(integration: &Integration, name: &str) -> Option<NodeRef> {
    let (type_name, native_id) = name.split_once(':')?;
    let known = integration.provider.containers().iter().find(|known| known.container == type_name)?;
    Some(NodeRef::new(known.container, native_id))
}

fn containers_in<'a>(
    integration: &'a Integration,
    (tenant, id): (&TenantId, &IntegrationId),
    tags: &'a [Tag],
) -> impl Iterator<Item = NodeRef> + 'a {
    let begin = format!("{tenant}/{id}/");
    tags.iter().filter_map(move |tag| {
        let rest = tag.as_str().strip_prefix(&begin)?;
        container(integration, rest.rsplit_once('/').map_or(rest, |(parent, _)| parent))
    })
}
