//! The operator's interface, for owners and over the node's own socket.

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use hubbub_protocol::{error::ErrorCode, ids::RoomId, room::RoomKind, time::Timestamp};
use hubbub_storage::{Effect, MetaStore, facts::Room};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    http::over_socket,
    testing::{PASSWORD, World},
};

use super::rooms::{Lab, id_of};

const PATHS: [&str; 10] = [
    "/v1/admin/log-level",
    "/v1/admin/users",
    "/v1/admin/nodes",
    "/v1/admin/shards",
    "/v1/admin/settings",
    "/v1/admin/rooms/0000000000000/where",
    "/v1/admin/supervisors",
    "/v1/admin/rooms/hot",
    "/v1/admin/rooms/0000000000000/actors",
    "/v1/admin/users/0000000000000/actors",
];

#[tokio::test]
async fn only_owners_are_operators_on_the_public_listener() {
    let world = World::new().await;
    let root = world.owner("root").await;
    let ada = world.register("ada").await;
    for path in PATHS {
        let anonymous = world.ask("GET", path).send().await;
        assert_eq!(anonymous.code(), "unauthorized", "{path}");
        let member = world.ask("GET", path).by(&ada).send().await;
        assert_eq!((member.status, member.code()), (StatusCode::FORBIDDEN, "forbidden"), "{path}");
        let owner = world.ask("GET", path).by(&root).send().await;
        let wanted = if path.ends_with("where") { StatusCode::NOT_FOUND } else { StatusCode::OK };
        assert_eq!(owner.status, wanted, "{path}");
    }
    let body = json!({"name": "eve", "owner": true});
    let answer = world.ask("POST", "/v1/admin/users").by(&ada).json(&body).await;
    assert_eq!(answer.code(), "forbidden");
}

#[tokio::test]
async fn whoever_reaches_the_socket_is_an_operator() {
    let world = World::new().await;
    let router = over_socket(&world.app);
    for path in PATHS {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = router.clone().oneshot(request).await.expect("an answer");
        assert_ne!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        let bytes = to_bytes(answer.into_body(), 1_000_000).await.expect("a body");
        assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
    }
}

#[tokio::test]
async fn an_operator_makes_lists_and_disables_accounts() {
    let world = World::with(crate::auth::Registration::Closed, true).await;
    let root = world.owner("root").await;
    let create = |body: Value| {
        let asking = world.ask("POST", "/v1/admin/users").by(&root);
        async move { asking.json(&body).await }
    };
    let ada = create(json!({"name": "ada", "password": PASSWORD, "email": "a@b.c"})).await;
    assert_eq!(ada.status, StatusCode::CREATED);
    assert_eq!((ada.text("name"), ada.text("email")), ("ada", "a@b.c"));
    let bot = create(json!({"name": "bot"})).await;
    assert_eq!(bot.status, StatusCode::CREATED, "an account needs no password");
    assert_eq!(create(json!({"name": "ada"})).await.code(), "conflict");
    assert_eq!(create(json!({"name": "x"})).await.field(), "name");
    let by_password = json!({"name": "bot", "password": ""});
    let by_password = world.ask("POST", "/v1/auth/login").json(&by_password).await;
    assert_eq!(by_password.code(), "unauthorized");

    let list = |query: &str| world.ask("GET", &format!("/v1/admin/users{query}")).by(&root).send();
    let first = list("?limit=2").await;
    assert_eq!(first.body["items"].as_array().map(Vec::len), Some(2));
    let rest = list(&format!("?limit=2&cursor={}", first.text("next"))).await;
    assert_eq!(rest.body["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(rest.body["next"], Value::Null);
    assert_eq!(list("?name=ada").await.body["items"][0]["id"], ada.body["id"]);
    assert_eq!(list("?name=nobody").await.body["items"], json!([]));
    assert_eq!(list("?limit=101").await.field(), "limit");
    assert_eq!(list("?cursor=x").await.field(), "cursor");

    let login = json!({"name": "ada", "password": PASSWORD});
    let signed_in = world.ask("POST", "/v1/auth/login").json(&login).await.body;
    let sessions = world.ask("GET", "/v1/auth/sessions").by(&signed_in).send().await;
    let sid = sessions.body["items"][0]["id"].as_str().expect("an id");
    let path = format!("/v1/admin/users/{}/disable", ada.text("id"));
    let disabled = world.ask("POST", &path).by(&root).send().await;
    assert_eq!((disabled.status, &disabled.body["disabled"]), (StatusCode::OK, &json!(true)));
    let me = world.ask("GET", "/v1/users/@me").by(&signed_in).send().await;
    assert_eq!(me.code(), "unauthorized", "its tokens end at once");
    assert!(world.signed_out.has(sid), "its sockets are closed");
    let refresh = json!({"refresh_token": signed_in["refresh_token"]});
    let refresh = world.ask("POST", "/v1/auth/refresh").json(&refresh).await;
    assert_eq!(refresh.code(), "unauthorized");
    let again = world.ask("POST", "/v1/auth/login").json(&login).await;
    assert_eq!(again.code(), "unauthorized");
    let nobody = world.ask("POST", "/v1/admin/users/0000000000000/disable").by(&root);
    assert_eq!(nobody.send().await.code(), "not_found");
}

#[tokio::test]
async fn an_operator_gets_tokens_for_programs() {
    let world = World::new().await;
    let root = world.owner("root").await;
    let ada = world.register("ada").await;
    let path = format!("/v1/admin/users/{}/token", ada["user"]["id"].as_str().expect("an id"));
    let made = world.ask("POST", &path).by(&root).json(&json!({"device": "backup"})).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let me = world.ask("GET", "/v1/users/@me").by(&made.body).send().await;
    assert_eq!(me.text("name"), "ada");
    let sessions = world.ask("GET", "/v1/auth/sessions").by(&made.body).send().await;
    let named = sessions.body["items"].as_array().expect("a list");
    assert!(named.iter().any(|session| session["device"] == "backup"));
    assert_eq!(world.ask("POST", &path).by(&ada).send().await.code(), "forbidden");
}

#[tokio::test]
async fn an_operator_finds_nodes_shards_rooms_and_settings() {
    let world = World::new().await;
    let root = world.owner("root").await;
    let get = |path: &str| world.ask("GET", path).by(&root).send();
    let nodes = get("/v1/admin/nodes").await.body;
    assert_eq!(nodes["items"][0]["node"], 1);
    assert_eq!(nodes["items"][0]["this"], true);
    assert_eq!(nodes["items"][0]["shards"], 256);
    assert_eq!(nodes["items"][0]["actors_failed"], 0);
    let mut shards = Vec::new();
    let mut next = String::new();
    loop {
        let page = get(&format!("/v1/admin/shards?limit=100{next}")).await.body;
        shards.extend(page["items"].as_array().expect("a list").clone());
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    let numbers: Vec<_> = shards.iter().filter_map(|shard| shard["shard"].as_u64()).collect();
    assert_eq!(numbers, (0..256).collect::<Vec<_>>());
    let room = RoomId::from_raw(4_242);
    let put = Effect::PutRoom(Box::new(Room {
        id: room,
        community: None,
        kind: RoomKind::Group,
        name: String::new(),
        topic: String::new(),
        private: true,
        parent: None,
        category: None,
        position: 0,
        slow_mode_s: 0,
        archived: false,
        created_at: Timestamp(0),
    }));
    world.store.apply(&[put]).await.expect("the store works");
    let place = get(&format!("/v1/admin/rooms/{room}/where")).await.body;
    let shard = world.app.placement.shard_bits().shard_of(room);
    assert_eq!(place, json!({"room": room, "shard": shard, "owner": 1}));
    let settings = get("/v1/admin/settings").await.body;
    assert_eq!(settings["registration"], "open");
    assert_eq!(settings["access_ttl_s"], 900);
    assert_eq!(settings["listen"], "192.0.2.1:8080");
}

#[tokio::test]
async fn names_of_an_archive_stand_for_the_same_rooms_and_accounts_however_often_they_are_asked_for() {
    let world = World::new().await;
    let root = world.owner("root").await;
    let ada = world.register("ada").await;
    let path = "/v1/admin/import/names?community=Archive";
    let names = json!({"rooms": ["general", "開発/#1", "general"], "users": ["Ada", "ア ダ", "Ada", ""]});
    assert_eq!(world.ask("POST", path).by(&ada).json(&names).await.code(), "forbidden");
    let first = world.ask("POST", path).by(&root).json(&names).await;
    assert_eq!(first.status, StatusCode::OK, "{:?}", first.body);
    let ids = |field: &str| first.body[field].as_array().expect("a list").clone();
    assert_eq!((ids("rooms").len(), ids("users").len()), (3, 4));
    assert_eq!(ids("rooms")[0], ids("rooms")[2]);
    assert_ne!(ids("users")[0], ids("users")[1]);
    let again = world.ask("POST", path).by(&root).json(&names).await;
    assert_eq!(again.body, first.body);

    let many = json!({"users": vec!["x"; 1_001]});
    let refused = world.ask("POST", path).by(&root).json(&many).await;
    assert_eq!((refused.code(), &refused.body["error"]["field"]), ("bad_request", &"users".into()));
    let broken = world.ask("POST", path).by(&root).json(&json!({"rooms": ["a\nb"]})).await;
    assert_eq!((broken.code(), &broken.body["error"]["field"]), ("bad_request", &"rooms".into()));
}

#[tokio::test]
async fn an_operator_sees_how_single_actors_stand() {
    let lab = Lab::new().await;
    let root = lab.world.owner("root").await;
    let get = async |path: String| lab.world.ask("GET", &path).by(&root).send().await;
    let room = format!("/v1/admin/rooms/{}/actors", lab.general);
    let absent = get(room.clone()).await;
    assert_eq!(absent.body, json!({"room": {"state": "not_here"}, "relay": {"state": "not_here"}}));
    let posting = lab.world.ask("POST", &lab.room("/messages")).by(&lab.ada);
    let posting = posting.header("idempotency-key", "018f3c1e-0000-7000-8000-000000000001");
    let posted = posting.json(&json!({"text": "hi"})).await;
    assert_eq!(posted.status, StatusCode::CREATED, "{:?}", posted.body);
    let here = get(room).await;
    let wanted = json!({"state": "here", "head": posted.body["seq"], "in_flight": 0, "held": 0});
    assert_eq!(here.body, json!({"room": wanted, "relay": {"state": "not_here"}}));
    let user = get(format!("/v1/admin/users/{}/actors", id_of(&lab.ada))).await;
    assert_eq!(user.body, json!({"user": {"state": "not_here"}, "sessions": []}), "REST makes no session");
    let well = get("/v1/admin/supervisors".to_owned()).await;
    assert_eq!(well.body, json!({"failing": [], "people_failed": 0, "silent": []}));
    assert_eq!(get("/v1/admin/rooms/nothing/actors".to_owned()).await.code(), "not_found");
}

#[tokio::test]
async fn an_account_disabled_while_it_signs_in_ends_without_a_session() {
    let world = World::new().await;
    world.register("ada").await;
    let auth = &world.app.auth;
    let user = auth.authenticate("ada", PASSWORD).await.expect("ada");
    auth.disable(user.id).await.expect("the store works");
    let late = auth.begin(&user, "").await.expect_err("disabled");
    assert_eq!(late.code, ErrorCode::Unauthorized);
}

#[tokio::test]
async fn an_account_disabled_while_it_changes_itself_stays_disabled() {
    let world = World::new().await;
    let ada = world.register("ada").await;
    let id = ada["user"]["id"].as_str().expect("an id").parse().expect("an id");
    let body = json!({"password": "another long one", "current_password": PASSWORD});
    let change = world.ask("PATCH", "/v1/users/@me").by(&ada);
    // The change hashes passwords before it writes, so the other comes between.
    let (_, disabled) = tokio::join!(change.json(&body), world.app.auth.disable(id));
    disabled.expect("the store works");
    let user = world.store.user(id).await.expect("the store works").expect("ada");
    assert!(user.disabled);
}

#[tokio::test]
async fn an_operator_is_told_which_rooms_are_hot_by_what_is_asked_for() {
    let lab = Lab::new().await;
    let root = lab.world.owner("root").await;
    for text in ["one", "two"] {
        let body = json!({"text": text});
        let sent = lab.world.ask("POST", &lab.room("/messages")).by(&lab.ada).json(&body).await;
        assert_eq!(sent.status, StatusCode::CREATED, "{:?}", sent.body);
    }
    let hot = |query: &str| lab.world.ask("GET", &format!("/v1/admin/rooms/hot{query}")).by(&root).send();
    let told = hot("").await;
    assert_eq!((told.status, told.text("by")), (StatusCode::OK, "cpu"), "{:?}", told.body);
    let rooms = told.body["rooms"].as_array().expect("a list");
    let general = rooms.iter().find(|room| room["room"] == lab.general.as_str()).expect("somebody talks there");
    assert_eq!(
        (&general["name"], &general["owner"], &general["nodes"]),
        (&json!("general"), &json!(1), &json!([1]))
    );
    assert!(general["cpu_ms_per_s"].as_f64().is_some_and(|ms| ms > 0.0), "{general}");
    assert_eq!(told.body["silent"], json!([]));
    assert_eq!(hot("?by=deliveries").await.body["rooms"], json!([]), "nobody follows a room");
    assert_eq!(hot("?by=bytes&limit=1").await.text("by"), "bytes");
    assert_eq!(hot("?limit=1").await.body["rooms"].as_array().map(Vec::len), Some(1));
    assert_eq!(hot("?by=smell").await.field(), "by");
    assert_eq!(hot("?limit=0").await.field(), "limit");
}

#[tokio::test]
async fn levels_of_the_log_are_the_operators_and_a_slip_of_the_pen_is_told() {
    let world = World::new().await;
    let (root, ada) = (world.owner("root").await, world.register("ada").await);
    let path = "/v1/admin/log-level";
    let put = async |by: &Value, body: Value| world.ask("PUT", path).by(by).json(&body).await;
    assert_eq!(put(&ada, json!({"filter": "debug"})).await.code(), "forbidden");
    let slip = put(&root, json!({"filter": "debgu"})).await;
    assert_eq!((slip.code(), slip.field()), ("bad_request", "filter"));
    assert!(slip.body["error"]["message"].as_str().is_some_and(|told| told.contains("hubbub_actors=debug")));
    let elsewhere = put(&root, json!({"filter": "debug"})).await;
    assert_eq!(
        (elsewhere.status, elsewhere.code()),
        (StatusCode::CONFLICT, "conflict"),
        "this process does not log"
    );
    let shown = world.ask("GET", path).by(&root).send().await;
    assert_eq!(shown.body, json!({"filter": "off", "configured": "off"}));
}
