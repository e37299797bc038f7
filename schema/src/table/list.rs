//! Fields that page through a list of a node or of the account.

use std::sync::Arc;

use async_graphql::{ServerResult, Value};
use futures::future::BoxFuture;

use super::{
    Call,
    arguments::Arguments,
    catalog::node_type,
    connection::{Connection, Item},
    context::{note_missing, ports, resolve_value, server_error},
    many::Many,
    object::FromView,
    row::nowhere,
    showable::showable,
};
use crate::{
    answer_size,
    cursor::Origin,
    enums::UNKNOWN,
    error::{ErrorCode, PortError},
    fields::FieldSet,
    ports::{List, ListPage, ListQuery, PageRequest},
};

/// Lists that are given whole are short; this many pages of a hundred are read at most.
const WHOLE_PAGES: usize = 10;

fn list_of(call: Call<'_>, name: &'static str, arguments: &Arguments) -> List {
    let key = &call.view.key;
    // The provider's root stands for the account itself.
    let parent = node_type(key.type_name).map(|table| (table.name, Arc::clone(&key.native_id)));
    List { integration: key.integration.clone(), parent, name, filter: arguments.filter(call.field) }
}

/// The list's parent, its name and all arguments that narrow or order it.
fn origin(call: Call<'_>, arguments: &Arguments) -> Origin {
    let key = &call.view.key;
    let about = (key.integration.as_str(), &key.native_id, arguments.filter(call.field));
    Origin::new(&format!("{}.{}", key.type_name, call.field.name), &about)
}

async fn page(call: Call<'_>, arguments: &Arguments, page: PageRequest) -> ServerResult<ListPage> {
    let Some(name) = call.field.list else { return Ok(ListPage::default()) };
    let PageRequest { first, after, fields, .. } = page;
    let query = ListQuery { list: list_of(call, name, arguments), first, after, fields };
    let ports = ports(call.ctx).map_err(|error| server_error(call.ctx, error))?;
    if let Some(name) = arguments.unknown() {
        let error = PortError::bad_input(format!("{name}: {UNKNOWN} is only answered, it cannot be asked for"));
        return Err(server_error(call.ctx, error));
    }
    let mut found = ports.nodes.list(query).await.map_err(|error| server_error(call.ctx, error))?;
    let (items, errors) = showable(found.items);
    found.items = items;
    for error in errors {
        answer_size::add_error(call.ctx, call.ctx.set_error_path(server_error(call.ctx, error))).await;
    }
    Ok(found)
}

pub(super) fn answer_list<T: FromView + Item>(call: Call<'_>) -> BoxFuture<'_, ServerResult<Value>> {
    Box::pin(async move {
        let arguments = Arguments::of(call.ctx.field())?;
        let after = arguments.text("after");
        let first = arguments.int("first").map(|first| i32::try_from(first).unwrap_or(i32::MAX));
        let origin = origin(call, &arguments);
        let request = origin.page_request(first, after.as_deref());
        let mut request = request.map_err(|error| server_error(call.ctx, error))?;
        request.fields = FieldSet::of_connection(call.ctx);
        let found = page(call, &arguments, request).await?;
        note_missing(call.ctx, found.failure.as_ref()).await;
        let items = found.items.into_iter().filter_map(|(at, view)| Some((at, T::from_view(view)?)));
        let connection = Connection::new(origin, items.collect(), found.has_next, after.as_deref(), found.total);
        resolve_value(call.ctx, &connection).await
    })
}

pub(super) fn answer_whole_list<T: FromView>(call: Call<'_>) -> BoxFuture<'_, ServerResult<Value>> {
    Box::pin(async move {
        let arguments = Arguments::of(call.ctx.field())?;
        let mut nodes: Vec<T> = Vec::new();
        let mut after = None;
        for _ in 0..WHOLE_PAGES {
            let request = PageRequest { first: 100, after, fields: FieldSet::selected(call.ctx), total: false };
            let found = page(call, &arguments, request).await?;
            let is_last = !found.has_next || found.failure.is_some();
            note_missing(call.ctx, found.failure.as_ref()).await;
            after = Some(found.items.last().map_or_else(nowhere, |(at, _)| at.clone()));
            nodes.extend(found.items.into_iter().filter_map(|(_, view)| T::from_view(view)));
            if is_last {
                return resolve_value(call.ctx, &Many(nodes)).await;
            }
        }
        let message = format!("the list has more than the {} items that are read of it", nodes.len());
        let error = server_error(call.ctx, PortError::new(ErrorCode::Incomplete, message));
        answer_size::add_error(call.ctx, call.ctx.set_error_path(error)).await;
        resolve_value(call.ctx, &Many(nodes)).await
    })
}
