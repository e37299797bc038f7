//! Documents and variables as strangers may send them, measured and validated against the real graph: each is taken or refused with a
//! code, in a bounded time.

use std::sync::Arc;

use async_graphql::{
    ServerError, Variables,
    parser::types::{ExecutableDocument, OperationDefinition},
};
use mullion_fuzz::Target;
use mullion_resolvers::budget::{ExecutionBudgets, Executions};
use mullion_schema::{
    coerce::Inputs,
    cost::{Cost, Costs},
    error::ErrorCode,
    validate::Validator,
};
use tokio_util::task::TaskTracker;

use super::{Document, Documents, ProcessorTime, Rules, Surroundings, reader::hash};
use crate::{
    config::Limits,
    fake::admin,
    operation::{errors::RequestError, params::Params},
};

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/operation/document/kept");
/// Errors of one refusal, and characters of one message.
const MOST: (usize, usize) = (64, 4_000);

/// The rules of the real graph.
#[derive(Default)]
struct Graph {
    validator: Validator,
    costs: Costs,
}

impl Rules for Graph {
    fn validate(&self, document: &Arc<ExecutableDocument>) -> Result<(), Vec<ServerError>> {
        self.validator.check(document)
    }

    fn cost(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: Option<&Variables>,
    ) -> Cost {
        self.costs.measure(document, operation, variables)
    }
}

/// A refusal says what the client did wrong, in few words.
fn check_refusal(error: &RequestError) -> Result<(), String> {
    let known = matches!(
        error.code,
        ErrorCode::GraphqlParseFailed
            | ErrorCode::GraphqlValidationFailed
            | ErrorCode::OperationTooComplex
            | ErrorCode::BadUserInput
    );
    let short = error.errors.len() <= MOST.0 && error.errors.iter().all(|entry| entry.message.len() <= MOST.1);
    if known && short && !error.errors.is_empty() { Ok(()) } else { Err(format!("the refusal {error:?}")) }
}

struct Fuzzed {
    documents: Documents,
    inputs: Inputs,
}

impl Fuzzed {
    fn new() -> Self {
        // Hardly anything is remembered, so that each input is read anew.
        let time = ProcessorTime::new(Arc::new(Executions::new(ExecutionBudgets::UNLIMITED)), Arc::default());
        let (rules, metrics, tasks) = (Arc::new(Graph::default()), Arc::default(), TaskTracker::new());
        let documents = Documents::new(Limits::default(), 1, Surroundings { rules, time, metrics, tasks });
        Self { documents, inputs: Inputs::default() }
    }

    fn read(&self, text: &str) -> Result<Arc<Document>, RequestError> {
        self.documents.reader.read(&admin(), text, hash(text))
    }

    fn document(&self, input: &[u8]) -> Result<(), String> {
        let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
        match self.read(text) {
            Ok(_) => Ok(()),
            Err(error) => check_refusal(&error),
        }
    }

    fn parameters(&self, input: &[u8]) -> Result<(), String> {
        let read = || -> Result<(), RequestError> {
            let params = Params::from_json(input)?.with_document()?;
            let document = self.read(params.query.as_deref().unwrap_or_default())?;
            let selected = self.documents.select(&admin(), &document, params.operation_name, params.variables)?;
            let coerce = |variables: &Variables| {
                let coerced = self.inputs.variables(&document.parsed, selected.name.as_deref(), variables);
                coerced.map_err(|errors| RequestError::of_execution(errors, ""))
            };
            let coerced = coerce(&selected.variables)?;
            let again = coerce(&coerced)?;
            assert_eq!(coerced, again, "what is coerced stays so");
            Ok(())
        };
        read().map_or_else(|error| check_refusal(&error), Ok)
    }
}

const DOCUMENTS: [&str; 10] = [
    "{ viewer { tenant { name } } eventCursor }",
    "query Q($n: Int = 5, $b: Boolean!) { dashboards(first: $n) { totalCount nodes { id slug ... @include(if: $b) { name } } } }",
    "query ($f: WorkItemFilter) { workItems(filter: $f, first: 20) { totalCount nodes { __typename } } }",
    "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Dashboard { slug widgets { id } } } }",
    "mutation ($i: AddWidgetInput!) { addWidget(input: $i) { widget { id } } }",
    "mutation ($i: ConnectIntegrationInput!) { connectIntegration(input: $i) { integration { id webhookUrl } } }",
    "query ($f: ActivityFilter) { activity(filter: $f) { nodes { ...A } } } fragment A on Activity { id cursor summary }",
    "subscription ($after: EventCursor) { activity(after: $after) { id cursor summary subject { __typename ... on Node { id } } } }",
    "query ($r: [_Any!]!) { _entities(representations: $r) { __typename ... on Dashboard { id } } _service { sdl } }",
    "{ __schema { types { name fields(includeDeprecated: true) { name type { name ofType { name } } } } } }",
];

#[test]
fn any_document_is_taken_or_refused_with_a_code() {
    let fuzzed = Fuzzed::new();
    for text in DOCUMENTS {
        let read = fuzzed.read(text);
        assert!(read.is_ok(), "{text}: {:?}", read.err());
    }
    let seeds = DOCUMENTS.iter().map(|text| text.as_bytes().to_vec()).collect();
    Target::new("documents", KEPT, seeds).run(|input| fuzzed.document(input));
}

#[test]
fn any_variables_are_taken_or_refused_with_a_code() {
    let fuzzed = Fuzzed::new();
    let variables = [
        r#"{"n":3,"b":true}"#,
        r#"{"f":{"states":["TODO"],"dueBefore":"2026-12-01","assignedToMe":true}}"#,
        r#"{"ids":["a","b"]}"#,
        r#"{"i":{"dashboardId":"x","title":"t","source":{"activity":{"kinds":["push"]}}}}"#,
        r#"{"i":{"provider":"x","name":"n","token":"secret","webhookSecret":null,"baseUrl":"https://example.org"}}"#,
        r#"{"r":[{"__typename":"Dashboard","id":"x"}]}"#,
        r#"{"after":"x","unused":[[1.5e300,-0,"\ud83d\ude00"]]}"#,
    ];
    let seeds = DOCUMENTS.iter().flat_map(|query| {
        let query = serde_json::Value::from(*query);
        variables.map(|variables| format!(r#"{{"query":{query},"variables":{variables}}}"#).into_bytes())
    });
    Target::new("parameters", KEPT, seeds.collect()).run(|input| fuzzed.parameters(input));
}
