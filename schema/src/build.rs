//! The two graphs, put together: the one that clients see, and the live one that answers of subscriptions are executed on.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, EmptyMutation, EmptySubscription, OutputType, Positioned, Request, SDLExportOptions, Schema,
    SchemaBuilder, ServerError, ServerResult, Value,
    parser::types::{DocumentOperations, ExecutableDocument, Field, OperationType},
    registry::{MetaType, Registry},
};

use crate::{
    error::{ErrorCode, PortError},
    mutation::Mutation,
    ports::{Live, LivePlan, PlanSink},
    query::QueryRoot,
    subscription::{LiveRoot, SubscriptionRoot},
    types::widget::WidgetCommon,
};

/// The graph.
pub type Graph = Schema<QueryRoot, Mutation, SubscriptionRoot>;
/// The live graph.
pub type LiveGraph = Schema<LiveRoot, EmptyMutation, EmptySubscription>;

/// The graph, for whoever wants to set limits on it.
pub fn builder() -> SchemaBuilder<QueryRoot, Mutation, SubscriptionRoot> {
    Schema::build(QueryRoot, Mutation, SubscriptionRoot).register_output_type::<Finish<true>>()
}

/// The graph. Its subscriptions are there to be read about and validated against; they are run on [`build_live`].
pub fn build() -> Graph {
    builder().finish()
}

/// The live graph: its query root is an object named `Subscription` with the fields of the graph's subscriptions.
pub fn build_live() -> LiveGraph {
    Schema::build(LiveRoot, EmptyMutation, EmptySubscription).register_output_type::<Finish<false>>().finish()
}

/// The graph in the schema language.
pub fn sdl() -> String {
    let plain = Schema::build(QueryRoot, Mutation, SubscriptionRoot).register_output_type::<Finish<false>>().finish();
    plain.sdl_with_options(options())
}

/// The graph as a subgraph of a federation.
pub fn federation_sdl() -> String {
    // As `_service { sdl }` writes it, so that both say the same to the letter.
    build().sdl_with_options(SDLExportOptions::new().federation().compose_directive())
}

fn options() -> SDLExportOptions {
    SDLExportOptions::new().prefer_single_line_descriptions().include_specified_by().use_space_ident()
}

/// A document with subscriptions as the live graph executes it: as queries. Other operations are left out.
pub fn live_document(mut document: ExecutableDocument) -> ExecutableDocument {
    match &mut document.operations {
        DocumentOperations::Single(operation) => {
            if operation.node.ty == OperationType::Subscription {
                operation.node.ty = OperationType::Query;
            }
        }
        DocumentOperations::Multiple(operations) => {
            operations.retain(|_, operation| operation.node.ty == OperationType::Subscription);
            for operation in operations.values_mut() {
                operation.node.ty = OperationType::Query;
            }
        }
    }
    document
}

/// What a subscription asks for: validates its document and variables on the live graph. `request` holds the document of
/// [`live_document`]; its data needs no ports.
pub async fn plan(graph: &LiveGraph, request: Request) -> Result<LivePlan, Vec<ServerError>> {
    let sink = PlanSink::default();
    let response = graph.execute(request.data(Live::Plan(sink.clone()))).await;
    let mut plans = sink.take();
    match (plans.pop(), plans.is_empty()) {
        (Some(plan), true) => Ok(plan),
        (None, _) if !response.errors.is_empty() => Err(response.errors),
        _ => {
            let message = "a subscription has exactly one root field, and it is one of Subscription's";
            let error = PortError::new(ErrorCode::GraphqlValidationFailed, message);
            Err(vec![async_graphql::Error::from(error).into_server_error(async_graphql::Pos::default())])
        }
    }
}

const WIDGETS: [&str; 6] =
    ["WorkItemsWidget", "PullRequestsWidget", "BuildsWidget", "MessagesWidget", "ActivityWidget", "MetricWidget"];

/// The last pass over the registry, when all types are there: what types that refer to each other in a circle could not say
/// of themselves. With `FEDERATED`, types that have an id are entities.
struct Finish<const FEDERATED: bool>;

impl<const FEDERATED: bool> OutputType for Finish<FEDERATED> {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("Finish")
    }

    fn create_type_info(registry: &mut Registry) -> String {
        share_widget_fields(registry);
        for name in ["Dashboard", "Integration", "Activity"].into_iter().chain(WIDGETS) {
            registry.add_implements(name, "Node");
            registry.add_keys(name, "id");
        }
        for name in WIDGETS {
            registry.add_implements(name, "Widget");
        }
        if !FEDERATED {
            for ty in registry.types.values_mut() {
                if let MetaType::Object { keys, .. } = ty {
                    *keys = None;
                }
            }
        }
        String::new()
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(Value::Null)
    }
}

fn share_widget_fields(registry: &mut Registry) {
    WidgetCommon::create_type_info(registry);
    let Some(MetaType::Object { fields: common, .. }) = registry.types.remove("WidgetCommon") else { return };
    for name in WIDGETS {
        if let Some(MetaType::Object { fields, .. }) = registry.types.get_mut(name) {
            let own = std::mem::replace(fields, common.clone());
            fields.extend(own);
        }
    }
    if let Some(MetaType::Interface { fields, .. }) = registry.types.get_mut("Widget") {
        *fields = common;
    }
}
