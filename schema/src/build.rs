//! The two graphs, put together: the one that clients see, and the live one that answers of subscriptions are executed on.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, EmptyMutation, EmptySubscription, OutputType, Positioned, Request, Response, SDLExportOptions,
    Schema, SchemaBuilder, ServerError, ServerResult, SubscriptionType, ValidationMode, Value,
    parser::types::{DocumentOperations, ExecutableDocument, Field, OperationType},
    registry::{MetaType, Registry},
};

use crate::{
    cost::{self, Costs},
    description,
    error::{ErrorCode, PortError},
    federation::{self, SubgraphSdl},
    mutation::Mutation,
    ports::{Live, LivePlan, PlanSink},
    query::QueryRoot,
    subscription::{LiveRoot, SubscriptionRoot},
    types::boards::WidgetCommon,
};

/// The library's form of the graph.
pub(crate) type GraphSchema = Schema<QueryRoot, Mutation, SubscriptionRoot>;
/// The graph.
pub struct Graph(GraphSchema);
/// The live graph.
pub type LiveGraph = Schema<LiveRoot, EmptyMutation, EmptySubscription>;

/// Levels that the executor follows a document down, fragments included: more than documents may nest brackets, so that what
/// passes their limits is not refused here.
const MAX_LEVELS: usize = 64;

/// The graph. Its subscriptions are there to be read about and validated against; they are run on [`build_live`].
///
/// It executes what a [`Validator`](crate::validate::Validator) has accepted, and does not validate it again.
pub fn build() -> Graph {
    Graph(graph::<EXECUTED>().data(SubgraphSdl(federation_sdl())).validation_mode(ValidationMode::Fast).finish())
}

/// The graph, for whoever validates.
pub(crate) fn strict() -> SchemaBuilder<QueryRoot, Mutation, SubscriptionRoot> {
    graph::<EXECUTED>()
}

impl Graph {
    /// Executes a query or a mutation.
    pub async fn execute(&self, mut request: Request) -> Response {
        let asked = description::asked_in(&mut request);
        let mut response = self.0.execute(request).await;
        asked.answer(&mut response.data);
        response
    }
}

fn graph<const FORM: u8>() -> SchemaBuilder<QueryRoot, Mutation, SubscriptionRoot> {
    Schema::build(QueryRoot, Mutation, SubscriptionRoot)
        .register_output_type::<Finish<FORM>>()
        .limit_recursive_depth(MAX_LEVELS)
}

/// The live graph: its query root is an object named `Subscription` with the fields of the graph's subscriptions. It does not
/// validate either: a document is validated as a subscription of the graph.
pub fn build_live() -> LiveGraph {
    Schema::build(LiveRoot, EmptyMutation, EmptySubscription)
        .register_output_type::<Finish<PLAIN>>()
        .limit_recursive_depth(MAX_LEVELS)
        .validation_mode(ValidationMode::Fast)
        .finish()
}

/// The graph in the schema language.
pub fn sdl() -> String {
    description::before_schema(graph::<PLAIN>().finish().sdl_with_options(options()))
}

/// The graph as a subgraph of a federation.
pub fn federation_sdl() -> String {
    let sdl = graph::<SUBGRAPH>().finish().sdl_with_options(SDLExportOptions::new().federation().compose_directive());
    cost::with_import(&sdl)
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

/// The plan of a subscription: validates its document and variables on the live graph. `request` holds the document of
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
            Err(vec![PortError::new(ErrorCode::GraphqlValidationFailed, message).without_location()])
        }
    }
}

impl Default for Costs {
    /// The costs of the graph as it is executed.
    fn default() -> Self {
        Self::of(&executed_registry())
    }
}

/// The graph's types, to check values against them.
pub(crate) fn registry() -> Registry {
    registry_of::<PLAIN>()
}

/// The graph's types with all that is executed: the fields that a federation's router asks for, too.
pub(crate) fn executed_registry() -> Registry {
    registry_of::<EXECUTED>()
}

fn registry_of<const FORM: u8>() -> Registry {
    let mut registry = Registry::default();
    QueryRoot::create_type_info(&mut registry);
    Mutation::create_type_info(&mut registry);
    SubscriptionRoot::create_type_info(&mut registry);
    Finish::<FORM>::create_type_info(&mut registry);
    registry
}

const WIDGETS: [&str; 6] =
    ["WorkItemsWidget", "PullRequestsWidget", "BuildsWidget", "MessagesWidget", "ActivityWidget", "MetricWidget"];

/// Without a word of federation.
const PLAIN: u8 = 0;
/// With keys, as a federation reads it.
const SUBGRAPH: u8 = 1;
/// Without keys, but with the fields that a router asks for.
const EXECUTED: u8 = 2;

/// The last pass over the registry, when all types are there: what types that refer to each other in a circle could not say
/// of themselves; and what the form adds.
struct Finish<const FORM: u8>;

impl<const FORM: u8> OutputType for Finish<FORM> {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("Finish")
    }

    fn create_type_info(registry: &mut Registry) -> String {
        cost::register(registry);
        share_widget_fields(registry);
        for name in ["Dashboard", "Integration", "Activity"].into_iter().chain(WIDGETS) {
            registry.add_implements(name, "Node");
            registry.add_keys(name, "id");
        }
        for name in WIDGETS {
            registry.add_implements(name, "Widget");
        }
        if FORM != EXECUTED {
            cost::keep_to_the_specification(registry);
        }
        if FORM == SUBGRAPH {
            cost::import_definitions(registry);
        } else {
            let entities = take_keys(registry);
            if FORM == EXECUTED {
                federation::register(registry, entities);
            }
        }
        String::new()
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(Value::Null)
    }
}

/// Takes away all keys, and tells which types had one.
fn take_keys(registry: &mut Registry) -> Vec<String> {
    let mut keyed = Vec::new();
    for (name, ty) in &mut registry.types {
        if let MetaType::Object { keys, .. } = ty
            && keys.take().is_some_and(|keys| !keys.is_empty())
        {
            keyed.push(name.clone());
        }
    }
    keyed
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
