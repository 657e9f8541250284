//! Messages over REST: sending once, windows, changes, reactions, pins, threads, the log.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::rooms::Lab;
use crate::testing::Answer;

const KEY: &str = "01935e2a-7b1c-7def-8123-456789abcdef";

impl Lab {
    async fn say(&self, by: &Value, text: &str) -> Answer {
        self.world.ask("POST", &self.room("/messages")).by(by).json(&json!({"text": text})).await
    }

    async fn of(&self, by: &Value, method: &str, rest: &str) -> Answer {
        self.world.ask(method, &self.room(rest)).by(by).send().await
    }
}

fn texts(page: &Answer) -> Vec<&str> {
    let messages = page.body["messages"].as_array().expect("messages");
    messages.iter().map(|message| message["text"].as_str().expect("a text")).collect()
}

#[tokio::test]
async fn a_message_sent_again_with_its_key_is_the_same_message() {
    let lab = Lab::new().await;
    let send = |text: &str| {
        let asking = lab.world.ask("POST", &lab.room("/messages")).by(&lab.bob).header("idempotency-key", KEY);
        let body = json!({"text": text});
        async move { asking.json(&body).await }
    };
    let (first, again) = (send("hello").await, send("other").await);
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::OK), "{:?}", first.body);
    assert_eq!(first.body, again.body);
    assert_eq!((first.text("key"), first.text("text"), &first.body["seq"]), (KEY, "hello", &json!(1)));
    assert_eq!(first.body["by"], lab.bob["user"]["id"]);
    let path = lab.room("/messages");
    let wrong = lab.world.ask("POST", &path).by(&lab.bob).header("idempotency-key", "1");
    assert_eq!(wrong.json(&json!({"text": "x"})).await.field(), "Idempotency-Key");
}

#[tokio::test]
async fn texts_that_may_not_be_sent_are_refused() {
    let lab = Lab::new().await;
    for (text, code) in [("", "empty"), (" \u{3000}", "empty"), ("a\0b", "bad_request")] {
        assert_eq!(lab.say(&lab.bob, text).await.code(), code, "{text:?}");
    }
    assert_eq!(lab.say(&lab.bob, &"é".repeat(8_001)).await.code(), "too_long");
    assert_eq!(lab.say(&lab.bob, &"é".repeat(8_000)).await.status, StatusCode::CREATED);
    let post = |body: Value| {
        let asking = lab.world.ask("POST", &lab.room("/messages")).by(&lab.bob);
        async move { asking.json(&body).await }
    };
    assert_eq!(post(json!({"text": "x", "key": KEY})).await.field(), "key");
    assert_eq!(post(json!({"text": 7})).await.field(), "text");
    assert_eq!(post(json!({"text": "x", "reply_to": 99})).await.code(), "not_found");
    let reply = post(json!({"text": "x", "reply_to": 1})).await;
    assert_eq!((reply.status, &reply.body["reply_to"]), (StatusCode::CREATED, &json!(1)));
}

#[tokio::test]
async fn windows_of_history_tell_what_is_around_them() {
    let lab = Lab::new().await;
    for n in 1..=7 {
        lab.say(&lab.ada, &n.to_string()).await;
    }
    let page = |query: &str| {
        let path = lab.room(&format!("/messages{query}"));
        let asking = lab.world.ask("GET", &path).by(&lab.bob);
        async move { asking.send().await }
    };
    for (query, wanted, more) in [
        ("", vec!["1", "2", "3", "4", "5", "6", "7"], (false, false)),
        ("?limit=2", vec!["6", "7"], (true, false)),
        ("?before=4&limit=2", vec!["2", "3"], (true, true)),
        ("?after=4&limit=2", vec!["5", "6"], (true, true)),
        ("?around=4&limit=3", vec!["3", "4", "5"], (true, true)),
        ("?after=7", vec![], (true, false)),
        ("?before=1", vec![], (false, true)),
    ] {
        let got = page(query).await;
        assert_eq!(texts(&got), wanted, "{query}");
        assert_eq!(
            (&got.body["more_before"], &got.body["more_after"]),
            (&json!(more.0), &json!(more.1)),
            "{query}"
        );
        assert_eq!(got.body["head"], 7);
    }
    for (query, field) in [
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?before=x", "before"),
        ("?before=1&after=2", "before"),
        ("?after=1&around=2", "around"),
    ] {
        let answer = page(query).await;
        assert_eq!((answer.code(), answer.field()), ("bad_request", field), "{query}");
    }
}

#[tokio::test]
async fn a_message_is_changed_by_its_author_and_keeps_its_texts() {
    let lab = Lab::new().await;
    lab.say(&lab.bob, "helo").await;
    let edit = |by: &Value, seq: u64, text: &str| {
        let asking = lab.world.ask("PATCH", &lab.room(&format!("/messages/{seq}"))).by(by);
        let body = json!({"text": text});
        async move { asking.json(&body).await }
    };
    assert_eq!(edit(&lab.ada, 1, "x").await.code(), "not_author");
    assert_eq!(edit(&lab.bob, 2, "x").await.code(), "not_found");
    assert_eq!(edit(&lab.bob, 1, "").await.code(), "empty");
    let edited = edit(&lab.bob, 1, "hello").await;
    assert_eq!((edited.status, edited.text("text")), (StatusCode::OK, "hello"));
    assert!(edited.body["edited_at"].is_string());
    let edits = lab.of(&lab.ada, "GET", "/messages/1/edits?limit=1").await;
    assert_eq!((&edits.body["items"][0]["text"], edits.text("next")), (&json!("helo"), "1"));
    let edits = lab.of(&lab.ada, "GET", "/messages/1/edits?cursor=1").await;
    assert_eq!((&edits.body["items"][0]["text"], &edits.body["next"]), (&json!("hello"), &Value::Null));
}

#[tokio::test]
async fn a_deleted_message_keeps_its_place() {
    let lab = Lab::new().await;
    lab.say(&lab.ada, "mine").await;
    lab.say(&lab.bob, "spam").await;
    assert_eq!(lab.of(&lab.bob, "DELETE", "/messages/1").await.code(), "forbidden");
    let deleted = lab.of(&lab.ada, "DELETE", "/messages/2?reason=spam").await;
    assert_eq!((deleted.status, deleted.body), (StatusCode::NO_CONTENT, Value::Null));
    let gone = lab.of(&lab.bob, "GET", "/messages/2").await;
    assert_eq!((&gone.body["deleted"], gone.text("text")), (&json!(true), ""));
    let log = lab.of(&lab.bob, "GET", "/events?after=2").await;
    assert_eq!(log.body["items"][0]["data"], json!({"target": 2, "reason": "spam"}));
    for seq in ["0", "3", "9223372036854775808", "18446744073709551615", "-1", "x"] {
        for method in ["GET", "DELETE"] {
            let answer = lab.of(&lab.ada, method, &format!("/messages/{seq}")).await;
            assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "not_found"), "{method} {seq}");
        }
    }
}

#[tokio::test]
async fn reactions_are_given_taken_back_and_listed() {
    let lab = Lab::new().await;
    lab.say(&lab.ada, "cake").await;
    let thumb = "/messages/1/reactions/%F0%9F%91%8D";
    for by in [&lab.bob, &lab.ada, &lab.bob] {
        assert_eq!(lab.of(by, "PUT", thumb).await.status, StatusCode::NO_CONTENT);
    }
    let seen = lab.of(&lab.bob, "GET", "/messages/1").await;
    assert_eq!(seen.body["reactions"], json!([{"emoji": "👍", "count": 2, "me": true}]));
    let first = lab.of(&lab.ada, "GET", &format!("{thumb}?limit=1")).await;
    assert_eq!((&first.body["items"], first.text("next")), (&json!([lab.bob["user"]]), "1"));
    let rest = lab.of(&lab.ada, "GET", &format!("{thumb}?cursor=1")).await;
    assert_eq!((&rest.body["items"], &rest.body["next"]), (&json!([lab.ada["user"]]), &Value::Null));
    assert_eq!(lab.of(&lab.bob, "DELETE", thumb).await.status, StatusCode::NO_CONTENT);
    assert_eq!(lab.of(&lab.bob, "DELETE", thumb).await.status, StatusCode::NO_CONTENT, "nothing to take back");
    let seen = lab.of(&lab.bob, "GET", "/messages/1").await;
    assert_eq!(seen.body["reactions"], json!([{"emoji": "👍", "count": 1, "me": false}]));
    assert_eq!(lab.of(&lab.bob, "PUT", "/messages/1/reactions/%3Aparty%3A").await.status, StatusCode::NO_CONTENT);
    let wrong = lab.of(&lab.bob, "PUT", "/messages/1/reactions/ab").await;
    assert_eq!((wrong.code(), wrong.field()), ("bad_request", "emoji"));
    assert_eq!(lab.of(&lab.bob, "PUT", "/messages/9/reactions/%F0%9F%91%8D").await.code(), "not_found");
}

#[tokio::test]
async fn pins_are_set_by_those_with_the_right() {
    let lab = Lab::new().await;
    lab.say(&lab.ada, "one").await;
    lab.say(&lab.ada, "two").await;
    assert_eq!(lab.of(&lab.bob, "PUT", "/pins/1").await.code(), "forbidden");
    for seq in [2, 1, 2] {
        assert_eq!(lab.of(&lab.ada, "PUT", &format!("/pins/{seq}")).await.status, StatusCode::NO_CONTENT);
    }
    let pins = lab.of(&lab.bob, "GET", "/pins").await;
    let pinned: Vec<_> = pins.body["items"].as_array().expect("pins").iter().map(|pin| &pin["seq"]).collect();
    assert_eq!(pinned, [2, 1]);
    assert_eq!(lab.of(&lab.ada, "DELETE", "/pins/2").await.status, StatusCode::NO_CONTENT);
    let pins = lab.of(&lab.bob, "GET", "/pins?limit=1").await;
    assert_eq!((&pins.body["items"][0]["seq"], &pins.body["next"]), (&json!(1), &Value::Null));
    assert_eq!(lab.of(&lab.ada, "PUT", "/pins/77").await.code(), "not_found");
}

#[tokio::test]
async fn a_thread_is_begun_once() {
    let lab = Lab::new().await;
    lab.say(&lab.ada, "what about lunch?").await;
    let begin = |title: Value| {
        let asking = lab.world.ask("POST", &lab.room("/messages/1/thread")).by(&lab.bob);
        async move { asking.json(&title).await }
    };
    assert_eq!(begin(json!({"title": ""})).await.field(), "title");
    assert_eq!(begin(json!({"name": "x"})).await.field(), "name");
    let (begun, found) = (begin(json!({"title": "Lunch"})).await, begin(json!({})).await);
    assert_eq!((begun.status, &begun.body["created"]), (StatusCode::CREATED, &json!(true)));
    assert_eq!((found.status, &found.body["created"]), (StatusCode::OK, &json!(false)));
    assert_eq!(begun.body["room"], found.body["room"]);
    let thread = format!("/v1/rooms/{}", begun.text("room"));
    let facts = lab.world.ask("GET", &thread).by(&lab.ada).send().await;
    assert_eq!(facts.body["parent"], json!({"room": lab.general, "seq": 1}));
    let reply =
        lab.world.ask("POST", &format!("{thread}/messages")).by(&lab.ada).json(&json!({"text": "noon"})).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let parent = lab.of(&lab.bob, "GET", "/messages/1").await;
    assert_eq!((&parent.body["thread"]["title"], &parent.body["thread"]["replies"]), (&json!("Lunch"), &json!(1)));
    assert_eq!(lab.of(&lab.bob, "POST", "/messages/9/thread").await.code(), "not_found");
}

#[tokio::test]
async fn the_log_of_a_room_is_read_to_its_end() {
    let lab = Lab::new().await;
    for n in 0..5 {
        lab.say(&lab.ada, &n.to_string()).await;
    }
    let (mut seqs, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let page = lab.of(&lab.bob, "GET", &format!("/events?after={after}&limit=2")).await;
        let items = page.body["items"].as_array().expect("events").clone();
        assert!(items.iter().all(|event| event["ev"] == "room" && event["room"] == lab.general.as_str()));
        seqs.extend(items.iter().map(|event| event["seq"].as_u64().expect("a seq")));
        let Some(next) = page.body["next"].as_str() else { break };
        after = next.to_owned();
    }
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    assert_eq!(lab.of(&lab.bob, "GET", "/events?limit=0").await.field(), "limit");
    let eve = lab.world.register("eve").await;
    assert_eq!(lab.of(&eve, "GET", "/events").await.code(), "not_member");
}
