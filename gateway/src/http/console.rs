//! Serves the GraphiQL console from the binary: the page at `/` and its files under `/console/`. Separate from the graph's
//! routes because it is a handful of static files with rules of their own: a strict Content-Security-Policy on the page,
//! and files that browsers may keep forever, because their names carry their hashes.
//!
//! `build.rs` builds the files from `web/`, or puts a page in their place that says why it could not. They are embedded as
//! gzip, which every browser takes; a client that does not is sent them unpacked.

use std::io::Read;

use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The page may load its own files, Monaco's workers and inline styles, images of the answers' avatars over https, and this
/// origin's graph. Nothing from elsewhere runs, and no other page can frame it.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; \
     font-src 'self' data:; img-src 'self' data: https:; connect-src 'self' ws: wss:; frame-ancestors 'none'";
/// The page names the files of its own build: a browser asks for it each time.
const ASK_AGAIN: &str = "no-cache";
/// A file whose name carries its hash never changes.
const KEEP: &str = "public, max-age=31536000, immutable";

/// One embedded file, as `build.rs` wrote it down.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    etag: &'static str,
    /// The name carries the content's hash.
    immutable: bool,
    /// `bytes` is the file's gzip.
    gzipped: bool,
    bytes: &'static [u8],
}

/// Sorted by path.
const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/console_assets.rs"));

/// The console's page.
pub fn page() -> Response {
    let Some(asset) = find("index.html") else { return status(StatusCode::NOT_FOUND) };
    let mut response = with_body(asset, false);
    set(&mut response, CONTENT_SECURITY_POLICY, PAGE_POLICY);
    set(&mut response, REFERRER_POLICY, "no-referrer");
    response
}

/// A file of the console, below `/console/`.
pub async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    match find(&path) {
        // The page has one address, and its policy with it.
        None | Some(Asset { path: "index.html", .. }) => status(StatusCode::NOT_FOUND),
        Some(asset) if is_known(asset, &headers) => {
            let mut response = status(StatusCode::NOT_MODIFIED);
            set_caching(&mut response, asset);
            response
        }
        Some(asset) => with_body(asset, takes_gzip(&headers)),
    }
}

fn find(path: &str) -> Option<&'static Asset> {
    let index = ASSETS.binary_search_by(|asset| asset.path.cmp(path)).ok()?;
    ASSETS.get(index)
}

fn with_body(asset: &'static Asset, takes_gzip: bool) -> Response {
    let packed = asset.gzipped && takes_gzip;
    let body = if asset.gzipped && !packed {
        match unpacked(asset.bytes) {
            Ok(bytes) => Body::from(bytes),
            Err(_) => return status(StatusCode::INTERNAL_SERVER_ERROR),
        }
    } else {
        Body::from(asset.bytes)
    };
    let mut response = Response::new(body);
    set(&mut response, CONTENT_TYPE, asset.content_type);
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    if packed {
        set(&mut response, CONTENT_ENCODING, "gzip");
    }
    set_caching(&mut response, asset);
    response
}

fn set_caching(response: &mut Response, asset: &Asset) {
    set(response, CACHE_CONTROL, if asset.immutable { KEEP } else { ASK_AGAIN });
    set(response, VARY, "Accept-Encoding");
    set(response, ETAG, asset.etag);
}

fn unpacked(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain)?;
    Ok(plain)
}

/// The client has this very content already.
fn is_known(asset: &Asset, headers: &HeaderMap) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    tokens(headers, IF_NONE_MATCH).any(|tag| tag == "*" || opaque(tag) == opaque(asset.etag))
}

/// `gzip` or `*` stands in `Accept-Encoding` and is not switched off by a weight of zero.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let weight = |coding: &str| {
        tokens(headers, ACCEPT_ENCODING).find_map(|token| {
            let (name, rest) = token.split_once(';').unwrap_or((token, "q=1"));
            let weight = rest.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
            name.trim().eq_ignore_ascii_case(coding).then(|| weight.unwrap_or(1.0))
        })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

fn set(response: &mut Response, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}

fn status(code: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    async fn body(response: Response) -> Vec<u8> {
        axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()
    }

    #[tokio::test]
    async fn page_carries_the_policy_and_is_asked_for_each_time() {
        let response = page();
        assert_eq!(
            response.headers().get(CONTENT_SECURITY_POLICY).unwrap(),
            "default-src 'none'; script-src 'self'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; font-src \
             'self' data:; img-src 'self' data: https:; connect-src 'self' ws: wss:; frame-ancestors 'none'"
        );
        assert_eq!(response.headers().get(X_CONTENT_TYPE_OPTIONS).unwrap(), "nosniff");
        assert_eq!(response.headers().get(REFERRER_POLICY).unwrap(), "no-referrer");
        assert_eq!(response.headers().get(CACHE_CONTROL).unwrap(), "no-cache");
        assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), "text/html; charset=utf-8");
        assert!(String::from_utf8(body(response).await).unwrap().starts_with("<!doctype html>"));
    }

    #[tokio::test]
    async fn every_file_is_served_packed_and_unpacked_under_one_etag() {
        for file in ASSETS.iter().filter(|file| file.path != "index.html") {
            let packed = asset(Path(file.path.to_owned()), headers(ACCEPT_ENCODING, "gzip, deflate, br")).await;
            let plain = asset(Path(file.path.to_owned()), HeaderMap::new()).await;
            assert_eq!(packed.headers().get(CONTENT_ENCODING).unwrap(), "gzip", "{}", file.path);
            assert_eq!(plain.headers().get(CONTENT_ENCODING), None, "{}", file.path);
            assert_eq!(packed.headers().get(ETAG), plain.headers().get(ETAG), "{}", file.path);
            assert_eq!(unpacked(&body(packed).await).unwrap(), body(plain).await, "{}", file.path);
            let again = asset(Path(file.path.to_owned()), headers(IF_NONE_MATCH, file.etag)).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{}", file.path);
        }
    }

    #[tokio::test]
    async fn every_file_that_the_page_names_is_there_and_kept_forever() {
        let html = String::from_utf8(body(page()).await).unwrap();
        for name in html.split("\"/console/").skip(1).filter_map(|rest| rest.split('"').next()) {
            let response = asset(Path(name.to_owned()), HeaderMap::new()).await;
            assert_eq!(response.status(), StatusCode::OK, "{name}");
            assert_eq!(response.headers().get(CACHE_CONTROL).unwrap(), KEEP, "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_no_file_of_the_console_is_not_found() {
        for path in ["", "index.html", "nothing.js", "../Cargo.toml", "/etc/passwd"] {
            assert_eq!(asset(Path(path.to_owned()), HeaderMap::new()).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn gzip_is_used_only_where_it_is_taken() {
        for (value, expected) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("*", true),
            ("br", false),
            ("gzip;q=0, *", false),
            ("identity", false),
        ] {
            assert_eq!(takes_gzip(&headers(ACCEPT_ENCODING, value)), expected, "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
