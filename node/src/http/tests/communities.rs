//! Communities, their members and their log.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::rooms::{Lab, id_of};
use crate::{auth::Registration, testing::World};

#[tokio::test]
async fn a_community_begins_with_one_room_and_its_owner() {
    let world = World::with(Registration::Open, false).await;
    let ada = world.register("ada").await;
    let body = json!({"name": "Lab", "description": "we talk"});
    let made = world.ask("POST", "/v1/communities").by(&ada).json(&body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    assert_eq!(made.body["owner"], ada["user"]["id"]);
    assert_eq!((&made.body["public"], &made.body["member_count"]), (&json!(false), &json!(1)));
    let path = format!("/v1/communities/{}", made.text("id"));
    let rooms = world.ask("GET", &format!("{path}/rooms")).by(&ada).send().await;
    assert_eq!(
        (&rooms.body["items"][0]["name"], &rooms.body["items"][0]["kind"]),
        (&json!("general"), &json!("text"))
    );
    assert_eq!(rooms.body["items"].as_array().map(Vec::len), Some(1), "its log is no room: {:?}", rooms.body);
    let mine = world.ask("GET", "/v1/communities").by(&ada).send().await;
    assert_eq!(mine.body, json!({"items": [made.body], "next": null}));
    let bob = world.register("bob").await;
    assert_eq!(world.ask("GET", &path).by(&bob).send().await.code(), "not_found");
    assert_eq!(world.ask("GET", &path).send().await.code(), "unauthorized");
}

#[tokio::test]
async fn bodies_of_communities_are_judged_field_by_field() {
    let lab = Lab::new().await;
    let post = || lab.world.ask("POST", "/v1/communities").by(&lab.ada);
    let cases = [
        (json!({}), "name"),
        (json!({"name": " "}), "name"),
        (json!({"name": "x".repeat(101)}), "name"),
        (json!({"name": "x", "public": "yes"}), "public"),
        (json!({"name": "x", "owner": "me"}), "owner"),
        (json!({"name": "x", "description": "y".repeat(1_025)}), "description"),
    ];
    for (body, field) in cases {
        let answer = post().json(&body).await;
        assert_eq!((answer.code(), answer.field()), ("bad_request", field), "{body}");
    }
    let path = lab.path("");
    let answer = lab.world.ask("PATCH", &path).by(&lab.ada).json(&json!({"id": "x"})).await;
    assert_eq!((answer.code(), answer.field()), ("bad_request", "id"));
}

#[tokio::test]
async fn only_those_with_the_right_change_a_community_and_only_the_owner_deletes_it() {
    let lab = Lab::new().await;
    let path = lab.path("");
    let change = json!({"name": "Works", "public": false});
    assert_eq!(lab.world.ask("PATCH", &path).by(&lab.bob).json(&change).await.code(), "forbidden");
    let changed = lab.world.ask("PATCH", &path).by(&lab.ada).json(&change).await;
    assert_eq!((changed.status, changed.text("name")), (StatusCode::OK, "Works"));
    assert_eq!(lab.world.ask("DELETE", &path).by(&lab.bob).send().await.code(), "forbidden");
    let deleted = lab.world.ask("DELETE", &path).by(&lab.ada).send().await;
    assert_eq!((deleted.status, deleted.body), (StatusCode::NO_CONTENT, Value::Null));
    for path in [path, format!("/v1/rooms/{}", lab.general)] {
        assert_eq!(lab.world.ask("GET", &path).by(&lab.ada).send().await.code(), "not_found", "{path}");
    }
}

#[tokio::test]
async fn members_come_in_pages_and_by_the_beginning_of_their_names() {
    let lab = Lab::new().await;
    let eve = lab.world.register("eve").await;
    assert_eq!(lab.world.ask("PUT", &lab.path("/members/@me")).by(&eve).send().await.status, StatusCode::OK);
    let list = |query: String| lab.world.ask("GET", &lab.path(&format!("/members{query}"))).by(&lab.bob);
    let mut names = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = list(query).send().await;
        let items = page.body["items"].as_array().expect("a page").clone();
        assert!(items.len() <= 2);
        names.extend(items.iter().map(|member| member["user"]["name"].as_str().expect("a name").to_owned()));
        let Some(next) = page.body["next"].as_str() else { break };
        query = format!("?limit=2&cursor={next}");
    }
    assert_eq!(names, ["ada", "bob", "eve"]);
    let found = list("?q=BO".to_owned()).send().await;
    assert_eq!(found.body["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(found.body["items"][0]["user"]["name"], "bob");
    for (query, field) in [("?limit=0", "limit"), ("?limit=101", "limit"), ("?cursor=x", "cursor")] {
        let answer = list(query.to_owned()).send().await;
        assert_eq!((answer.code(), answer.field()), ("bad_request", field), "{query}");
    }
    let me = list("/@me".to_owned()).send().await;
    assert_eq!(me.body["user"], lab.bob["user"]);
    assert_eq!(list("/0000000000000".to_owned()).send().await.code(), "not_found");
}

#[tokio::test]
async fn members_join_leave_and_are_kicked() {
    let lab = Lab::new().await;
    let eve = lab.world.register("eve").await;
    let member = |who: &str| lab.path(&format!("/members/{who}"));
    let joined = lab.world.ask("PUT", &member("@me")).by(&eve).send().await;
    assert_eq!((joined.status, joined.body["community"]["member_count"].as_u64()), (StatusCode::OK, Some(3)));
    assert_eq!(joined.body["rooms"][0]["name"], "general");
    let again = lab.world.ask("PUT", &member("@me")).by(&eve).send().await;
    assert_eq!(again.body["community"]["member_count"], 3);
    let other = lab.world.ask("PUT", &member(id_of(&lab.bob))).by(&eve).send().await;
    assert_eq!(other.code(), "forbidden");
    let kick = |by: &Value, who: &str| lab.world.ask("DELETE", &member(who)).by(by);
    assert_eq!(kick(&lab.bob, id_of(&eve)).send().await.code(), "forbidden");
    assert_eq!(kick(&lab.bob, id_of(&lab.ada)).send().await.code(), "forbidden");
    let long = format!("{}?reason={}", id_of(&eve), "x".repeat(513));
    assert_eq!(kick(&lab.ada, &long).send().await.field(), "reason");
    let kicked = kick(&lab.ada, &format!("{}?reason=spam", id_of(&eve))).send().await;
    assert_eq!((kicked.status, kicked.body), (StatusCode::NO_CONTENT, Value::Null));
    let post = lab.world.ask("POST", &lab.room("/messages")).by(&eve).json(&json!({"text": "hi"})).await;
    assert_eq!((post.status, post.code()), (StatusCode::FORBIDDEN, "not_member"));
    assert_eq!(kick(&lab.bob, "@me").send().await.status, StatusCode::NO_CONTENT);
    assert_eq!(kick(&lab.ada, "@me").send().await.code(), "forbidden");
    let log = lab.world.ask("GET", &lab.path("/events")).by(&lab.ada).send().await;
    let kinds: Vec<_> = log.body["items"].as_array().expect("events").iter().map(|event| &event["type"]).collect();
    let told = ["member.joined", "room.created", "member.joined", "member.joined", "member.removed", "member.left"];
    assert_eq!(kinds, told);
    assert_eq!(log.body["items"][4]["data"], json!({"user": id_of(&eve), "reason": "spam", "by": id_of(&lab.ada)}));
}

#[tokio::test]
async fn the_log_of_a_community_is_for_those_who_may_view_it() {
    let lab = Lab::new().await;
    let by_room = format!("/v1/rooms/{}/events", lab.community);
    for path in [lab.path("/events"), by_room] {
        let first = lab.world.ask("GET", &format!("{path}?limit=2")).by(&lab.ada).send().await;
        assert_eq!((first.body["items"].as_array().map(Vec::len), first.text("next")), (Some(2), "2"), "{path}");
        let last = lab.world.ask("GET", &format!("{path}?after=2&limit=2")).by(&lab.ada).send().await;
        assert_eq!((&last.body["items"][0]["seq"], &last.body["next"]), (&json!(3), &Value::Null));
        assert_eq!(lab.world.ask("GET", &path).by(&lab.bob).send().await.code(), "forbidden", "{path}");
    }
    let as_room = format!("/v1/rooms/{}", lab.community);
    assert_eq!(lab.world.ask("GET", &as_room).by(&lab.ada).send().await.code(), "not_found");
    let post =
        lab.world.ask("POST", &format!("{as_room}/messages")).by(&lab.ada).json(&json!({"text": "hi"})).await;
    assert!(["forbidden", "not_found"].contains(&post.code()), "{:?}", post.body);
}
