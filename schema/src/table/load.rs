//! Fields that lead to another node: by reference, or by name. Both hand down what is selected below, nested lists included.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{Context, SelectionField, ServerResult, Value};
use futures::future::{BoxFuture, try_join_all};

use super::{
    Call, NodeType,
    arguments::Arguments,
    catalog::node_type,
    context::{ports, resolve_value, server_error},
    many::Many,
    object::FromView,
};
use crate::{
    error::PortError,
    fields::FieldSet,
    id::{IntegrationId, NodeKey},
    ports::{Lookup, Want},
    view::NodeView,
};

/// The request of a field that finds something.
#[derive(Debug)]
pub enum Found {
    /// By name: the lookup's name, the type that is found, and the arguments.
    Lookup(&'static str, &'static str, BTreeMap<&'static str, String>),
    /// By the provider's id.
    Key(&'static str, String),
    /// By nothing: the arguments do not say what.
    Refused(PortError),
}

/// Loads a node by key, with what is selected below the field.
pub async fn load(ctx: &Context<'_>, key: NodeKey) -> Result<Option<Arc<NodeView>>, PortError> {
    let want = node_type(key.type_name).map_or_else(Want::default, |table| want_below(ctx.field(), table));
    ports(ctx)?.nodes.node(key, want).await
}

/// The selection of a node below a field: its fields, and the lists that the provider may send along.
fn want_below(field: SelectionField<'_>, table: &NodeType) -> Want {
    let mut lists = Vec::new();
    for selected in field.selection_set() {
        let Some(child) = table.field(selected.name()) else { continue };
        let (Some(list), Ok(arguments)) = (child.list, Arguments::of(selected)) else { continue };
        if arguments.unknown().is_some() {
            continue;
        }
        let entry = (list, arguments.filter(child));
        if !lists.contains(&entry) {
            lists.push(entry);
        }
    }
    Want { fields: FieldSet::below(field), lists }
}

fn key_of(view: &NodeView, (type_name, native_id): (&str, &str)) -> Option<NodeKey> {
    node_type(type_name).map(|table| NodeKey::new(&view.key.integration, table.name, native_id))
}

pub(super) fn answer_reference<T: FromView>(call: Call<'_>) -> BoxFuture<'_, ServerResult<Value>> {
    Box::pin(async move {
        let reference = call.view.reference(call.field.key.unwrap_or(call.field.name));
        let Some(key) = reference.and_then(|reference| key_of(call.view, reference)) else { return Ok(Value::Null) };
        let view = load(call.ctx, key).await.map_err(|error| server_error(call.ctx, error))?;
        match view.and_then(T::from_view) {
            Some(node) => resolve_value(call.ctx, &node).await,
            None => Ok(Value::Null),
        }
    })
}

pub(super) fn answer_references<T: FromView>(call: Call<'_>) -> BoxFuture<'_, ServerResult<Value>> {
    Box::pin(async move {
        let name = call.field.key.unwrap_or(call.field.name);
        let references = match call.view.references(name) {
            Some(references) => references,
            // One reference where others have many: Asana's assignee as `assignees`.
            None if call.view.body.contains_key(name) => call.view.reference(name).into_iter().collect(),
            None => return Ok(Value::Null),
        };
        let keys = references.into_iter().filter_map(|reference| key_of(call.view, reference));
        let views = try_join_all(keys.map(|key| load(call.ctx, key))).await;
        let views = views.map_err(|error| server_error(call.ctx, error))?;
        let nodes: Many<T> = views.into_iter().flatten().filter_map(T::from_view).collect();
        resolve_value(call.ctx, &nodes).await
    })
}

pub(super) fn answer_find<T: FromView>(call: Call<'_>) -> BoxFuture<'_, ServerResult<Value>> {
    Box::pin(async move {
        let ctx = call.ctx;
        let Some(find) = call.field.find else { return Ok(Value::Null) };
        let arguments = Arguments::of(ctx.field())?;
        let view = look_up(ctx, &call.view.key.integration, find(call.view, &arguments)).await;
        match view.map_err(|error| server_error(ctx, error))?.and_then(T::from_view) {
            Some(node) => resolve_value(ctx, &node).await,
            None => Ok(Value::Null),
        }
    })
}

async fn look_up(
    ctx: &Context<'_>,
    integration: &IntegrationId,
    found: Found,
) -> Result<Option<Arc<NodeView>>, PortError> {
    match found {
        Found::Refused(error) => Err(error),
        Found::Key(type_name, native_id) => load(ctx, NodeKey::new(integration, type_name, native_id)).await,
        Found::Lookup(name, type_name, arguments) => {
            let table = node_type(type_name);
            let want = table.map_or_else(Want::default, |table| want_below(ctx.field(), table));
            let lookup = Lookup { integration: integration.clone(), name, type_name, arguments };
            ports(ctx)?.nodes.find(lookup, want).await
        }
    }
}
