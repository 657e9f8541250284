//! Rooms, the members of those that have their own, conversations.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{
    auth::Registration,
    testing::{Answer, World},
};

/// A public community of ada's that bob has joined.
pub(super) struct Lab {
    pub(super) world: World,
    pub(super) ada: Value,
    pub(super) bob: Value,
    pub(super) community: String,
    pub(super) general: String,
}

/// The user's id of who signed in.
pub(super) fn id_of(signed_in: &Value) -> &str {
    signed_in["user"]["id"].as_str().expect("an id")
}

impl Lab {
    pub(super) async fn new() -> Self {
        let world = World::with(Registration::Open, false).await;
        let (ada, bob) = (world.register("ada").await, world.register("bob").await);
        let body = json!({"name": "Lab", "public": true});
        let made = world.ask("POST", "/v1/communities").by(&ada).json(&body).await;
        let community = made.text("id").to_owned();
        let joined = world.ask("PUT", &format!("/v1/communities/{community}/members/@me")).by(&bob).send().await;
        assert_eq!(joined.status, StatusCode::OK, "{:?}", joined.body);
        let general = joined.body["rooms"][0]["id"].as_str().expect("a room").to_owned();
        Self { world, ada, bob, community, general }
    }

    /// A path below the community.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("/v1/communities/{}{rest}", self.community)
    }

    /// A path below the room `general`.
    pub(super) fn room(&self, rest: &str) -> String {
        format!("/v1/rooms/{}{rest}", self.general)
    }

    pub(super) async fn make_room(&self, body: Value) -> Answer {
        self.world.ask("POST", &self.path("/rooms")).by(&self.ada).json(&body).await
    }
}

#[tokio::test]
async fn rooms_are_made_by_those_with_the_right_and_listed_in_pages() {
    let lab = Lab::new().await;
    let refused = lab.world.ask("POST", &lab.path("/rooms")).by(&lab.bob).json(&json!({"name": "x"})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"));
    for (name, kind) in [("news", "announcement"), ("help", "forum"), ("chat", "text")] {
        let made = lab.make_room(json!({"name": name, "kind": kind, "topic": "t", "category": "c"})).await;
        assert_eq!((made.status, made.text("kind"), made.text("category")), (StatusCode::CREATED, kind, "c"));
    }
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = lab.path(&format!("/rooms?limit=3{cursor}"));
        let page = lab.world.ask("GET", &path).by(&lab.bob).send().await;
        let items = page.body["items"].as_array().expect("a page").clone();
        names.extend(items.iter().map(|room| room["name"].as_str().expect("a name").to_owned()));
        let Some(next) = page.body["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(names, ["general", "news", "help", "chat"]);
    for (query, field) in [("limit=0", "limit"), ("cursor=7", "cursor")] {
        let answer = lab.world.ask("GET", &lab.path(&format!("/rooms?{query}"))).by(&lab.bob).send().await;
        assert_eq!((answer.code(), answer.field()), ("bad_request", field));
    }
    for (body, field) in [
        (json!({"kind": "text"}), "name"),
        (json!({"name": "x", "kind": "dm"}), "kind"),
        (json!({"name": "x", "kind": "cave"}), "kind"),
        (json!({"name": "x", "colour": 1}), "colour"),
    ] {
        let answer = lab.make_room(body.clone()).await;
        assert_eq!((answer.code(), answer.field()), ("bad_request", field), "{body}");
    }
}

#[tokio::test]
async fn only_publishers_write_announcements() {
    let lab = Lab::new().await;
    let room = lab.make_room(json!({"name": "news", "kind": "announcement"})).await.text("id").to_owned();
    let post = |by| lab.world.ask("POST", &format!("/v1/rooms/{room}/messages")).by(by);
    assert_eq!(post(&lab.bob).json(&json!({"text": "hi"})).await.code(), "forbidden");
    assert_eq!(post(&lab.ada).json(&json!({"text": "hi"})).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_room_is_changed_and_the_room_s_log_tells_of_it() {
    let lab = Lab::new().await;
    let patch = |by| lab.world.ask("PATCH", &lab.room("")).by(by);
    assert_eq!(patch(&lab.bob).json(&json!({"name": "x"})).await.code(), "forbidden");
    let change = json!({"name": "lobby", "topic": "all", "position": 3, "slow_mode_s": 30});
    let changed = patch(&lab.ada).json(&change).await;
    assert_eq!((changed.status, changed.text("name"), changed.text("topic")), (StatusCode::OK, "lobby", "all"));
    let log = lab.world.ask("GET", &lab.room("/events")).by(&lab.bob).send().await;
    assert_eq!((&log.body["items"][0]["type"], &log.body["items"][0]["data"]), (&json!("room.updated"), &change));
    let post = || lab.world.ask("POST", &lab.room("/messages")).by(&lab.bob);
    assert_eq!(post().json(&json!({"text": "one"})).await.status, StatusCode::CREATED);
    let slow = post().json(&json!({"text": "two"})).await;
    assert_eq!((slow.code(), slow.body["error"]["retry_after_ms"].as_u64()), ("slow_mode", Some(30_000)));
    assert_eq!(patch(&lab.ada).json(&json!({"archived": true})).await.body["archived"], true);
    assert_eq!(
        lab.world.ask("POST", &lab.room("/messages")).by(&lab.ada).json(&json!({"text": "x"})).await.code(),
        "archived"
    );
    for (body, field) in [
        (json!({"position": -1}), "position"),
        (json!({"slow_mode_s": 21_601}), "slow_mode_s"),
        (json!({"name": ""}), "name"),
        (json!({"kind": "forum"}), "kind"),
    ] {
        let answer = patch(&lab.ada).json(&body).await;
        assert_eq!((answer.code(), answer.field()), ("bad_request", field), "{body}");
    }
}

#[tokio::test]
async fn a_private_room_is_there_for_its_members_alone() {
    let lab = Lab::new().await;
    let eve = lab.world.register("eve").await;
    let room = lab.make_room(json!({"name": "cellar", "private": true})).await.text("id").to_owned();
    let path = format!("/v1/rooms/{room}");
    let get = |by| lab.world.ask("GET", &path).by(by);
    assert_eq!(get(&lab.bob).send().await.code(), "not_found");
    let member = |by, who: &str, method| lab.world.ask(method, &format!("{path}/members/{who}")).by(by);
    assert_eq!(member(&lab.bob, "@me", "PUT").send().await.code(), "not_found");
    assert_eq!(member(&lab.ada, id_of(&eve), "PUT").send().await.code(), "not_found", "not of the community");
    assert_eq!(member(&lab.ada, id_of(&lab.bob), "PUT").send().await.status, StatusCode::NO_CONTENT);
    assert_eq!(member(&lab.ada, id_of(&lab.bob), "PUT").send().await.status, StatusCode::NO_CONTENT, "again");
    assert_eq!(get(&lab.bob).send().await.status, StatusCode::OK);
    let list = lab.world.ask("GET", &format!("{path}/members?q=b")).by(&lab.bob).send().await;
    assert_eq!((&list.body["items"][0]["user"]["name"], &list.body["next"]), (&json!("bob"), &Value::Null));
    assert_eq!(member(&lab.bob, id_of(&lab.ada), "DELETE").send().await.code(), "forbidden");
    assert_eq!(member(&lab.ada, id_of(&lab.bob), "DELETE").send().await.status, StatusCode::NO_CONTENT);
    assert_eq!(get(&lab.bob).send().await.code(), "not_found");
    let log = lab.world.ask("GET", &format!("{path}/events")).by(&lab.ada).send().await;
    let kinds: Vec<_> = log.body["items"].as_array().expect("events").iter().map(|event| &event["type"]).collect();
    assert_eq!(kinds, ["member.joined", "member.joined", "member.removed"]);
    let open = lab.world.ask("PUT", &lab.room(&format!("/members/{}", id_of(&lab.bob)))).by(&lab.ada).send().await;
    assert_eq!((open.status, open.code()), (StatusCode::BAD_REQUEST, "bad_request"), "it has none of its own");
}

#[tokio::test]
async fn a_deleted_room_is_gone_with_its_threads() {
    let lab = Lab::new().await;
    let post = lab.world.ask("POST", &lab.room("/messages")).by(&lab.bob).json(&json!({"text": "hi"})).await;
    let thread = lab.room(&format!("/messages/{}/thread", post.body["seq"]));
    let thread = lab.world.ask("POST", &thread).by(&lab.bob).send().await.text("room").to_owned();
    assert_eq!(lab.world.ask("DELETE", &lab.room("")).by(&lab.bob).send().await.code(), "forbidden");
    assert_eq!(lab.world.ask("DELETE", &lab.room("")).by(&lab.ada).send().await.status, StatusCode::NO_CONTENT);
    for path in [lab.room(""), lab.room("/messages"), lab.room("/events"), format!("/v1/rooms/{thread}")] {
        let answer = lab.world.ask("GET", &path).by(&lab.ada).send().await;
        assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn rights_are_explained_to_oneself_and_to_those_who_manage_them() {
    let lab = Lab::new().await;
    let explain = |by, who: &str| lab.world.ask("GET", &lab.room(&format!("/permissions/{who}/explain"))).by(by);
    let own = explain(&lab.bob, "@me").send().await;
    let names = own.body["names"].as_array().expect("names").clone();
    assert!(names.contains(&json!("send")) && !names.contains(&json!("kick")), "{names:?}");
    assert!(own.text("permissions").parse::<u64>().is_ok(), "{:?}", own.body);
    assert_eq!(explain(&lab.bob, id_of(&lab.ada)).send().await.code(), "forbidden");
    let of_bob = explain(&lab.ada, id_of(&lab.bob)).send().await;
    assert_eq!(of_bob.body, own.body);
    let nobody = explain(&lab.ada, "0000000000000").send().await;
    assert_eq!(nobody.text("permissions"), "0");
}

#[tokio::test]
async fn conversations_are_for_people_who_know_each_other() {
    let lab = Lab::new().await;
    let eve = lab.world.register("eve").await;
    let dm = |by, users: Value| {
        let asking = lab.world.ask("POST", "/v1/dms").by(by);
        async move { asking.json(&json!({"users": users})).await }
    };
    let made = dm(&lab.ada, json!([id_of(&lab.bob)])).await;
    assert_eq!(
        (made.status, made.text("kind"), &made.body["community"]),
        (StatusCode::CREATED, "dm", &Value::Null)
    );
    let found = dm(&lab.bob, json!([id_of(&lab.ada)])).await;
    assert_eq!(found.text("id"), made.text("id"));
    assert_eq!(dm(&lab.ada, json!([id_of(&eve)])).await.code(), "not_found");
    assert_eq!(dm(&lab.ada, json!(["0000000000000"])).await.code(), "not_found");
    for users in [json!([]), json!([id_of(&lab.ada)])] {
        let answer = dm(&lab.ada, users).await;
        assert_eq!((answer.code(), answer.field()), ("bad_request", "users"));
    }
    for (by, count) in [(&lab.ada, 1), (&lab.bob, 1), (&eve, 0)] {
        let list = lab.world.ask("GET", "/v1/dms").by(by).send().await;
        assert_eq!(list.body["items"].as_array().map(Vec::len), Some(count));
    }
    let path = format!("/v1/rooms/{}", made.text("id"));
    assert_eq!(lab.world.ask("GET", &path).by(&eve).send().await.code(), "not_found");
    assert_eq!(lab.world.ask("DELETE", &path).by(&lab.ada).send().await.code(), "forbidden");
    let post = lab.world.ask("POST", &format!("{path}/messages")).by(&lab.bob).json(&json!({"text": "psst"})).await;
    assert_eq!(post.status, StatusCode::CREATED);
}
