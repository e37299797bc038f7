//! Lists: how far each was read from the provider, and which nodes stand in it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use mullion_entities::{list_window, member};
use mullion_schema::{
    id::TenantId,
    ports::{List, Position},
};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{
    Database, StoreError,
    session::CHUNK,
    text::{filter_text, index_text, list_text},
    time::from_micros,
};
use crate::provider::{ListRef, NodeRef};

/// How far a list with a filter was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The provider's cursor of the next page.
    pub next: Option<String>,
    /// Whether items of what was read are missing because the token may not read them.
    pub has_gaps: bool,
    /// The greatest sort key that was read: members up to it are known (those with exactly this key: perhaps not all).
    pub boundary: Option<String>,
    /// Whether everything was read.
    pub exhausted: bool,
    /// How many there were in all when the last page was read, where the provider says so.
    pub total: Option<i64>,
    /// When its first page was read.
    pub fetched_at: DateTime<Utc>,
    /// Whether something changed that the news of it did not tell: read it again from its first page.
    pub stale: bool,
    /// For lists in the provider's own order: the items as `Type:nativeId`.
    pub opaque: Option<Vec<String>>,
}

/// A node's place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where it stands.
    pub position: Position,
    /// Its GraphQL type.
    pub type_name: String,
    /// The provider's id.
    pub native_id: String,
}

/// A list without its filter, as changes name it.
pub fn list_ref(list: &List) -> ListRef {
    let parent = list.parent.as_ref().map(|(type_name, native_id)| NodeRef::new(type_name, native_id.clone()));
    ListRef { parent, name: list.name }
}

impl Database {
    /// How far these lists were read, each with its filter; `None`: never.
    pub async fn windows(&self, tenant: &TenantId, lists: &[List]) -> Result<Vec<Option<Window>>, StoreError> {
        let json = |source| StoreError::Corrupt { what: "filter of a list", source };
        let mut names = Vec::with_capacity(lists.len());
        for list in lists {
            let filter = filter_text(&list.filter).map_err(json)?;
            names.push((list.integration.as_str().to_owned(), list_text(&list_ref(list)), filter));
        }
        let mut found = HashMap::with_capacity(lists.len());
        for chunk in names.chunks(CHUNK) {
            let rows = list_window::Entity::find()
                .filter(list_window::Column::Tenant.eq(tenant.as_str()))
                .filter(list_window::Column::Integration.is_in(chunk.iter().map(|(integration, ..)| integration)))
                .filter(list_window::Column::List.is_in(chunk.iter().map(|(_, list, _)| list)))
                .all(&self.0.reader)
                .await?;
            for row in rows {
                let name = (row.integration.clone(), row.list.clone(), row.filter.clone());
                found.insert(name, window_of(row)?);
            }
        }
        Ok(names.iter().map(|name| found.get(name).cloned()).collect())
    }

    /// The members of a list after a position, in order. The list's filter does not count: members are those of the whole list.
    pub async fn members(
        &self,
        tenant: &TenantId,
        list: &List,
        after: Option<&Position>,
        limit: u64,
    ) -> Result<Vec<Member>, StoreError> {
        let mut query = member::Entity::find()
            .filter(member::Column::Tenant.eq(tenant.as_str()))
            .filter(member::Column::Integration.eq(list.integration.as_str()))
            .filter(member::Column::List.eq(list_text(&list_ref(list))));
        if let Some(after) = after {
            let sort = index_text(&after.sort);
            let tied = Condition::all()
                .add(member::Column::Sort.eq(sort.as_str()))
                .add(member::Column::NativeId.gt(index_text(&after.native_id)));
            // The first condition says the same less exactly, so that the index is used.
            query = query
                .filter(member::Column::Sort.gte(sort.as_str()))
                .filter(Condition::any().add(member::Column::Sort.gt(sort.as_str())).add(tied));
        }
        let rows = query
            .order_by_asc(member::Column::Sort)
            .order_by_asc(member::Column::NativeId)
            .limit(limit)
            .all(&self.0.reader)
            .await?;
        Ok(rows.into_iter().map(member_of).collect())
    }
}

fn member_of(row: member::Model) -> Member {
    Member {
        position: Position { sort: row.sort, native_id: row.native_id.clone() },
        type_name: row.type_name,
        native_id: row.native_id,
    }
}

/// Stands before the cursor of a window that has gaps, or alone where there is no next page.
const GAPS: char = '\u{1}';

/// The cursor of the next page and whether there are gaps before it, as a row keeps both.
pub(super) fn written_next(next: Option<&str>, has_gaps: bool) -> Option<String> {
    if has_gaps { Some(format!("{GAPS}{}", next.unwrap_or_default())) } else { next.map(str::to_owned) }
}

/// The same, read back.
pub(super) fn read_next(written: Option<String>) -> (Option<String>, bool) {
    match written.as_deref().and_then(|written| written.strip_prefix(GAPS)) {
        Some(next) => (Some(next.to_owned()).filter(|next| !next.is_empty()), true),
        None => (written, false),
    }
}

/// The window of a row.
pub(super) fn window_of(row: list_window::Model) -> Result<Window, StoreError> {
    let opaque = row
        .opaque
        .map(|items| serde_json::from_str(&items))
        .transpose()
        .map_err(|source| StoreError::Corrupt { what: "items of a list", source })?;
    let (next, has_gaps) = read_next(row.next);
    Ok(Window {
        next,
        has_gaps,
        boundary: row.boundary,
        exhausted: row.exhausted,
        total: row.total,
        fetched_at: from_micros(row.fetched_at),
        stale: row.stale_at.is_some(),
        opaque,
    })
}
