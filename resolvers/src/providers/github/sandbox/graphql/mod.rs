//! GitHub's GraphQL API of the sandbox: a small server over GitHub's own definitions.
//!
//! It is written over async-graphql's parser and not over its executor: GitHub's nulls inside `nodes`, its error shapes and
//! "any field of these types" do not fit a static schema, and an executor of our own is also a second opinion on the gateway's.

mod connection;
mod cost;
mod definitions;
mod errors;
mod execute;
mod object;
pub(crate) mod resolve;
#[cfg(test)]
mod tests;
mod validate;
mod values;

use async_graphql::parser::{
    parse_query,
    types::{ExecutableDocument, Selection},
};
use serde_json::{Map, Value, json};

use self::{definitions::Definitions, errors::FieldError, execute::Execution};
use super::{limits::Quota, shapes::shape, world::World};

/// The API; without state of its own.
#[derive(Debug)]
pub(crate) struct Api {
    definitions: Definitions,
}

/// A request whose document is valid.
pub(crate) struct Request {
    document: ExecutableDocument,
    operation: Option<String>,
    variables: Map<String, Value>,
    /// By GitHub's rule.
    pub(crate) cost: u64,
    pub(crate) nodes: u64,
}

impl Api {
    pub(crate) fn new() -> Self {
        Self { definitions: Definitions::read() }
    }

    /// Reads and checks a request body; the error is the whole answer. The document's text is given to `record` as soon as
    /// it is known.
    pub(crate) fn prepare(&self, body: &[u8], record: impl FnOnce(&str)) -> Result<Request, Value> {
        let refuse = |error: Value| json!({ "errors": [error] });
        let body: Value = serde_json::from_slice(body).map_err(
            |_| shape! { "message": "Problems parsing JSON", "documentation_url": super::rest::DOCS, "status": "400" },
        )?;
        let Some(query) = body.get("query").and_then(Value::as_str) else {
            let message = "A query attribute must be specified and must be a string.";
            return Err(refuse(errors::whole(message, None)));
        };
        record(query);
        let document = parse_query(query).map_err(|error| {
            let pos = error.positions().next();
            refuse(errors::whole(&format!("Parse error: {error}"), pos))
        })?;
        let problems = validate::check(&self.definitions, &document);
        if !problems.is_empty() {
            return Err(json!({ "errors": problems }));
        }
        let operation = body.get("operationName").and_then(Value::as_str).map(str::to_owned);
        let mut request = Request { document, operation, variables: Map::new(), cost: 1, nodes: 0 };
        request.variables = self.variables(&request, body.get("variables")).map_err(refuse)?;
        let Some(selected) = selected(&request) else {
            return Err(refuse(errors::whole("An operation name is required", None)));
        };
        (request.cost, request.nodes) = cost::of(&request.document, &selected.selection_set.node, &request.variables);
        if request.nodes > cost::MAX_NODES {
            let error = FieldError {
                kind: "MAX_NODE_LIMIT_EXCEEDED",
                message: format!(
                    "This query requests up to {} possible nodes which exceeds the maximum limit of 500,000.",
                    request.nodes
                ),
            };
            return Err(refuse(shape! { "type": error.kind, "message": error.message }));
        }
        Ok(request)
    }

    fn variables(&self, request: &Request, given: Option<&Value>) -> Result<Map<String, Value>, Value> {
        let mut result = Map::new();
        let Some(operation) = selected(request) else { return Ok(result) };
        for definition in &operation.variable_definitions {
            let (name, pos) = (definition.node.name.node.to_string(), definition.pos);
            let ty = &definition.node.var_type.node;
            let default = definition.node.default_value.as_ref().and_then(|value| value.node.clone().into_json().ok());
            let invalid = |reason: &str| {
                let message = format!("Variable ${name} of type {ty} was provided invalid value: {reason}");
                Err(errors::whole(&message, Some(pos)))
            };
            match given.and_then(|given| given.get(&name)).cloned().or(default) {
                Some(value) => match values::coerce(&self.definitions, ty, value) {
                    Ok(value) => {
                        result.insert(name, value);
                    }
                    Err(reason) => return invalid(&reason),
                },
                None if !ty.nullable => return invalid("Expected value to not be null"),
                None => {}
            }
        }
        Ok(result)
    }

    /// The whole answer to a request.
    pub(crate) fn answer(&self, world: &World, request: &Request, quota: Quota) -> Value {
        let Some(operation) = selected(request) else { return Value::Null };
        let mut execution = Execution {
            definitions: &self.definitions,
            document: &request.document,
            world,
            quota,
            variables: request.variables.clone(),
            path: Vec::new(),
            errors: Vec::new(),
        };
        let data = execution.run(&operation.selection_set.node);
        let errors = execution.errors;
        if errors.is_empty() {
            shape! { "data": data }
        } else {
            shape! { "data": data, "errors": errors }
        }
    }
}

/// The keys at the top of the answer to a request's body, without the quota.
pub(super) fn top_keys(body: &[u8]) -> Vec<String> {
    let query =
        serde_json::from_slice::<Value>(body).ok().and_then(|body| Some(body.get("query")?.as_str()?.to_owned()));
    let Some(Ok(document)) = query.map(parse_query) else { return Vec::new() };
    let Some((_, operation)) = document.operations.iter().next() else { return Vec::new() };
    let selections = operation.node.selection_set.node.items.iter();
    let keys = selections.filter_map(|selection| match &selection.node {
        Selection::Field(field) => Some(field.node.response_key().node.to_string()),
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => None,
    });
    keys.filter(|key| key != "rateLimit").collect()
}

fn selected(request: &Request) -> Option<&async_graphql::parser::types::OperationDefinition> {
    let mut all = request.document.operations.iter();
    if let Some(wanted) = &request.operation {
        return all.find(|(name, _)| name.is_some_and(|name| name.as_str() == wanted)).map(|found| &found.1.node);
    }
    let first = all.next()?;
    all.next().is_none().then_some(&first.1.node)
}
