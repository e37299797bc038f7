//! The positions of nodes in lists, computed again from their bodies.

use std::collections::{BTreeMap, BTreeSet};

use mullion_entities::member;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::OnConflict,
};

use super::{ApplyContext, Batch, nodes::Work};
use crate::{
    provider::{Keeping, NodeRef},
    store::{
        StoreError,
        session::{CHUNK, Session},
        text::{index_text, list_text},
    },
};

/// How the position of a node in one list changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transition {
    /// Its sort key before.
    pub(super) from: Option<String>,
    /// Its sort key now.
    pub(super) to: Option<String>,
}

/// How the positions of all nodes changed whose positions were computed, by node and list; also of those that stayed.
#[derive(Debug, Default)]
pub(super) struct Moves(BTreeMap<NodeRef, BTreeMap<String, Transition>>);

impl Moves {
    /// The lists of a node, with its transition in each.
    pub(super) fn of(&self, node: &NodeRef) -> impl Iterator<Item = (&String, &Transition)> {
        self.0.get(node).into_iter().flatten()
    }

    /// The sort key of a node in a list.
    pub(super) fn sort_of(&self, node: &NodeRef, list: &str) -> Option<&String> {
        self.0.get(node)?.get(list)?.to.as_ref()
    }

    /// All lists that are named.
    pub(super) fn lists(&self) -> BTreeSet<&String> {
        self.0.values().flatten().map(|(list, _)| list).collect()
    }
}

/// Computes the positions of the nodes that changed or may have, and of items of pages, and writes what is another.
pub(super) async fn recompute(
    connection: &impl Session,
    context: &ApplyContext<'_>,
    work: &Work,
    batch: &Batch,
) -> Result<Moves, StoreError> {
    let mut nodes = work.changed();
    nodes.extend(work.turns().map(|(node, _)| node));
    let windows = batch.pages.iter().filter(|page| context.rules.keeping(&page.want.list) == Keeping::Window);
    nodes.extend(windows.flat_map(|page| &page.items));
    let mut moves = stored(connection, context, &nodes).await?;
    for node in nodes {
        let Some(state) = work.state(node) else { continue };
        if state.is_deleted() || state.unknown_at.is_some() {
            continue;
        }
        let lists = moves.0.entry(node.clone()).or_default();
        for (list, sort) in context.rules.memberships(node, &state.body) {
            let transition = lists.entry(list_text(&list)).or_insert(Transition { from: None, to: None });
            transition.to = Some(index_text(&sort));
        }
    }
    write(connection, context, &moves).await?;
    Ok(moves)
}

/// Adds the lists that stale nodes stand in, unmoved: whoever reads those shows the node.
pub(super) async fn add_lists_of_stale(
    connection: &impl Session,
    context: &ApplyContext<'_>,
    work: &Work,
    moves: &mut Moves,
) -> Result<(), StoreError> {
    let mut nodes = work.stale();
    nodes.retain(|node| !moves.0.contains_key(*node));
    for (node, lists) in stored(connection, context, &nodes).await?.0 {
        let stayed = lists
            .into_iter()
            .map(|(list, transition)| (list, Transition { to: transition.from.clone(), ..transition }));
        moves.0.insert(node, stayed.collect());
    }
    Ok(())
}

/// The items of lists, in their order, at most so many.
pub(super) async fn of_lists(
    connection: &impl Session,
    context: &ApplyContext<'_>,
    lists: &[&str],
    most: u64,
) -> Result<Vec<member::Model>, StoreError> {
    let chosen = member::Entity::find()
        .filter(member::Column::Tenant.eq(context.tenant.as_str()))
        .filter(member::Column::Integration.eq(context.integration.as_str()))
        .filter(member::Column::List.is_in(lists.iter().copied()))
        .order_by_asc(member::Column::Sort)
        .limit(most);
    Ok(connection.all(chosen).await?)
}

async fn stored(
    connection: &impl Session,
    context: &ApplyContext<'_>,
    nodes: &BTreeSet<&NodeRef>,
) -> Result<Moves, StoreError> {
    let mut moves = Moves::default();
    let nodes: Vec<&NodeRef> = nodes.iter().copied().collect();
    for chunk in nodes.chunks(CHUNK) {
        let names: BTreeMap<(&str, &str), &NodeRef> =
            chunk.iter().map(|node| ((node.type_name, node.native_id.as_ref()), *node)).collect();
        let chosen = member::Entity::find()
            .filter(member::Column::Tenant.eq(context.tenant.as_str()))
            .filter(member::Column::Integration.eq(context.integration.as_str()))
            .filter(member::Column::NativeId.is_in(chunk.iter().map(|node| node.native_id.as_ref())));
        for row in connection.all(chosen).await? {
            if let Some(node) = names.get(&(row.type_name.as_str(), row.native_id.as_str())) {
                let lists = moves.0.entry((*node).clone()).or_default();
                lists.insert(row.list, Transition { from: Some(row.sort), to: None });
            }
        }
    }
    Ok(moves)
}

async fn write(connection: &impl Session, context: &ApplyContext<'_>, moves: &Moves) -> Result<(), StoreError> {
    let transitions =
        moves.0.iter().flat_map(|(node, lists)| lists.iter().map(move |(list, transition)| (node, list, transition)));
    let mut gone = Vec::new();
    let mut placed = Vec::new();
    for (node, list, transition) in transitions.filter(|(_, _, transition)| transition.from != transition.to) {
        match &transition.to {
            None => gone.push((node, list)),
            Some(sort) => placed.push(member::ActiveModel {
                tenant: Set(context.tenant.as_str().to_owned()),
                integration: Set(context.integration.as_str().to_owned()),
                list: Set(list.clone()),
                native_id: Set(node.native_id.as_ref().to_owned()),
                type_name: Set(node.type_name.to_owned()),
                sort: Set(sort.clone()),
            }),
        }
    }
    for chunk in gone.chunks(CHUNK / 4) {
        let any = chunk.iter().fold(Condition::any(), |any, (node, list)| {
            let this = Condition::all()
                .add(member::Column::List.eq(list.as_str()))
                .add(member::Column::NativeId.eq(node.native_id.as_ref()))
                .add(member::Column::TypeName.eq(node.type_name));
            any.add(this)
        });
        let delete = member::Entity::delete_many()
            .filter(member::Column::Tenant.eq(context.tenant.as_str()))
            .filter(member::Column::Integration.eq(context.integration.as_str()))
            .filter(any)
            .build(connection.backend());
        connection.run(delete).await?;
    }
    for chunk in placed.chunks(CHUNK) {
        let key = [
            member::Column::Tenant,
            member::Column::Integration,
            member::Column::List,
            member::Column::NativeId,
            member::Column::TypeName,
        ];
        let over = OnConflict::columns(key).update_column(member::Column::Sort).to_owned();
        let insert = member::Entity::insert_many(chunk.to_vec()).on_conflict(over).build(connection.backend());
        connection.run(insert).await?;
    }
    Ok(())
}
