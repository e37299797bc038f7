//! One API call, read: path segments, parameters, the `data` of its body, and the input/output options.

use http::{Method, header};
use serde_json::{Map, Value};

use super::answer::ApiError;
use super::render::Selection;
use crate::sandbox::ApiRequest;

/// A JSON object.
type Object = Map<String, Value>;

/// A call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    /// The query's parameters, and for reading calls in a batch those of `data`.
    pub(super) parameters: Vec<(String, String)>,
    /// `data` of the body; of form bodies the fields.
    pub(super) data: Map<String, Value>,
    pub(super) selection: Option<Selection>,
}

impl Call {
    /// Reads a request; says who is not authorized and what cannot be read.
    pub(super) fn read(request: &ApiRequest) -> Result<Self, ApiError> {
        let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer =
            token.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        if bearer.is_none_or(|(_, token)| token.trim().is_empty()) {
            return Err(ApiError::unauthorized());
        }
        let query = request.uri().query().unwrap_or_default();
        let parameters = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let (data, options) = body(request)?;
        Ok(Self::new(request.method().clone(), request.uri().path(), parameters, data, &options))
    }

    /// A call from its parts; `options` as in a body (`fields`, `limit`, `offset`).
    pub(super) fn new(
        method: Method,
        path: &str,
        mut parameters: Vec<(String, String)>,
        data: Map<String, Value>,
        options: &Map<String, Value>,
    ) -> Self {
        for (name, value) in options {
            if let ("limit" | "offset", Some(value)) = (name.as_str(), text(value)) {
                parameters.push((name.clone(), value));
            }
        }
        let asked = parameters.iter().find(|(name, _)| name == "opt_fields").map(|(_, fields)| fields.clone());
        let asked = asked.or_else(|| options.get("fields").or_else(|| options.get("opt_fields")).and_then(list));
        let selection = asked.filter(|fields| !fields.trim().is_empty()).map(|fields| Selection::parse(&fields));
        Self { method, path: path.trim_end_matches('/').to_owned(), parameters, data, selection }
    }

    /// The path's segments.
    pub(super) fn segments(&self) -> Vec<String> {
        self.path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
    }

    /// A query parameter that is there and not empty.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(of, value)| of == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A parameter that is `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.parameter(name) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(ApiError::bad(format!("{name}: Not a boolean"))),
        }
    }

    /// A field of `data` as text (gids may come as numbers).
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.data.get(name).and_then(text)
    }
}

/// The body's `data` and `options`.
fn body(request: &ApiRequest) -> Result<(Object, Object), ApiError> {
    if request.body().is_empty() {
        return Ok((Map::new(), Map::new()));
    }
    let content = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content.starts_with("application/x-www-form-urlencoded") {
        let fields = form_urlencoded::parse(request.body()).into_owned();
        return Ok((fields.map(|(name, value)| (name, Value::String(value))).collect(), Map::new()));
    }
    let Ok(Value::Object(mut whole)) = serde_json::from_slice(request.body()) else {
        return Err(ApiError::bad("Could not parse request data, invalid JSON"));
    };
    let mut part = |name: &str| match whole.remove(name) {
        Some(Value::Object(part)) => part,
        _ => Map::new(),
    };
    Ok((part("data"), part("options")))
}

/// A string or a number as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn list(value: &Value) -> Option<String> {
    match value {
        Value::Array(all) => Some(all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
        other => text(other),
    }
}
