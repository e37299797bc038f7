//! A loaded node as an object of the graph, and values inside a node as objects of their own.

use std::{borrow::Cow, marker::PhantomData, sync::Arc};

use async_graphql::{
    ContainerType, Context, ContextSelectionSet, ObjectType, OutputType, Positioned, ServerError, ServerResult, Value,
    parser::types::Field as ParsedField,
    registry::{MetaTypeId, Registry},
    resolver_utils::resolve_container,
};
use futures::future::BoxFuture;

use super::{
    Answer, Call, Field, NodeType,
    connection::Item,
    context::{ports, server_error},
    many::{Counted, Many},
    meta::object_meta,
    object::{AnyObject, FromView},
};
use crate::{answer_size, enums::UNKNOWN, error::PortError, ports::Position, view::NodeView};

/// A type that has a table.
pub trait Kind: Send + Sync + 'static {
    /// Its table.
    fn table() -> &'static NodeType;
}

/// A loaded node (or a value inside one) of a type.
pub struct Row<K>(Arc<NodeView>, PhantomData<fn() -> K>);

impl<K> Row<K> {
    /// Wraps a view, which must be of the type.
    pub fn new(view: Arc<NodeView>) -> Self {
        Self(view, PhantomData)
    }
}

impl<K: Kind> FromView for Row<K> {
    fn from_view(view: Arc<NodeView>) -> Option<Self> {
        (view.key.type_name == K::table().name).then(|| Self::new(view))
    }
}

/// Wraps a view for a field whose type is abstract. It is the value of [`NodeType::make`].
pub fn make<K: Kind>(view: Arc<NodeView>) -> Box<dyn AnyObject> {
    Box::new(Row::<K>::new(view))
}

impl<K: Kind> OutputType for Row<K> {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed(K::table().name)
    }

    fn create_type_info(registry: &mut Registry) -> String {
        let rust_typename = std::any::type_name::<Self>();
        registry.create_output_type::<Self, _>(MetaTypeId::Object, |registry| {
            object_meta(registry, K::table(), rust_typename)
        })
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _field: &Positioned<ParsedField>) -> ServerResult<Value> {
        resolve_container(ctx, self).await
    }
}

impl<K: Kind> ContainerType for Row<K> {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        resolve_field(K::table(), &self.0, ctx).await
    }
}

impl<K: Kind> ObjectType for Row<K> {}

impl<K: Kind> Item for Row<K> {
    fn stem() -> Cow<'static, str> {
        Cow::Borrowed(K::table().name)
    }
}

/// Answers one field of a row. A failure of a nullable field is that field's null and an error at its path, no more.
async fn resolve_field(
    table: &'static NodeType,
    view: &Arc<NodeView>,
    ctx: &Context<'_>,
) -> ServerResult<Option<Value>> {
    let Some(field) = table.field(ctx.item.node.name.node.as_str()) else { return Ok(None) };
    let read = match field.answer {
        Answer::Key(read) => read(view, field.key.unwrap_or(field.name)),
        Answer::Derived(read) => read(view),
        Answer::Ask(ask) => match ask(Call { ctx, view, field }).await {
            Ok(Value::Null) => None,
            Ok(value) => Some(value),
            Err(error) => {
                let error = at_path(ctx, error);
                if !field.nullable {
                    return Err(error);
                }
                answer_size::add_error(ctx, error).await;
                return Ok(Some(Value::Null));
            }
        },
    };
    let unknown_word = matches!(&read, Some(Value::Enum(name)) if name == UNKNOWN);
    if (unknown_word || field.is_unknown.is_some_and(|is_unknown| is_unknown(view)))
        && let Ok(ports) = ports(ctx)
    {
        ports.unknown_words.shown(table.name, field.name);
    }
    if let Some(value) = read {
        answer_size::count_field(ctx, &value).await;
        return Ok(Some(value));
    }
    match (not_fetched(field, view), field.nullable) {
        (Some(error), true) => answer_size::add_error(ctx, at_path(ctx, server_error(ctx, error))).await,
        (None, true) => {}
        (error, false) => {
            let missing = || view.required::<()>(field.key.unwrap_or(field.name), None).err();
            let error = error.or_else(missing).unwrap_or_else(PortError::internal);
            return Err(at_path(ctx, server_error(ctx, error)));
        }
    }
    Ok(Some(Value::Null))
}

/// Why a field has no value, where the provider was asked for it and did not answer.
fn not_fetched(field: &Field, view: &NodeView) -> Option<PortError> {
    let failure = view.failure.as_ref()?;
    field.needed().any(|key| !view.body.contains_key(key)).then(|| PortError::clone(failure))
}

/// The path of the field that failed; one that is already there is that of a field further down.
fn at_path(ctx: &Context<'_>, error: ServerError) -> ServerError {
    if error.path.is_empty() { ctx.set_error_path(error) } else { error }
}

/// The values under the field's key, each an object.
pub(super) fn answer_records<K: Kind>(call: Call<'_>) -> BoxFuture<'_, ServerResult<Value>> {
    Box::pin(async move {
        let key = call.field.key.unwrap_or(call.field.name);
        let Some(items) = call.view.get(key).and_then(serde_json::Value::as_array) else { return Ok(Value::Null) };
        let rows: Many<Row<K>> = items
            .iter()
            .filter_map(serde_json::Value::as_object)
            .map(|body| {
                Row::new(Arc::new(NodeView {
                    body: Arc::new(body.clone()),
                    failure: None,
                    ..NodeView::clone(call.view)
                }))
            })
            .collect();
        let set = call.ctx.with_selection_set(&call.ctx.item.node.selection_set);
        rows.resolve_items(&set, call.ctx.item, Counted::Elsewhere).await
    })
}

/// The node's own body, as an object of another type.
pub(super) fn answer_record<K: Kind>(call: Call<'_>) -> BoxFuture<'_, ServerResult<Value>> {
    Box::pin(async move {
        if call.field.needs.iter().any(|key| call.view.get(key).is_none()) {
            return Ok(Value::Null);
        }
        let row = Row::<K>::new(Arc::clone(call.view));
        OutputType::resolve(&row, &call.ctx.with_selection_set(&call.ctx.item.node.selection_set), call.ctx.item).await
    })
}

/// A position that no list has: for rows that are given without one.
pub(super) fn nowhere() -> Position {
    Position { sort: String::new(), native_id: String::new() }
}
