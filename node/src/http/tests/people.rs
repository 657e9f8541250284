//! One's own account and those of others.

use axum::http::StatusCode;
use serde_json::json;

use crate::testing::{PASSWORD, World};

#[tokio::test]
async fn anyone_signed_in_sees_the_public_part_of_an_account() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let bob = world.register("bob").await;
    let path = format!("/v1/users/{}", ada["user"]["id"].as_str().expect("an id"));
    let seen = world.ask("GET", &path).by(&bob).send().await;
    assert_eq!(seen.status, StatusCode::OK);
    assert_eq!(seen.body, ada["user"]);
    assert_eq!(world.ask("GET", &path).send().await.code(), "unauthorized");
    for nobody in ["0000000000000", "x", "@you"] {
        let answer = world.ask("GET", &format!("/v1/users/{nobody}")).by(&bob).send().await;
        assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "not_found"), "{nobody}");
    }
}

#[tokio::test]
async fn one_s_own_account_is_changed_field_by_field() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let patch = || world.ask("PATCH", "/v1/users/@me").by(&ada);
    let answer = patch().json(&json!({"display": "Ada"})).await;
    assert_eq!((answer.status, answer.text("display")), (StatusCode::OK, "Ada"));
    let answer = patch().json(&json!({"email": "ada@example.org"})).await;
    assert_eq!((answer.text("display"), answer.text("email")), ("Ada", "ada@example.org"));
    let answer = patch().json(&json!({"email": ""})).await;
    assert_eq!(answer.body["email"], json!(null));
    let cases = [
        (json!({"display": ""}), "display"),
        (json!({"email": "x"}), "email"),
        (json!({"name": "eve"}), "name"),
        (json!({"owner": true}), "owner"),
        (json!({"password": "short", "current_password": PASSWORD}), "password"),
        (json!({"password": "another long one"}), "current_password"),
    ];
    for (body, field) in cases {
        let answer = patch().json(&body).await;
        assert_eq!((answer.code(), answer.field()), ("bad_request", field), "{body}");
    }
    let me = world.ask("GET", "/v1/users/@me").by(&ada).send().await;
    assert_eq!((me.text("name"), me.text("display")), ("ada", "Ada"));
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_signs_other_devices_out() {
    let world = World::new().await;
    let laptop = world.register("ada").await;
    let login = |password: &str| {
        let body = json!({"name": "ada", "password": password});
        let asking = world.ask("POST", "/v1/auth/login");
        async move { asking.json(&body).await }
    };
    let phone = login(PASSWORD).await.body;
    let change = |current: &str| {
        let body = json!({"password": "another long one", "current_password": current});
        let asking = world.ask("PATCH", "/v1/users/@me").by(&laptop);
        async move { asking.json(&body).await }
    };
    let wrong = change("wrong horse battery").await;
    assert_eq!((wrong.code(), wrong.field()), ("forbidden", "current_password"));
    assert_eq!(login(PASSWORD).await.status, StatusCode::OK);
    assert_eq!(change(PASSWORD).await.status, StatusCode::OK);
    let of_phone = world.ask("GET", "/v1/users/@me").by(&phone).send().await;
    assert_eq!(of_phone.code(), "unauthorized");
    let of_laptop = world.ask("GET", "/v1/users/@me").by(&laptop).send().await;
    assert_eq!(of_laptop.status, StatusCode::OK);
    assert_eq!(login(PASSWORD).await.code(), "unauthorized");
    assert_eq!(login("another long one").await.status, StatusCode::OK);
}

#[tokio::test]
async fn requests_of_one_user_are_limited_and_told_so() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let bob = world.register("bob").await;
    let ask = |who| world.ask("GET", "/v1/users/@me").by(who).send();
    let first = ask(&ada).await;
    assert_eq!(first.header("ratelimit-limit"), "600");
    assert_eq!(first.header("ratelimit-remaining"), "599");
    for _ in 0..599 {
        assert_eq!(ask(&ada).await.status, StatusCode::OK);
    }
    let over = ask(&ada).await;
    assert_eq!((over.status, over.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    assert_eq!(over.header("retry-after"), "1");
    assert_eq!(ask(&bob).await.status, StatusCode::OK);
}
