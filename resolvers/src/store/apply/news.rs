//! The news of a batch for the stream: which tags are out of date, and which activities people read.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{ApplyContext, effect::Effect, members::Moves, nodes::Work, pages::Windows};
use crate::{
    provider::{
        NodeRef,
        change::{ActivityDraft, Change},
        sentence::{Detail, Details, Names, SentenceParts, name_in},
    },
    store::{
        StoreError,
        activity::Activity,
        merge::{Outcome, Source},
        stream::NewChange,
        text::{clean, index_text, key_text, list_text, split_list},
        time::truncated,
    },
    tag::Tag,
};

/// The effects of a batch, as far as they are told.
pub(super) struct News<'a> {
    pub(super) provider: &'a str,
    pub(super) work: &'a Work,
    pub(super) moves: &'a Moves,
    pub(super) windows: &'a Windows,
    /// Lists in the provider's own order that are others now.
    pub(super) told: &'a BTreeSet<String>,
}

/// The changes to append: of a delivery one each, of a fetch at most one.
pub(super) fn changes(
    context: &ApplyContext<'_>,
    changes: &[Change],
    news: &News<'_>,
    new_id: impl Fn() -> Result<String, StoreError>,
) -> Result<Vec<NewChange>, StoreError> {
    let mut told = Vec::new();
    let mut besides = BTreeSet::new();
    besides.extend(news.told.iter().map(|list| list_tag(context, list)));
    for (index, effects) in news.work.effects().iter().enumerate() {
        let mut tags = BTreeSet::new();
        for (node, effect) in effects {
            match context.origin.source {
                Source::Webhook => tags_of_delivery(context, news, node, *effect, &mut tags),
                Source::Provider => tags_of_fetch(context, news, node, *effect, &mut tags),
            }
        }
        let change = changes.get(index);
        let stale_lists = change.into_iter().flat_map(|change| &change.stale_lists);
        tags.extend(stale_lists.map(|list| list_tag(context, &list_text(list))));
        let draft = change.and_then(|change| change.activity.as_ref());
        if context.origin.source == Source::Webhook && change.is_some() {
            let stale = change.into_iter().flat_map(|change| &change.stale);
            tags.extend(stale.map(|node| node_tag(context, node)));
            let details = |draft: &ActivityDraft| -> Details {
                let named =
                    draft.details.iter().map(|(name, detail)| (name.clone(), last_named(context, news.work, detail)));
                named.collect()
            };
            let about = |draft| (draft, containers(context, news.work, change, draft), details(draft));
            let received_at = context.origin_of(index).at;
            let activity = draft
                .map(|draft| activity(context, (news.provider, received_at), about(draft), new_id()))
                .transpose()?;
            if activity.as_ref().is_some_and(|activity| !activity.pending) {
                tags.insert(Tag::own_list(context.tenant, "activity"));
            }
            if !tags.is_empty() || activity.is_some() {
                let key = draft.and_then(|draft| draft.key.as_deref()).map(key_text);
                let told_key = key.map(|key| (context.integration.clone(), key));
                let act = draft.map(|draft| draft.act.clone()).unwrap_or_default();
                told.push(NewChange { tags: tags.into_iter().collect(), activity, told_key, act });
            }
        } else {
            besides.extend(tags);
        }
    }
    if !besides.is_empty() {
        told.push(NewChange { tags: besides.into_iter().collect(), ..NewChange::default() });
    }
    Ok(told)
}

/// A delivery outdates the node that it changed, and every list that the node stands or stood in.
fn tags_of_delivery(
    context: &ApplyContext<'_>,
    news: &News<'_>,
    node: &NodeRef,
    effect: Effect,
    tags: &mut BTreeSet<Tag>,
) {
    if effect.outcome == Outcome::Confirmed && !effect.stale {
        return;
    }
    tags.insert(node_tag(context, node));
    tags.extend(news.moves.of(node).map(|(list, _)| list_tag(context, list)));
}

/// A fetch outdates what someone may have been shown otherwise before. A node read for the first time was shown to nobody.
fn tags_of_fetch(
    context: &ApplyContext<'_>,
    news: &News<'_>,
    node: &NodeRef,
    effect: Effect,
    tags: &mut BTreeSet<Tag>,
) {
    let changed = news.work.existed(node) && (effect.outcome == Outcome::Changed || effect.stale);
    if changed {
        tags.insert(node_tag(context, node));
    }
    for (list, transition) in news.moves.of(node) {
        let reached = transition.from.iter().chain(&transition.to).any(|sort| news.windows.reach(list, sort));
        if (changed || transition.from != transition.to) && reached {
            tags.insert(list_tag(context, list));
        }
    }
}

/// The containers that an activity belongs to. Where its event names none, they are those in which the things that it is about
/// are known to stand, or stood before it.
fn containers(context: &ApplyContext<'_>, work: &Work, change: Option<&Change>, draft: &ActivityDraft) -> Vec<NodeRef> {
    if !draft.containers.is_empty() {
        return draft.containers.clone();
    }
    let places_of = |node: &NodeRef| {
        let before = work.turn(node).and_then(|turn| turn.before.as_ref());
        let known = before.into_iter().chain(work.state(node));
        let lists = known.flat_map(|state| context.rules.memberships(node, &state.body)).map(|(list, _)| list);
        let parents = lists.filter_map(|list| list.parent);
        parents.filter(|parent| context.rules.is_container(parent.type_name)).collect::<BTreeSet<NodeRef>>()
    };
    let about = draft.subject.iter().chain(change.into_iter().flat_map(|change| &change.stale));
    about.map(places_of).find(|places| !places.is_empty()).unwrap_or_default().into_iter().collect()
}

fn activity(
    context: &ApplyContext<'_>,
    (provider, received_at): (&str, DateTime<Utc>),
    (draft, containers, details): (&ActivityDraft, Vec<NodeRef>, Details),
    id: Result<String, StoreError>,
) -> Result<Activity, StoreError> {
    let text = |node: &NodeRef| clean(&node.to_string());
    let (kind, occurred_at) = (clean(&draft.kind), truncated(draft.occurred_at));
    // Older versions of the gateway read the line, not its parts.
    let nobody = Names::default();
    let summary = context.rules.sentence(&SentenceParts {
        gone: false,
        kind: &kind,
        details: &details,
        occurred_at,
        names: &nobody,
    });
    Ok(Activity {
        id: id?,
        position: 0,
        integration: context.integration.clone(),
        provider: provider.to_owned(),
        kind,
        actor: draft.actor.as_ref().map(text),
        subject: draft.subject.as_ref().map(text),
        summary: clean(&summary),
        details: Some(details),
        containers: containers.iter().map(|node| index_text(&node.to_string())).collect(),
        occurred_at,
        received_at: truncated(received_at),
        pending: context.rules.names_come_later(),
    })
}

/// A part of a sentence. A node that is deleted is called by the last name that it had, which nobody knows from here on.
fn last_named(context: &ApplyContext<'_>, work: &Work, detail: &Detail) -> Detail {
    let last = || {
        let Detail::Node { node, given: None } = detail else { return None };
        let (type_name, id) = node.split_once(':')?;
        let deleted = NodeRef::new(context.rules.type_name(type_name)?, id);
        work.state(&deleted).filter(|state| state.is_deleted())?;
        let before = work.turn(&deleted)?.before.as_ref()?;
        Some(Detail::named(&deleted, name_in(&before.body, id)?))
    };
    cleaned(&last().unwrap_or_else(|| detail.clone()))
}

fn cleaned(detail: &Detail) -> Detail {
    match detail {
        Detail::Text(text) => Detail::Text(clean(text)),
        Detail::Node { node, given } => Detail::Node { node: clean(node), given: given.as_deref().map(clean) },
    }
}

fn node_tag(context: &ApplyContext<'_>, node: &NodeRef) -> Tag {
    Tag::of_node(context.tenant, context.integration, node.type_name, &node.native_id)
}

fn list_tag(context: &ApplyContext<'_>, list: &str) -> Tag {
    let (parent, name) = split_list(list);
    Tag::of_list(context.tenant, context.integration, parent, name)
}
