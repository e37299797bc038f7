//! Answers of the REST API: their bodies, pages with `Link`, and GitHub's error bodies.

use http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::{Call, DOCS};
use crate::providers::github::sandbox::{shapes::shape, world::World};

/// An answer before its headers are complete.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// Null for none.
    pub(crate) body: Value,
    pub(crate) link: Option<HeaderValue>,
    /// Where a redirection leads to.
    pub(crate) location: Option<HeaderValue>,
}

impl Reply {
    pub(crate) fn with(status: StatusCode, body: Value) -> Self {
        Self { status, body, link: None, location: None }
    }

    pub(crate) fn ok(body: Value) -> Self {
        Self::with(StatusCode::OK, body)
    }

    pub(crate) fn created(body: Value) -> Self {
        Self::with(StatusCode::CREATED, body)
    }

    pub(crate) fn nothing() -> Self {
        Self::with(StatusCode::NO_CONTENT, Value::Null)
    }

    pub(crate) fn problem(status: StatusCode, message: &str) -> Self {
        let body = shape! { "message": message, "documentation_url": DOCS, "status": status.as_str() };
        Self::with(status, body)
    }

    /// 301, to where the thing is found by its number.
    pub(crate) fn moved(address: &str) -> Self {
        let body = shape! { "message": "Moved Permanently", "url": address, "documentation_url": DOCS };
        Self { location: HeaderValue::from_str(address).ok(), ..Self::with(StatusCode::MOVED_PERMANENTLY, body) }
    }

    pub(crate) fn not_found() -> Self {
        Self::problem(StatusCode::NOT_FOUND, "Not Found")
    }

    /// 422, naming the field.
    pub(crate) fn invalid(resource: &str, field: &str, code: &str) -> Self {
        let body = shape! {
            "message": "Validation Failed",
            "errors": [shape! { "resource": resource, "field": field, "code": code }],
            "documentation_url": DOCS,
            "status": "422",
        };
        Self::with(StatusCode::UNPROCESSABLE_ENTITY, body)
    }

    /// The body, or "Not Found" where there is none.
    pub(crate) fn maybe(body: Option<Value>) -> Self {
        body.filter(|body| !body.is_null()).map_or_else(Self::not_found, Self::ok)
    }

    /// A page of a list. Only the things on the page are put into their form.
    pub(crate) fn list<T>(world: &World, call: &Call, all: Vec<T>, form: impl Fn(T) -> Value) -> Self {
        let (items, link) = page(world, call, all);
        Self { link, ..Self::ok(items.into_iter().map(form).collect()) }
    }

    /// A page of a list that comes in an object with its total.
    pub(crate) fn counted<T>(world: &World, call: &Call, name: &str, all: Vec<T>, form: impl Fn(T) -> Value) -> Self {
        let total = all.len();
        let (items, link) = page(world, call, all);
        let mut body = shape! { "total_count": total };
        if name == "items" {
            super::super::shapes::extend(&mut body, shape! { "incomplete_results": false });
        }
        if let Value::Object(body) = &mut body {
            body.insert(name.to_owned(), items.into_iter().map(form).collect());
        }
        Self { link, ..Self::ok(body) }
    }
}

fn page<T>(world: &World, call: &Call, all: Vec<T>) -> (Vec<T>, Option<HeaderValue>) {
    let number = |name: &str| call.param(name).and_then(|value| value.parse::<usize>().ok()).filter(|value| *value > 0);
    let size = number("per_page").unwrap_or(30).min(100);
    let page = number("page").unwrap_or(1);
    let last = all.len().div_ceil(size).max(1);
    let items = all.into_iter().skip((page - 1).saturating_mul(size)).take(size).collect();
    let mut links = Vec::new();
    let mut add = |relation: &str, page: usize| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, value) in call.query.iter().filter(|(key, _)| key != "page") {
            query.append_pair(key, value);
        }
        query.append_pair("page", &page.to_string());
        links.push(format!("<{}{}?{}>; rel=\"{relation}\"", world.api_root, call.path, query.finish()));
    };
    if page > 1 {
        add("prev", (page - 1).min(last));
    }
    if page < last {
        add("next", page + 1);
        add("last", last);
    }
    if page > 1 {
        add("first", 1);
    }
    let link = HeaderValue::from_str(&links.join(", ")).ok().filter(|link| !link.is_empty());
    (items, link)
}
