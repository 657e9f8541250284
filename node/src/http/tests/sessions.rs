//! Sessions: refreshed, listed, ended, and carried by cookies.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::testing::{Answer, PASSWORD, World};

async fn refresh(world: &World, token: &Value) -> Answer {
    let body = json!({"refresh_token": token});
    world.ask("POST", "/v1/auth/refresh").json(&body).await
}

async fn me(world: &World, signed_in: &Value) -> Answer {
    world.ask("GET", "/v1/users/@me").by(signed_in).send().await
}

/// The id of the session that asks.
async fn current(world: &World, signed_in: &Value) -> String {
    let answer = world.ask("GET", "/v1/auth/sessions").by(signed_in).send().await;
    let sessions = answer.body["items"].as_array().expect("a list").clone();
    let current = sessions.into_iter().find(|session| session["current"] == true);
    let current = current.expect("the session that asks is listed");
    current["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_refresh_token_is_replaced_at_each_use() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let sid = current(&world, &ada).await;
    world.clock.advance(Duration::from_secs(800));
    let one = refresh(&world, &ada["refresh_token"]).await;
    assert_eq!(one.status, StatusCode::OK);
    assert_ne!(one.body["refresh_token"], ada["refresh_token"]);
    assert_ne!(one.body["access_token"], ada["access_token"]);
    assert_eq!(current(&world, &one.body).await, sid, "it is the same session");
    world.clock.advance(Duration::from_secs(800));
    assert_eq!(me(&world, &ada).await.code(), "unauthorized", "the first has expired");
    let two = refresh(&world, &one.body["refresh_token"]).await;
    assert_eq!(two.status, StatusCode::OK);
    assert_eq!(me(&world, &two.body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_token_just_used_gives_the_same_answer_for_30_seconds() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    world.clock.advance(Duration::from_secs(1));
    let first = refresh(&world, &ada["refresh_token"]).await;
    world.clock.advance(Duration::from_secs(30));
    let repeat = refresh(&world, &ada["refresh_token"]).await;
    assert_eq!(repeat.status, StatusCode::OK);
    assert_eq!(repeat.body, first.body);
    let elsewhere = world.restarted().await;
    let repeat = refresh(&elsewhere, &ada["refresh_token"]).await;
    assert_eq!(repeat.body, first.body, "on any node, and after a restart");
    assert_eq!(refresh(&world, &first.body["refresh_token"]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn two_who_refresh_at_once_get_the_same_answer() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let (one, two) = tokio::join!(refresh(&world, &ada["refresh_token"]), refresh(&world, &ada["refresh_token"]),);
    assert_eq!(one.status, StatusCode::OK);
    assert_eq!(one.body, two.body);
}

#[tokio::test]
async fn a_used_refresh_token_that_comes_back_later_signs_the_device_out() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let sid = current(&world, &ada).await;
    let one = refresh(&world, &ada["refresh_token"]).await.body;
    world.clock.advance(Duration::from_millis(30_001));
    assert_eq!(me(&world, &one).await.status, StatusCode::OK);
    let thief = refresh(&world, &ada["refresh_token"]).await;
    assert_eq!((thief.status, thief.code()), (StatusCode::UNAUTHORIZED, "unauthorized"));
    assert_eq!(me(&world, &one).await.code(), "unauthorized");
    assert_eq!(refresh(&world, &one["refresh_token"]).await.code(), "unauthorized");
    assert!(world.signed_out.has(&sid), "its sockets are closed");
}

#[tokio::test]
async fn a_token_two_generations_old_signs_the_device_out_at_once() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let one = refresh(&world, &ada["refresh_token"]).await.body;
    let two = refresh(&world, &one["refresh_token"]).await.body;
    assert_eq!(refresh(&world, &ada["refresh_token"]).await.code(), "unauthorized");
    assert_eq!(refresh(&world, &two["refresh_token"]).await.code(), "unauthorized");
}

#[tokio::test]
async fn a_made_up_refresh_token_harms_nobody() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let real = ada["refresh_token"].as_str().expect("a token");
    let (sid, secret) = real.split_once('.').expect("two parts");
    let forged = format!("{sid}.{}", secret.chars().rev().collect::<String>());
    for made_up in ["", "x", &forged, &format!("0000000000000.{secret}")] {
        let answer = refresh(&world, &json!(made_up)).await;
        assert_eq!(answer.code(), "unauthorized", "{made_up}");
    }
    let nothing = world.ask("POST", "/v1/auth/refresh").send().await;
    assert_eq!((nothing.code(), nothing.field()), ("bad_request", "refresh_token"));
    assert_eq!(refresh(&world, &ada["refresh_token"]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_refresh_token_lasts_30_days_from_its_last_use() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let day = Duration::from_secs(24 * 3_600);
    world.clock.advance(day * 29);
    let one = refresh(&world, &ada["refresh_token"]).await;
    assert_eq!(one.status, StatusCode::OK);
    world.clock.advance(day * 29);
    let two = refresh(&world, &one.body["refresh_token"]).await;
    assert_eq!(two.status, StatusCode::OK, "signing keys have been replaced meanwhile");
    assert_eq!(me(&world, &two.body).await.status, StatusCode::OK);
    world.clock.advance(day * 30);
    assert_eq!(refresh(&world, &two.body["refresh_token"]).await.code(), "unauthorized");
}

#[tokio::test]
async fn logging_out_ends_this_session_alone_at_once() {
    let world = World::new().await;
    let laptop = world.register("ada").await;
    let body = json!({"name": "ada", "password": PASSWORD});
    let phone = world.ask("POST", "/v1/auth/login").json(&body).await.body;
    let sid = current(&world, &laptop).await;
    assert_eq!(me(&world, &laptop).await.status, StatusCode::OK);
    let answer = world.ask("POST", "/v1/auth/logout").by(&laptop).send().await;
    assert_eq!((answer.status, &answer.body), (StatusCode::NO_CONTENT, &Value::Null));
    assert_eq!(me(&world, &laptop).await.code(), "unauthorized");
    assert_eq!(refresh(&world, &laptop["refresh_token"]).await.code(), "unauthorized");
    assert!(world.signed_out.has(&sid));
    assert_eq!(me(&world, &phone).await.status, StatusCode::OK);
    let elsewhere = world.restarted().await;
    assert_eq!(me(&elsewhere, &laptop).await.code(), "unauthorized", "a restart forgets nothing");
    assert_eq!(me(&elsewhere, &phone).await.status, StatusCode::OK);
}

#[tokio::test]
async fn one_s_devices_are_listed_and_can_be_signed_out_but_not_those_of_others() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let bob = world.register("bob").await;
    let body = json!({"name": "ada", "password": PASSWORD});
    world.clock.advance(Duration::from_secs(1));
    let login = world.ask("POST", "/v1/auth/login").header("user-agent", "Phone/1");
    let phone = login.json(&body).await.body;
    let list = world.ask("GET", "/v1/auth/sessions").by(&ada).send().await;
    let items = list.body["items"].as_array().expect("a list");
    assert_eq!(items.len(), 2);
    assert_eq!(list.body["next"], Value::Null);
    assert_eq!((&items[0]["device"], &items[0]["current"]), (&json!("Phone/1"), &json!(false)));
    assert_eq!(items[1]["current"], true);
    let id = items[0]["id"].as_str().expect("an id");
    let path = format!("/v1/auth/sessions/{id}");
    let by_bob = world.ask("DELETE", &path).by(&bob).send().await;
    assert_eq!((by_bob.status, by_bob.code()), (StatusCode::NOT_FOUND, "not_found"));
    assert_eq!(me(&world, &phone).await.status, StatusCode::OK);
    let by_ada = world.ask("DELETE", &path).by(&ada).send().await;
    assert_eq!(by_ada.status, StatusCode::NO_CONTENT);
    assert_eq!(me(&world, &phone).await.code(), "unauthorized");
    assert!(world.signed_out.has(id));
    let again = world.ask("DELETE", &path).by(&ada).send().await;
    assert_eq!(again.code(), "not_found");
    let nonsense = world.ask("DELETE", "/v1/auth/sessions/x").by(&ada).send().await;
    assert_eq!(nonsense.code(), "not_found");
}

#[tokio::test]
async fn requests_without_a_good_token_are_refused() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let token = ada["access_token"].as_str().expect("a token");
    let bad = ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer x.y.z", &format!("Bearer {token}x"), token];
    for value in bad {
        let answer = world.ask("GET", "/v1/users/@me").header("authorization", value).send().await;
        assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "unauthorized"), "{value}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let lower = world.ask("GET", "/v1/users/@me");
    let lower = lower.header("authorization", &format!("bearer {token}")).send().await;
    assert_eq!(lower.status, StatusCode::OK, "schemes have no case");
    world.clock.advance(Duration::from_secs(900));
    assert_eq!(me(&world, &ada).await.code(), "unauthorized");
}

#[tokio::test]
async fn our_page_is_signed_in_by_cookies_that_other_sites_cannot_use() {
    let world = World::new().await;
    world.register("ada").await;
    let body = json!({"name": "ada", "password": PASSWORD});
    let login = world.ask("POST", "/v1/auth/login").header("x-csrf", "1").json(&body).await;
    assert_eq!(login.text("refresh_token"), "", "no script of the page holds it");
    let access = login.cookie("hubbub_access").expect("a cookie");
    let refresh = login.cookie("hubbub_refresh").expect("a cookie");
    let cookies = format!("hubbub_access={access}; hubbub_refresh={refresh}");
    let ask = |method: &str, path: &str| world.ask(method, path).header("cookie", &cookies);
    let read = ask("GET", "/v1/users/@me").send().await;
    assert_eq!(read.status, StatusCode::OK);
    for path in ["/v1/auth/logout", "/v1/auth/refresh"] {
        let forged = ask("POST", path).send().await;
        assert_eq!((forged.status, forged.code()), (StatusCode::FORBIDDEN, "forbidden"), "{path}");
    }
    let fresh = ask("POST", "/v1/auth/refresh").header("x-csrf", "1").send().await;
    assert_eq!(fresh.status, StatusCode::OK);
    assert_ne!(fresh.cookie("hubbub_refresh"), Some(refresh));
    let out = ask("POST", "/v1/auth/logout").header("x-csrf", "1").send().await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(out.cookie("hubbub_access").as_deref(), Some(""));
}

#[tokio::test]
async fn the_published_keys_verify_our_tokens() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let token = ada["access_token"].as_str().expect("a token");
    let jwks = world.ask("GET", "/v1/.well-known/jwks.json").send().await;
    assert_eq!(jwks.status, StatusCode::OK);
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(jwks.body).expect("a JWK set");
    let header = jsonwebtoken::decode_header(token).expect("a JWT");
    let jwk = set.find(&header.kid.expect("a key id")).expect("the key is published");
    let key = jsonwebtoken::DecodingKey::from_jwk(jwk).expect("a key");
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    rules.set_audience(&["hubbub"]);
    rules.validate_exp = false;
    let claims = jsonwebtoken::decode::<Value>(token, &key, &rules).expect("it verifies").claims;
    assert_eq!(claims["sub"], ada["user"]["id"]);
    assert_eq!(claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat"), 900);
}
