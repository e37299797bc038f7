//! The fields that a federation's router asks of a subgraph: `_service` and `_entities`.
//!
//! The library has both, but its `_entities` knows no places: a representation that is wrong refuses its whole request, and an
//! error below an entity lacks the entity's index. So the executed graph has these fields of its own, of the same form; the
//! library only prints the subgraph's SDL.

use std::borrow::Cow;

use async_graphql::{
    Any, Context, ContextSelectionSet, InputType, OutputType, ServerError, ServerResult, SimpleObject, Value,
    registry::{MetaField, MetaInputValue, MetaType, Registry},
};
use futures::future::join_all;

use crate::{
    answer_size, cost::ListSize, entity::node_by_id, error::PortError, limits::MAX_ITEMS, table::server_error,
};

const ENTITIES: &str = "_entities";
const SERVICE: &str = "_service";
const REPRESENTATIONS: &str = "representations";

/// The subgraph's SDL, in the data of the graph that answers it.
pub(crate) struct SubgraphSdl(pub(crate) String);

#[derive(SimpleObject)]
#[graphql(name = "_Service")]
struct Service {
    sdl: Option<String>,
}

/// Adds the router's fields. `entities` are the types that have a key.
pub(crate) fn register(registry: &mut Registry, entities: impl IntoIterator<Item = String>) {
    let service = Service::create_type_info(registry);
    let any = <Vec<Any> as InputType>::create_type_info(registry);
    let union = MetaType::Union {
        name: "_Entity".to_owned(),
        description: None,
        possible_types: entities.into_iter().collect(),
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        rust_typename: None,
        directive_invocations: Vec::new(),
    };
    registry.types.insert("_Entity".to_owned(), union);
    let mut found = MetaField::new(ENTITIES, "[_Entity]!");
    found.directive_invocations.push(ListSize::Given(REPRESENTATIONS).directive());
    found.args.insert(REPRESENTATIONS.to_owned(), MetaInputValue::new(REPRESENTATIONS, any));
    if let Some(MetaType::Object { fields, .. }) = registry.types.get_mut("Query") {
        fields.insert(SERVICE.to_owned(), MetaField::new(SERVICE, service));
        fields.insert(ENTITIES.to_owned(), found);
    }
}

/// Answers one of the router's fields; `None` for any other.
pub(crate) async fn answer(ctx: &Context<'_>) -> Option<ServerResult<Value>> {
    match ctx.item.node.name.node.as_str() {
        SERVICE => {
            let sdl = ctx.data_opt::<SubgraphSdl>().map(|sdl| sdl.0.clone());
            let set = ctx.with_selection_set(&ctx.item.node.selection_set);
            Some(Service { sdl }.resolve(&set, ctx.item).await)
        }
        ENTITIES => Some(entities(ctx).await),
        _ => None,
    }
}

/// The entities that the router names, each in its place. One that fails is null, with its error: the others are answered.
async fn entities(ctx: &Context<'_>) -> ServerResult<Value> {
    let (_, representations) = ctx.param_value::<Vec<Any>>(REPRESENTATIONS, None)?;
    if representations.len() > MAX_ITEMS {
        let message = format!("{REPRESENTATIONS}: must have at most {MAX_ITEMS} values");
        return Err(ctx.set_error_path(server_error(ctx, PortError::bad_input(message))));
    }
    let set = ctx.with_selection_set(&ctx.item.node.selection_set);
    let found = representations.iter().enumerate().map(|(index, representation)| {
        let set = set.with_index(index);
        async move {
            match entity(ctx, &set, index, &representation.0).await {
                Ok(value) => value,
                Err(error) => {
                    let error = if error.path.is_empty() { set.set_error_path(error) } else { error };
                    answer_size::add_error(&set, error).await;
                    Value::Null
                }
            }
        }
    });
    Ok(Value::List(join_all(found).await))
}

async fn entity(
    ctx: &Context<'_>,
    set: &ContextSelectionSet<'_>,
    index: usize,
    representation: &Value,
) -> Result<Value, ServerError> {
    let field = format!("{REPRESENTATIONS}[{index}]");
    let refused = |problem: &str| server_error(ctx, PortError::bad_input(format!("{field}{problem}")));
    let Value::Object(representation) = representation else { return Err(refused(": must be an object")) };
    let Some(Value::String(type_name)) = representation.get("__typename") else {
        return Err(refused(".__typename: the name of a type is needed"));
    };
    if !is_entity(ctx, type_name) {
        return Err(refused(".__typename: no entity of this graph"));
    }
    let Some(id) = representation.get("id").filter(|id| **id != Value::Null) else {
        return Err(refused(".id: a value is needed"));
    };
    let id = async_graphql::ID::parse(Some(id.clone())).map_err(|_| refused(".id: not an id of this graph"))?;
    let found = node_by_id(ctx, &format!("{field}.id"), &id).await.map_err(|error| server_error(ctx, error))?;
    match found {
        Some(node) if node.concrete_name() == Cow::Borrowed(type_name.as_str()) => node.resolve(set, ctx.item).await,
        Some(_) => Err(refused(&format!(".id: not an id of a {type_name}"))),
        None => Ok(Value::Null),
    }
}

fn is_entity(ctx: &Context<'_>, type_name: &str) -> bool {
    matches!(ctx.schema_env.registry.types.get("_Entity"),
        Some(MetaType::Union { possible_types, .. }) if possible_types.contains(type_name))
}
