//! Invites over REST.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::rooms::{Lab, id_of};

#[tokio::test]
async fn an_invite_leads_into_a_closed_community_as_often_as_it_says() {
    let lab = Lab::new().await;
    let closed = lab.world.ask("PATCH", &lab.path("")).by(&lab.ada).json(&json!({"public": false})).await;
    assert_eq!(closed.status, StatusCode::OK);
    let (eve, joe) = (lab.world.register("eve").await, lab.world.register("joe").await);
    assert_eq!(lab.world.ask("PUT", &lab.path("/members/@me")).by(&eve).send().await.code(), "not_found");
    let body = json!({"max_uses": 1, "expires_in_s": 3600});
    let made = lab.world.ask("POST", &lab.path("/invites")).by(&lab.ada).json(&body).await;
    assert_eq!(
        (made.status, &made.body["uses"], &made.body["max_uses"]),
        (StatusCode::CREATED, &json!(0), &json!(1))
    );
    let path = format!("/v1/invites/{}", made.text("code"));
    let preview = lab.world.ask("GET", &path).send().await;
    assert_eq!(preview.body["community"]["name"], "Lab", "{:?}", preview.body);
    assert_eq!(lab.world.ask("POST", &path).send().await.code(), "unauthorized");
    let own = lab.world.ask("POST", &path).by(&lab.ada).send().await;
    assert_eq!(own.status, StatusCode::OK, "a member uses nothing up");
    for _ in 0..2 {
        let joined = lab.world.ask("POST", &path).by(&eve).send().await;
        assert_eq!((joined.status, &joined.body["rooms"][0]["name"]), (StatusCode::OK, &json!("general")));
    }
    for method in ["GET", "POST"] {
        let answer = lab.world.ask(method, &path).by(&joe).send().await;
        assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "not_found"), "used up");
        let answer = lab.world.ask(method, "/v1/invites/nothing").by(&joe).send().await;
        assert_eq!(answer.code(), "not_found");
    }
}

#[tokio::test]
async fn invites_are_listed_and_revoked_by_their_makers_and_managers() {
    let lab = Lab::new().await;
    let make = |by: &Value| lab.world.ask("POST", &lab.path("/invites")).by(by).send();
    let (of_ada, of_bob) = (make(&lab.ada).await, make(&lab.bob).await);
    assert_eq!((of_ada.status, of_bob.status), (StatusCode::CREATED, StatusCode::CREATED), "{:?}", of_bob.body);
    assert_eq!(of_bob.text("by"), id_of(&lab.bob));
    let list = |by: &Value, query: &str| lab.world.ask("GET", &lab.path(&format!("/invites{query}"))).by(by).send();
    let own = list(&lab.bob, "").await;
    assert_eq!(own.body["items"], json!([of_bob.body]));
    let first = list(&lab.ada, "?limit=1").await;
    let rest = list(&lab.ada, &format!("?limit=1&cursor={}", first.text("next"))).await;
    assert_eq!((first.body["items"].as_array().map(Vec::len), &rest.body["next"]), (Some(1), &Value::Null));
    assert_ne!(first.body["items"], rest.body["items"]);
    let revoke =
        |by: &Value, code: &str| lab.world.ask("DELETE", &lab.path(&format!("/invites/{code}"))).by(by).send();
    assert_eq!(revoke(&lab.bob, of_ada.text("code")).await.code(), "forbidden");
    assert_eq!(revoke(&lab.ada, of_bob.text("code")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(revoke(&lab.ada, of_bob.text("code")).await.code(), "not_found");
    let eve = lab.world.register("eve").await;
    assert_eq!(make(&eve).await.code(), "forbidden");
    for (body, field) in [
        (json!({"max_uses": 0}), "max_uses"),
        (json!({"expires_in_s": 0}), "expires_in_s"),
        (json!({"roles": ["x"]}), "roles"),
        (json!({"uses": 3}), "uses"),
    ] {
        let answer = lab.world.ask("POST", &lab.path("/invites")).by(&lab.ada).json(&body).await;
        assert_eq!((answer.code(), answer.field()), ("bad_request", field), "{body}");
    }
}
