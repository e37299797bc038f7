//! Which media type an answer takes, as the GraphQL-over-HTTP draft says.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::operation::errors::RequestError;

/// The media type of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `application/json`: a well-formed request is answered with 200, whatever its document.
    Json,
    /// `application/graphql-response+json`: the status speaks.
    GraphQlResponse,
}

impl Media {
    /// The best that the client takes; `None`: nothing that we have.
    pub fn accepted(headers: &HeaderMap) -> Option<Self> {
        let all: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        if all.is_empty() {
            return Some(Self::Json);
        }
        let all = all.join(",");
        let json = quality(&all, "application", "json");
        let response = quality(&all, "application", "graphql-response+json");
        match (json, response) {
            (json, response) if json <= 0.0 && response <= 0.0 => None,
            // At the same quality the type that was named wins over a wildcard, and our own type over plain JSON.
            (json, response) if response > json => Some(Self::GraphQlResponse),
            (json, response) if response >= json && all.contains("graphql-response+json") => {
                Some(Self::GraphQlResponse)
            }
            _ => Some(Self::Json),
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json; charset=utf-8",
            Self::GraphQlResponse => "application/graphql-response+json; charset=utf-8",
        })
    }

    /// The response of an answer, a serialized GraphQL response.
    pub fn answer(self, answer: Bytes) -> Response {
        self.response(StatusCode::OK, answer)
    }

    /// The response of a request that was refused.
    pub fn refused(self, error: &RequestError) -> Response {
        let status = match (self, error.status()) {
            (Self::Json, StatusCode::BAD_REQUEST) => StatusCode::OK,
            (_, status) => status,
        };
        self.with_status(status, error)
    }

    /// The response of a request that was refused, with its status whatever the media type.
    pub fn with_status(self, status: StatusCode, error: &RequestError) -> Response {
        let mut response = self.response(status, error.to_body());
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = error.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    fn response(self, status: StatusCode, body: Bytes) -> Response {
        let headers = [
            (header::CONTENT_TYPE, self.content_type()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        (status, headers, Body::from(body)).into_response()
    }
}

/// How the answers of a subscription travel in one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// `text/event-stream`
    Events,
    /// `multipart/mixed`
    Parts,
}

impl Stream {
    /// The one that the client names of the two; a wildcard names neither. Where it likes both alike, it gets an event
    /// stream, unless it names the protocol of the parts.
    pub fn accepted(headers: &HeaderMap) -> Option<Self> {
        let (mut events, mut parts, mut has_protocol) = (0.0_f32, 0.0_f32, false);
        let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for range in ranges.flat_map(|value| value.split(',')) {
            let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
            let is_events = kind.trim().eq_ignore_ascii_case("text/event-stream");
            if !is_events && !kind.trim().eq_ignore_ascii_case("multipart/mixed") {
                continue;
            }
            let parameters = parameters.to_ascii_lowercase().replace(['"', '\'', ' '], "");
            let weight = parameters.split(';').find_map(|part| part.strip_prefix("q="));
            let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            let protocol = parameters.split(';').find(|part| part.contains("spec="));
            if is_events {
                events = events.max(weight);
            } else if protocol.is_none_or(|protocol| protocol == "subscriptionspec=1.0") {
                // Another protocol than that of subscriptions, such as that of `@defer`, is not spoken here.
                parts = parts.max(weight);
                has_protocol |= protocol.is_some();
            }
        }
        if events <= 0.0 && parts <= 0.0 {
            None
        } else if parts > events || parts >= events && has_protocol {
            Some(Self::Parts)
        } else {
            Some(Self::Events)
        }
    }
}

/// Whether this is a browser that wants a page.
pub fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    quality(accept, "text", "html") > quality(accept, "application", "json")
}

/// The quality that `accept` gives to a type: of its most specific range; zero where it is not taken.
fn quality(accept: &str, kind: &str, subtype: &str) -> f32 {
    let mut best = (0, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let Some((range_kind, range_subtype)) = parts.next().and_then(|range| range.split_once('/')) else { continue };
        let specific = match (range_kind, range_subtype) {
            (a, b) if a.eq_ignore_ascii_case(kind) && b.eq_ignore_ascii_case(subtype) => 3,
            (a, "*") if a.eq_ignore_ascii_case(kind) => 2,
            ("*", "*") => 1,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if specific > best.0 {
            best = (specific, weight);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::{Media, Stream, wants_page};

    #[test]
    fn the_best_media_type_wins() {
        for (accept, expected) in [
            (None, Some(Media::Json)),
            (Some("*/*"), Some(Media::Json)),
            (Some("application/*"), Some(Media::Json)),
            (Some("application/json"), Some(Media::Json)),
            (Some("application/graphql-response+json"), Some(Media::GraphQlResponse)),
            (Some("application/json, application/graphql-response+json"), Some(Media::GraphQlResponse)),
            (Some("application/graphql-response+json;q=0.5, application/json"), Some(Media::Json)),
            (Some("application/graphql-response+json, application/json;q=0.9"), Some(Media::GraphQlResponse)),
            (Some("application/graphql-response+json; charset=utf-8, */*;q=0.1"), Some(Media::GraphQlResponse)),
            (Some("text/html"), None),
            (Some("application/json;q=0"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(Media::accepted(&headers), expected, "{accept:?}");
        }
    }

    #[test]
    fn a_stream_is_one_that_was_named() {
        for (accept, expected) in [
            ("", None),
            ("*/*", None),
            ("application/json", None),
            ("text/event-stream", Some(Stream::Events)),
            ("application/json, TEXT/event-stream;q=0.5", Some(Stream::Events)),
            ("text/event-stream;q=0", None),
            ("multipart/mixed", Some(Stream::Parts)),
            ("multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json", Some(Stream::Parts)),
            ("application/json, multipart/mixed; subscriptionSpec=\"1.0\"", Some(Stream::Parts)),
            ("multipart/mixed;deferSpec=20220824,application/json", None),
            ("multipart/mixed;subscriptionSpec=2.0", None),
            (
                "application/graphql-response+json, application/json, text/event-stream, multipart/mixed",
                Some(Stream::Events),
            ),
            ("text/event-stream, multipart/mixed;subscriptionSpec=1.0", Some(Stream::Parts)),
            ("text/event-stream, multipart/mixed;subscriptionSpec=1.0;q=0.5", Some(Stream::Events)),
            ("text/event-stream;q=0.1, multipart/mixed", Some(Stream::Parts)),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Stream::accepted(&headers), expected, "{accept}");
        }
    }

    #[test]
    fn a_browser_wants_a_page_and_a_client_does_not() {
        for (accept, expected) in
            [("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true), ("*/*", false), ("", false)]
        {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(wants_page(&headers), expected, "{accept}");
        }
    }
}
