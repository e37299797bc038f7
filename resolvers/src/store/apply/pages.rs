//! The pages that a fetch brought: how far the windows reach now, and which members should have come along but did not.

use std::collections::{BTreeMap, BTreeSet};

use mullion_entities::{list_window, member};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Expr, OnConflict},
};

use super::{ApplyContext, Batch, members::Moves, nodes::Work};
use crate::{
    provider::{FetchedPage, Keeping, ListRef, NodeRef},
    store::{
        StoreError,
        list::{read_next, written_next},
        session::{CHUNK, Session},
        text::{filter_text, list_text},
    },
};

/// How many missing members one page is searched for: more than that, and the list is another one.
const MAX_MISSING: u64 = 500;

/// The windows as they were before the batch, by list and filter.
#[derive(Debug, Default)]
pub(super) struct Windows(BTreeMap<String, BTreeMap<String, list_window::Model>>);

impl Windows {
    /// Reads the windows of all lists that were fetched, or that nodes that changed stand in.
    pub(super) async fn load(
        connection: &impl Session,
        context: &ApplyContext<'_>,
        moves: &Moves,
        batch: &Batch,
    ) -> Result<Self, StoreError> {
        let mut lists: BTreeSet<String> = batch.pages.iter().map(|page| list_text(&page.want.list)).collect();
        lists.extend(moves.lists().into_iter().cloned());
        let lists: Vec<String> = lists.into_iter().collect();
        let mut windows = Self::default();
        for chunk in lists.chunks(CHUNK) {
            let chosen = list_window::Entity::find()
                .filter(list_window::Column::Tenant.eq(context.tenant.as_str()))
                .filter(list_window::Column::Integration.eq(context.integration.as_str()))
                .filter(list_window::Column::List.is_in(chunk));
            for row in connection.all(chosen).await? {
                windows.0.entry(row.list.clone()).or_default().insert(row.filter.clone(), row);
            }
        }
        Ok(windows)
    }

    /// The windows of a list.
    pub(super) fn of(&mut self, list: &str) -> impl Iterator<Item = &mut list_window::Model> {
        self.0.get_mut(list).into_iter().flat_map(BTreeMap::values_mut)
    }

    /// The window of a list with a filter.
    fn get(&self, (list, filter): &(String, String)) -> Option<&list_window::Model> {
        self.0.get(list)?.get(filter)
    }

    /// Whether anyone may have been shown this part of a list: a window that was read reaches to `sort`.
    pub(super) fn reach(&self, list: &str, sort: &str) -> bool {
        let mut windows = self.0.get(list).into_iter().flatten();
        windows
            .any(|(_, window)| window.exhausted || window.boundary.as_deref().is_some_and(|boundary| sort <= boundary))
    }
}

/// Writes what the pages tell, what deliveries outdate, and the windows whose numbers moved. The lists whose own order or choice
/// is another now are returned.
pub(super) async fn write(
    connection: &impl Session,
    context: &ApplyContext<'_>,
    work: &mut Work,
    (windows, batch, moves): (&Windows, &Batch, &Moves),
    recounted: &BTreeSet<(String, String)>,
) -> Result<BTreeSet<String>, StoreError> {
    let mut told = BTreeSet::new();
    let mut current: BTreeMap<(String, String), list_window::Model> =
        recounted.iter().filter_map(|name| Some((name.clone(), windows.get(name)?.clone()))).collect();
    for page in &batch.pages {
        let list = list_text(&page.want.list);
        let filter = filter_text(&page.want.filter)
            .map_err(|source| StoreError::Corrupt { what: "filter of a list", source })?;
        let name = (list, filter);
        let before = current.get(&name).or(windows.get(&name)).cloned();
        let with_gaps = batch.with_gaps.contains(&page.want);
        let after = window_after(context, (page, with_gaps), before.as_ref(), &name, moves)?;
        let Some(mut after) = after else { continue };
        if context.rules.keeping(&page.want.list) == Keeping::Opaque {
            if before.is_some_and(|before| page.want.cursor.is_none() && !starts_alike(&before, &after)) {
                told.insert(name.0.clone());
            }
        } else {
            let from = before.filter(|_| page.want.cursor.is_some()).and_then(|before| before.boundary);
            let shown = correct_total(context, work, page, &mut after);
            // Members that a page with gaps does not show may be there all the same.
            if !with_gaps {
                mark_missing(connection, context, work, (page, from.as_deref(), &mut after), &shown).await?;
            }
        }
        current.insert(name, after);
    }
    save(connection, current.into_values()).await?;
    let stale: BTreeSet<String> = batch.changes.iter().flat_map(|change| &change.stale_lists).map(list_text).collect();
    outdate(connection, context, &stale.into_iter().collect::<Vec<_>>()).await?;
    Ok(told)
}

/// The window after a page; `None`: the page does not continue it.
fn window_after(
    context: &ApplyContext<'_>,
    (page, with_gaps): (&FetchedPage, bool),
    before: Option<&list_window::Model>,
    (list, filter): &(String, String),
    moves: &Moves,
) -> Result<Option<list_window::Model>, StoreError> {
    let first = page.want.cursor.is_none();
    let (next, has_gaps) = read_next(before.and_then(|before| before.next.clone()));
    if !first && next != page.want.cursor {
        return Ok(None);
    }
    let with_gaps = with_gaps || (!first && has_gaps);
    let continued = before.filter(|_| !first);
    let json = |source| StoreError::Corrupt { what: "items of a list", source };
    let mut opaque = None;
    let mut boundary = continued.and_then(|before| before.boundary.clone());
    if context.rules.keeping(&page.want.list) == Keeping::Opaque {
        let earlier = continued.and_then(|before| before.opaque.as_deref()).unwrap_or("[]");
        let mut items: Vec<String> = serde_json::from_str(earlier).map_err(json)?;
        items.extend(page.items.iter().map(ToString::to_string));
        opaque = Some(serde_json::to_string(&items).map_err(json)?);
    } else {
        let greatest = page.items.iter().filter_map(|item| moves.sort_of(item, list)).max().cloned();
        boundary = boundary.max(greatest);
    }
    let at = context.origin.at.timestamp_micros();
    let stale_at = before.and_then(|before| before.stale_at).filter(|stale_at| !first || *stale_at > at);
    Ok(Some(list_window::Model {
        tenant: context.tenant.as_str().to_owned(),
        integration: context.integration.as_str().to_owned(),
        list: list.clone(),
        filter: filter.clone(),
        next: written_next(page.next.as_deref(), with_gaps),
        boundary,
        exhausted: page.next.is_none(),
        // As of the first page, and moved by what was heard since.
        total: continued.and_then(|before| before.total).or(page.total),
        fetched_at: continued.map_or(at, |before| before.fetched_at),
        stale_at,
        opaque,
    }))
}

/// Whether the first page of a list in the provider's own order shows what was known before.
fn starts_alike(before: &list_window::Model, after: &list_window::Model) -> bool {
    let items = |window: &list_window::Model| -> Vec<String> {
        // Items that cannot be read count as changed, which is never wrong.
        window.opaque.as_deref().and_then(|items| serde_json::from_str(items).ok()).unwrap_or_default()
    };
    let (before, after) = (items(before), items(after));
    let common = before.len().min(after.len());
    before.get(..common) == after.get(..common) && (before.len() >= after.len())
}

/// The items of a page. The number of a first page is as old as they are: those that left meanwhile, by a delivery that overtook
/// the answer, are taken off it.
fn correct_total<'p>(
    context: &ApplyContext<'_>,
    work: &Work,
    page: &'p FetchedPage,
    window: &mut list_window::Model,
) -> BTreeSet<&'p NodeRef> {
    let shown: BTreeSet<&NodeRef> = page.items.iter().collect();
    if page.want.cursor.is_none() {
        let left = shown.iter().filter_map(|node| work.state(node)).filter(|state| {
            state.is_heard_since(context.origin.at)
                && (state.is_deleted() || !context.rules.matches(&page.want.list, &page.want.filter, &state.body))
        });
        let left = i64::try_from(left.count()).unwrap_or_default();
        window.total = window.total.map(|total| total.saturating_sub(left).max(0));
    }
    shown
}

/// Members that stand inside the range that the page covers completely, and that the page does not show, moved or left unheard;
/// or they came by a delivery that overtook the answer, and count.
async fn mark_missing(
    connection: &impl Session,
    context: &ApplyContext<'_>,
    work: &mut Work,
    (page, from, window): (&FetchedPage, Option<&str>, &mut list_window::Model),
    shown: &BTreeSet<&NodeRef>,
) -> Result<(), StoreError> {
    let mut query = member::Entity::find()
        .filter(member::Column::Tenant.eq(context.tenant.as_str()))
        .filter(member::Column::Integration.eq(context.integration.as_str()))
        .filter(member::Column::List.eq(window.list.as_str()));
    if let Some(from) = from {
        query = query.filter(member::Column::Sort.gt(from));
    }
    if !window.exhausted {
        // Some items with the last item's own key may stand on the next page.
        let Some(to) = &window.boundary else { return Ok(()) };
        query = query.filter(member::Column::Sort.lt(to.as_str()));
    }
    let mut missing = Vec::new();
    for row in connection.all(query.limit(MAX_MISSING)).await? {
        let Some(type_name) = context.rules.type_name(&row.type_name) else { continue };
        let node = NodeRef::new(type_name, row.native_id);
        if !shown.contains(&node) {
            missing.push(node);
        }
    }
    work.add(connection, context, missing.clone()).await?;
    let at = context.origin.at.timestamp_micros();
    let list: &ListRef = &page.want.list;
    let besides = work.besides();
    for node in missing {
        let Some(state) = work.state(&node) else { continue };
        let heard_since = state.fetched_at > at || state.is_stale();
        let matches = context.rules.matches(list, &page.want.filter, &state.body);
        if from.is_none() && page.want.cursor.is_none() && state.is_heard_since(context.origin.at) {
            if matches {
                window.total = window.total.map(|total| total.saturating_add(1));
            } else if !window.exhausted && window.total.is_some() {
                // Whether it was counted further down is not known.
                window.stale_at = window.stale_at.max(Some(state.fetched_at));
            }
        }
        if !heard_since && matches {
            work.mark_stale(besides, &node, context);
        }
    }
    Ok(())
}

async fn save(connection: &impl Session, windows: impl Iterator<Item = list_window::Model>) -> Result<(), StoreError> {
    let rows: Vec<list_window::ActiveModel> = windows
        .map(|row| list_window::ActiveModel {
            tenant: Set(row.tenant),
            integration: Set(row.integration),
            list: Set(row.list),
            filter: Set(row.filter),
            next: Set(row.next),
            boundary: Set(row.boundary),
            exhausted: Set(row.exhausted),
            total: Set(row.total),
            fetched_at: Set(row.fetched_at),
            stale_at: Set(row.stale_at),
            opaque: Set(row.opaque),
        })
        .collect();
    for chunk in rows.chunks(CHUNK) {
        let key = [
            list_window::Column::Tenant,
            list_window::Column::Integration,
            list_window::Column::List,
            list_window::Column::Filter,
        ];
        let over = OnConflict::columns(key)
            .update_columns([
                list_window::Column::Next,
                list_window::Column::Boundary,
                list_window::Column::Exhausted,
                list_window::Column::Total,
                list_window::Column::FetchedAt,
                list_window::Column::StaleAt,
                list_window::Column::Opaque,
            ])
            .to_owned();
        let insert = list_window::Entity::insert_many(chunk.to_vec()).on_conflict(over).build(connection.backend());
        connection.run(insert).await?;
    }
    Ok(())
}

async fn outdate(connection: &impl Session, context: &ApplyContext<'_>, lists: &[String]) -> Result<(), StoreError> {
    for chunk in lists.chunks(CHUNK) {
        let update = list_window::Entity::update_many()
            .col_expr(list_window::Column::StaleAt, Expr::value(context.origin.at.timestamp_micros()))
            .filter(list_window::Column::Tenant.eq(context.tenant.as_str()))
            .filter(list_window::Column::Integration.eq(context.integration.as_str()))
            .filter(list_window::Column::List.is_in(chunk))
            .build(connection.backend());
        connection.run(update).await?;
    }
    Ok(())
}
