//! The parameters of a GraphQL request, the same over all transports.

use async_graphql::Variables;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::errors::RequestError;

/// The parameters of a request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Params {
    /// The document.
    #[serde(default)]
    pub query: Option<String>,
    /// Which of its operations.
    #[serde(default)]
    pub operation_name: Option<String>,
    /// Its variables.
    #[serde(default)]
    pub variables: Variables,
    /// Whatever client and server agreed on.
    #[serde(default)]
    pub extensions: Option<Map<String, Value>>,
}

impl Params {
    /// Parses a JSON body. The error names the parameter that is wrong.
    pub fn from_json(body: &[u8]) -> Result<Self, RequestError> {
        let body = without_mark(body);
        let parsed = serde_json::from_slice(body).map_err(|error| explain(body, &error))?;
        // A list would be taken for the parameters in their order.
        if body.trim_ascii_start().first() == Some(&b'{') { Ok(parsed) } else { Err(not_an_object()) }
    }

    /// Parses the query string of a GET.
    pub fn from_query_string(query: &str) -> Result<Self, RequestError> {
        let mut params = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "query" => params.query = Some(value.into_owned()),
                "operationName" if !value.is_empty() => params.operation_name = Some(value.into_owned()),
                "variables" if !value.is_empty() => params.variables = json_parameter("variables", &value)?,
                "extensions" if !value.is_empty() => params.extensions = json_parameter("extensions", &value)?,
                _ => {}
            }
        }
        Ok(params)
    }

    /// Whether the document is given, or its hash; without either the request is not well-formed.
    pub fn with_document(self) -> Result<Self, RequestError> {
        if self.query.is_some() || self.names_persisted() { Ok(self) } else { Err(without_document()) }
    }

    /// Whether the hash of a persisted query is given.
    pub fn names_persisted(&self) -> bool {
        self.extensions
            .as_ref()
            .is_some_and(|extensions| extensions.get("persistedQuery").is_some_and(|persisted| !persisted.is_null()))
    }
}

/// Characters that a refusal takes from the parser's message, which may repeat what the client sent.
const LONGEST_REASON: usize = 200;

pub(super) fn without_document() -> RequestError {
    RequestError::bad_input("`query` is missing: send the document in it")
}

/// A text without the byte order mark that some editors and shells begin it with: JSON allows to pass it by (RFC 8259, 8.1).
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)
}

fn json_parameter<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> Result<T, RequestError> {
    serde_json::from_str(text).map_err(|_| RequestError::bad_input(format!("`{name}` must be a JSON object")))
}

fn not_an_object() -> RequestError {
    RequestError::bad_input("the body must be one JSON object with `query`; batches are not supported")
}

/// Says which parameter has the wrong type; slow, for refused requests only.
fn explain(body: &[u8], error: &serde_json::Error) -> RequestError {
    let value = match serde_json::from_slice::<Value>(body) {
        Ok(value) => value,
        // This one gives the position in the text; `error` may be one of the type and repeat a value of any length.
        Err(syntax) => return RequestError::bad_input(format!("the body is not JSON: {syntax}")),
    };
    let Value::Object(object) = value else {
        return not_an_object();
    };
    for (name, wanted) in [("query", "a string"), ("operationName", "a string")] {
        if object.get(name).is_some_and(|value| !value.is_null() && !value.is_string()) {
            return RequestError::bad_input(format!("`{name}` must be {wanted}"));
        }
    }
    for name in ["variables", "extensions"] {
        if object.get(name).is_some_and(|value| !value.is_null() && !value.is_object()) {
            return RequestError::bad_input(format!("`{name}` must be an object"));
        }
    }
    let reason: String = error.to_string().chars().take(LONGEST_REASON).collect();
    RequestError::bad_input(format!("the parameters are not valid: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::Params;

    #[test]
    fn wrong_parameters_are_named() {
        for (body, expected) in [
            ("", "the body is not JSON"),
            ("{", "the body is not JSON"),
            ("[]", "must be one JSON object"),
            (r#"{"query":1}"#, "`query` must be a string"),
            (r#"{"query":"{a}","operationName":[]}"#, "`operationName` must be a string"),
            (r#"{"query":"{a}","variables":"a"}"#, "`variables` must be an object"),
            (r#"{"query":"{a}","extensions":0}"#, "`extensions` must be an object"),
        ] {
            let error = Params::from_json(body.as_bytes()).unwrap_err();
            assert!(error.errors[0].message.contains(expected), "{body}: {}", error.errors[0].message);
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_a_long_body() {
        let long = "x".repeat(100_000);
        for body in
            [format!("\"{long}\""), format!("\"{long}\" and more"), format!(r#"{{"query":"{{a}}","query":"{long}"}}"#)]
        {
            let error = Params::from_json(body.as_bytes()).unwrap_err();
            assert!(error.errors[0].message.len() < 300, "{}", error.errors[0].message.len());
        }
    }

    #[test]
    fn null_parameters_are_absent_ones() {
        let body = br#"{"query":"{a}","operationName":null,"variables":null,"extensions":null}"#;
        assert!(Params::from_json(body).is_ok());
    }

    #[test]
    fn a_query_string_carries_json() {
        let params = Params::from_query_string("query=%7Ba%7D&variables=%7B%22x%22%3A1%7D&operationName=").unwrap();
        assert_eq!(params.query.as_deref(), Some("{a}"));
        assert_eq!(params.variables.len(), 1);
        assert_eq!(params.operation_name, None);
    }
}
