//! Registering, signing in, and setting an installation up.

use std::time::Duration;

use axum::http::StatusCode;
use hubbub_storage::{MetaStore, mem::AppendFault};
use serde_json::{Value, json};

use crate::{
    auth::Registration,
    testing::{PASSWORD, World},
};

#[tokio::test]
async fn who_registers_is_signed_in() {
    let world = World::new().await;
    let body = json!({"name": "ada", "password": PASSWORD, "display": " Ada L. ", "email": "a@b.c"});
    let answer = world.ask("POST", "/v1/auth/register").json(&body).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.body["user"]["name"], "ada");
    assert_eq!(answer.body["user"]["display"], "Ada L.");
    assert_eq!(answer.body["user"]["avatar"], json!(null));
    assert!(answer.body["user"].get("email").is_none(), "others see no mail address");
    assert_eq!(answer.body["expires_in"], 900);
    let me = world.ask("GET", "/v1/users/@me").by(&answer.body).send().await;
    assert_eq!(me.status, StatusCode::OK);
    assert_eq!(me.text("email"), "a@b.c");
    assert_eq!(me.body["owner"], false);
}

#[tokio::test]
async fn a_bad_name_password_or_address_is_refused_by_field() {
    let world = World::with(Registration::Open, false).await;
    let cases = [
        (json!({"name": "Ada", "password": PASSWORD}), "name"),
        (json!({"name": "ab", "password": PASSWORD}), "name"),
        (json!({"name": "ada", "password": "123456789"}), "password"),
        (json!({"name": "ada", "password": "x".repeat(257)}), "password"),
        (json!({"name": "ada", "password": PASSWORD, "email": "nobody"}), "email"),
        (json!({"name": "ada", "password": PASSWORD, "display": " "}), "display"),
        (json!({"name": "ada", "password": PASSWORD, "owner": true}), "owner"),
    ];
    for (body, field) in cases {
        let answer = world.ask("POST", "/v1/auth/register").json(&body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!((answer.code(), answer.field()), ("bad_request", field));
    }
}

#[tokio::test]
async fn a_taken_name_is_a_conflict() {
    let world = World::new().await;
    world.register("ada").await;
    let body = json!({"name": "ada", "password": PASSWORD});
    let answer = world.ask("POST", "/v1/auth/register").json(&body).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::CONFLICT, "conflict"));
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_are_answered_alike() {
    let world = World::new().await;
    world.register("ada").await;
    let login = |name: &str, password: &str| {
        let body = json!({"name": name, "password": password});
        let asking = world.ask("POST", "/v1/auth/login");
        async move { asking.json(&body).await }
    };
    let wrong_password = login("ada", "wrong horse battery").await;
    let wrong_name = login("nobody", PASSWORD).await;
    let nonsense = login("\u{0}/../", "").await;
    for answer in [&wrong_password, &wrong_name, &nonsense] {
        assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "unauthorized"));
        assert_eq!(answer.body, wrong_password.body);
    }
    let right = login("ADA", PASSWORD).await;
    assert_eq!(right.status, StatusCode::OK, "case does not matter when signing in");
    assert_eq!(right.body["user"]["name"], "ada");
}

#[tokio::test]
async fn registration_can_be_closed_or_ask_for_an_invite() {
    let body = json!({"name": "ada", "password": PASSWORD});
    for mode in [Registration::Closed, Registration::Invite] {
        let world = World::with(mode, true).await;
        let answer = world.ask("POST", "/v1/auth/register").json(&body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{mode:?}");
        assert_eq!(answer.code(), "registration_closed");
        let made_up = json!({"name": "ada", "password": PASSWORD, "invite": "made-up"});
        let answer = world.ask("POST", "/v1/auth/register").json(&made_up).await;
        assert_eq!(answer.code(), "registration_closed", "{mode:?}");
    }
}

/// Makes a community and an invite into it; gives the community's id and the code.
async fn invite(world: &World, owner: &Value, max_uses: u32) -> (String, String) {
    let club = world.ask("POST", "/v1/communities").by(owner).json(&json!({"name": "club"})).await;
    let id = club.text("id").to_owned();
    let path = format!("/v1/communities/{id}/invites");
    let invite = world.ask("POST", &path).by(owner).json(&json!({"max_uses": max_uses})).await;
    assert_eq!(invite.status, StatusCode::CREATED, "{:?}", invite.body);
    (id, invite.text("code").to_owned())
}

#[tokio::test]
async fn an_invite_lets_one_register_and_join_as_often_as_it_says() {
    let world = World::with(Registration::Invite, true).await;
    let owner = world.owner("root").await;
    let (community, code) = invite(&world, &owner, 1).await;
    let register = |name: &str| {
        let body = json!({"name": name, "password": PASSWORD, "invite": code});
        let asking = world.ask("POST", "/v1/auth/register");
        async move { asking.json(&body).await }
    };
    let taken = register("root").await;
    assert_eq!(taken.code(), "conflict", "a taken name does not use the invite up");
    let ada = register("ada").await;
    assert_eq!(ada.status, StatusCode::CREATED, "{:?}", ada.body);
    let seen = world.ask("GET", &format!("/v1/communities/{community}")).by(&ada.body).send().await;
    assert_eq!(seen.body["member_count"], 2, "the invite joins its community");
    let late = register("bob").await;
    assert_eq!((late.code(), late.field()), ("registration_closed", "invite"));
}

#[tokio::test]
async fn a_registration_that_fails_leaves_its_invite_unused() {
    let world = World::with(Registration::Invite, false).await;
    let owner = world.owner("root").await;
    let (_, code) = invite(&world, &owner, 2).await;
    let uses = async || world.store.invite(&code).await.expect("a read").expect("an invite").uses;
    let register = |name: &str| {
        let body = json!({"name": name, "password": PASSWORD, "invite": code});
        let asking = world.ask("POST", "/v1/auth/register");
        async move { asking.json(&body).await }
    };
    let (one, other) = tokio::join!(register("ada"), register("ada"));
    let mut statuses = [one.status, other.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::CREATED, StatusCode::CONFLICT], "one name, asked for twice at once");
    assert_eq!(uses().await, 1);

    world.store.faults().next_append(AppendFault::TakenOver);
    let lost = register("bob").await;
    assert_eq!((lost.status, lost.code()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(uses().await, 1, "bob has an account and is in no community");
    let login = world.ask("POST", "/v1/auth/login").json(&json!({"name": "bob", "password": PASSWORD})).await;
    let joined = world.ask("POST", &format!("/v1/invites/{code}")).by(&login.body).send().await;
    assert_eq!(joined.status, StatusCode::OK, "{:?}", joined.body);
    assert_eq!(uses().await, 2);
}

#[tokio::test]
async fn the_set_up_token_makes_one_owner_and_is_gone() {
    let world = World::with(Registration::Closed, true).await;
    let token = world.app.auth.setup_token().await.expect("the store works");
    let token = token.expect("there is no owner yet");
    let again = world.restarted().await.app.auth.setup_token().await;
    assert_eq!(again.expect("the store works").as_deref(), Some(token.as_str()));
    let set_up = |token: &str, name: &str, password: &str| {
        let body = json!({"token": token, "name": name, "password": password});
        let asking = world.ask("POST", "/v1/setup");
        async move { asking.json(&body).await }
    };
    for wrong in ["", "wrong", &token[1..]] {
        let answer = set_up(wrong, "root", PASSWORD).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "unauthorized"));
    }
    assert_eq!(set_up(&token, "root", "short").await.field(), "password");
    let (one, two) = tokio::join!(set_up(&token, "root", PASSWORD), set_up(&token, "rival", PASSWORD));
    let made = [&one, &two].map(|answer| answer.status == StatusCode::CREATED);
    assert!(made[0] ^ made[1], "one owner: {:?} {:?}", one.body, two.body);
    let me = if made[0] { &one.body } else { &two.body };
    let me = world.ask("GET", "/v1/users/@me").by(me).send().await;
    assert_eq!(me.body["owner"], true);
    assert_eq!(set_up(&token, "third", PASSWORD).await.code(), "unauthorized");
    let later = world.restarted().await.app.auth.setup_token().await;
    assert_eq!(later.expect("the store works"), None);
}

#[tokio::test]
async fn a_set_up_that_fails_can_be_tried_again() {
    let world = World::with(Registration::Open, true).await;
    world.register("root").await;
    let token = world.app.auth.setup_token().await.expect("the store works");
    let token = token.expect("there is no owner yet");
    let body = json!({"token": token, "name": "root", "password": PASSWORD});
    let answer = world.ask("POST", "/v1/setup").json(&body).await;
    assert_eq!(answer.code(), "conflict");
    let body = json!({"token": token, "name": "root2", "password": PASSWORD});
    let answer = world.ask("POST", "/v1/setup").json(&body).await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[tokio::test]
async fn guessing_at_a_password_is_slowed_down_and_told_so() {
    let world = World::new().await;
    world.register("ada").await;
    let guess = |address: &str| {
        let asking = world.ask("POST", "/v1/auth/login").at(address);
        async move { asking.json(&json!({"name": "ada", "password": "wrong"})).await }
    };
    for left in (0..10).rev() {
        let answer = guess("192.0.2.7").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.header("ratelimit-limit"), "10");
        assert_eq!(answer.header("ratelimit-remaining"), left.to_string());
    }
    let answer = guess("192.0.2.7").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    assert_eq!(answer.body["error"]["retryable"], true);
    assert_eq!(answer.body["error"]["retry_after_ms"], 6_000);
    assert_eq!(answer.header("retry-after"), "6");
    assert_eq!(answer.header("ratelimit-remaining"), "0");
    assert_eq!(answer.header("ratelimit-reset"), "60");
    assert_eq!(guess("192.0.2.8").await.status, StatusCode::UNAUTHORIZED, "others are not");
    world.clock.advance(Duration::from_secs(6));
    assert_eq!(guess("192.0.2.7").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn limits_that_are_off_are_not_told_of() {
    let world = World::with(Registration::Open, false).await;
    let body = json!({"name": "nobody", "password": "wrong"});
    for _ in 0..12 {
        let answer = world.ask("POST", "/v1/auth/login").json(&body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.header("ratelimit-limit"), "");
    }
}
