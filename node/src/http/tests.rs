//! The description of the interface, held against the router, and what is true of every request.

mod clusters;
mod communities;
mod invites;
mod messages;
mod operators;
mod people;
mod rooms;
mod sessions;
mod signing_in;

use std::{collections::BTreeSet, fs, path::Path};

use axum::http::StatusCode;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{error::ApiResult, *};
use crate::testing::World;

fn described() -> Vec<(String, String)> {
    let api = serde_json::to_value(openapi()).expect("plain data");
    let paths = api["paths"].as_object().expect("paths").clone();
    let mut routes = Vec::new();
    for (path, methods) in paths {
        for method in methods.as_object().expect("methods").keys() {
            routes.push((method.to_uppercase(), path.clone()));
        }
    }
    routes
}

/// A path with every parameter filled by something that cannot exist.
fn filled(path: &str) -> String {
    let part = |part: &str| {
        let parameter = part.starts_with('{');
        if parameter { "0000000000000".to_owned() } else { part.to_owned() }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[test]
fn the_interface_describes_itself_as_openapi_3_1() {
    let api = serde_json::to_value(openapi()).expect("plain data");
    assert!(api["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")));
    let login = &api["paths"]["/v1/auth/login"]["post"];
    assert!(login["requestBody"]["content"]["application/json"]["schema"].is_object());
    assert!(api["components"]["schemas"]["Refusal"].is_object());
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let api = serde_json::to_value(openapi()).expect("plain data");
    let mut found = BTreeSet::new();
    references(&api, &mut found);
    assert!(found.len() > 10, "{found:?}");
    for reference in found {
        let pointer = reference.trim_start_matches('#');
        assert!(api.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn every_described_route_is_there() {
    let world = World::with(crate::auth::Registration::Open, false).await;
    let published = world.ask("GET", "/v1/openapi.json").send().await;
    assert_eq!(published.status, StatusCode::OK);
    assert_eq!(published.body, serde_json::to_value(openapi()).expect("plain data"));
    for (method, path) in described() {
        let answer = world.ask(&method, &filled(&path)).send().await;
        let missing = answer.status == StatusCode::METHOD_NOT_ALLOWED
            || answer.body["error"]["message"]
                .as_str()
                .is_some_and(|message| message.starts_with("there is nothing at"));
        assert!(!missing, "{method} {path}: {:?}", answer.body);
    }
}

/// `OpenApiRouter::route` would add a route that the description does not tell of.
#[test]
fn no_route_is_there_that_is_not_described() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let mut read = 0;
    for entry in fs::read_dir(files).expect("our own sources") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|kind| kind != "rs") || path.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("our own source");
        for way in [".route(", ".route_service(", ".nest_service(", ".nest("] {
            assert!(!text.contains(way), "{} uses {way}", path.display());
        }
        read += 1;
    }
    assert!(read > 10);
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_refused_in_our_shape() {
    let world = World::new().await;
    for path in ["/v1/nothing", "/v1/auth/login/", "/v1//auth", "/v2/auth/login"] {
        let answer = world.ask("GET", path).send().await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.code(), "not_found");
        assert_eq!(answer.body["error"]["retryable"], false);
    }
    let answer = world.ask("PUT", "/v1/auth/login").send().await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.code(), "bad_request");
    assert_eq!(answer.header("allow"), "POST");
}

#[tokio::test]
async fn every_answer_has_a_number_and_is_kept_by_nobody() {
    let world = World::new().await;
    let one = world.ask("GET", "/v1/users/@me").send().await;
    let two = world.ask("GET", "/v1/nothing").send().await;
    for answer in [&one, &two] {
        assert_eq!(answer.header("x-request-id").len(), 16);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_and_say_why() {
    let world = World::with(crate::auth::Registration::Open, false).await;
    let login = || world.ask("POST", "/v1/auth/login");
    for bad in ["", "{", "[]", "null", "\"x\"", "{\"name\":\"a\"", "\u{0}\u{1}"] {
        let answer = login().raw(bad).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(answer.code(), "bad_request");
    }
    let answer = login().raw(&b"\xff\xfe{"[..]).await;
    assert_eq!(answer.code(), "bad_request");
    let deep = "[".repeat(100_000);
    assert_eq!(login().raw(deep).await.code(), "bad_request");
    let answer = login().json(&json!({"name": "ada"})).await;
    assert_eq!(answer.field(), "password");
    let answer = login().json(&json!({"name": "a", "password": 7})).await;
    assert_eq!(answer.field(), "password");
    let body = json!({"name": "a", "password": "b", "admin": true});
    assert_eq!(login().json(&body).await.field(), "admin");
    let plain = login().header("content-type", "text/plain").send().await;
    assert_eq!((plain.status, plain.code()), (StatusCode::BAD_REQUEST, "bad_request"));
    let large = json!({"name": "a", "password": "x".repeat(body::BODY_BYTES_MAX)});
    let answer = login().json(&large).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
}

#[tokio::test]
async fn a_handler_that_panics_answers_internal() {
    async fn boom() -> ApiResult<()> {
        panic!("secret detail")
    }
    let router = Router::new().route("/boom", axum::routing::get(boom));
    let router: Router = router.layer(CatchPanicLayer::custom(guard::panicked));
    let request = axum::extract::Request::get("/boom");
    let request = request.body(axum::body::Body::empty()).expect("a request");
    let response = router.oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let bytes = axum::body::to_bytes(response.into_body(), 1_000).await.expect("a body");
    let body: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(body["error"]["code"], "internal");
    assert!(!body.to_string().contains("secret"));
}

#[tokio::test]
async fn a_store_that_does_not_answer_makes_requests_unavailable() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    world.store.faults().fail_reads(true);
    let answer = world.ask("GET", "/v1/users/@me").by(&ada).send().await;
    assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(answer.body["error"]["retryable"], true);
    assert_eq!(answer.header("retry-after"), "1");
    world.store.faults().fail_reads(false);
    let answer = world.ask("GET", "/v1/users/@me").by(&ada).send().await;
    assert_eq!(answer.status, StatusCode::OK);
}
