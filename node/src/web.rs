//! The web page, embedded: a node serves it without any file beside its program.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest, Sha256};

/// What a page of ours may do: load from here, connect to here, and nothing else.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; \
                      frame-ancestors 'none'; base-uri 'none'";

/// One file of the page.
#[derive(Debug, Clone, Copy)]
struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! asset {
    ($path:literal, $kind:literal, $file:literal) => {
        Asset { path: $path, kind: $kind, bytes: include_bytes!(concat!("../../web/first/", $file)) }
    };
}

const HTML: &str = "text/html; charset=utf-8";
const ASSETS: &[Asset] = &[
    asset!("/", "text/html; charset=utf-8", "index.html"),
    asset!("/setup", "text/html; charset=utf-8", "setup.html"),
    asset!("/style.css", "text/css; charset=utf-8", "style.css"),
    asset!("/js/api.js", "text/javascript; charset=utf-8", "js/api.js"),
    asset!("/js/app.js", "text/javascript; charset=utf-8", "js/app.js"),
    asset!("/js/connection.js", "text/javascript; charset=utf-8", "js/connection.js"),
    asset!("/js/dom.js", "text/javascript; charset=utf-8", "js/dom.js"),
    asset!("/js/feed.js", "text/javascript; charset=utf-8", "js/feed.js"),
    asset!("/js/forms.js", "text/javascript; charset=utf-8", "js/forms.js"),
    asset!("/js/messages.js", "text/javascript; charset=utf-8", "js/messages.js"),
    asset!("/js/rooms.js", "text/javascript; charset=utf-8", "js/rooms.js"),
    asset!("/js/session.js", "text/javascript; charset=utf-8", "js/session.js"),
];

/// The routes of the page.
pub fn router() -> Router {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        let tag = format!("\"{}\"", hex(&Sha256::digest(asset.bytes)[..8]));
        router.route(asset.path, get(serve).with_state((*asset, tag)))
    })
}

async fn serve(State((asset, tag)): State<(Asset, String)>, headers: HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, asset.kind)], asset.bytes).into_response()
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if asset.kind == HTML {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    response
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::ASSETS;

    fn names(folder: &Path) -> BTreeSet<String> {
        let files = fs::read_dir(folder).expect("the page's folder").map(|file| file.expect("a file").path());
        files.filter(|path| path.is_file()).map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn every_file_of_the_page_is_served() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/first");
        let there = names(&page.join("js")).len() + names(&page).len();
        assert_eq!(ASSETS.len(), there);
        let paths: BTreeSet<&str> = ASSETS.iter().map(|asset| asset.path).collect();
        assert_eq!(paths.len(), ASSETS.len(), "each under its own path");
    }
}
