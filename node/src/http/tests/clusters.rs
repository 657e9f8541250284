//! The operator's interface to the cluster: on a node that is alone, and on a founder.

use std::sync::Arc;

use serde_json::json;

use crate::{clock::SystemClock, config::NodeConfig, datadir::DataDir, member::Member, membership, testing::World};

/// A founder's parts, running.
async fn founder(folder: &std::path::Path) -> Member {
    let mut config = NodeConfig::default();
    config.store.url = hubbub_tests::postgres::fresh_database();
    config.cluster.listen = ([127, 0, 0, 1], 0).into();
    let appearance = crate::cli::join::Appearance {
        name: Some("ada".to_owned()),
        zone: None,
        advertise: Some("127.0.0.1:7400".to_owned()),
    };
    let init = crate::cli::join::Init { appearance, instead_of: None, json: true };
    init.run(folder, &config).await.expect("a pristine directory");
    let data = DataDir::hold(folder).expect("nobody holds it");
    let membership = membership::Membership::load(&data).expect("whole").expect("a member's");
    Member::start(membership, &config.cluster, Arc::new(SystemClock)).await.expect("it starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_says_how_it_becomes_one_of_a_cluster() {
    let world = World::new().await;
    let root = world.owner("root").await;
    for path in ["/v1/admin/cluster", "/v1/admin/join-tokens"] {
        let answer = world.ask("GET", path).by(&root).send().await;
        assert_eq!((answer.status.as_u16(), answer.code()), (409, "conflict"), "{path}");
        let message = answer.body["error"]["message"].as_str().expect("a sentence");
        assert!(message.contains("`hubbub init` founds one, `hubbub join` joins one"), "{message}");
        let stranger = world.ask("GET", path).send().await;
        assert_eq!(stranger.status.as_u16(), 401, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_makes_lists_and_drops_tokens_and_sees_the_members() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let world = World::new().await;
    let root = world.owner("root").await;
    let member = founder(folder.path()).await;
    assert!(member.cluster.ready(std::time::Duration::from_secs(30)).await, "{:?}", member.cluster.status());
    world.app.member.set(member).expect("it is one member");

    let body = json!({"role": "voter", "uses": 2, "ttl_ms": 3_600_000});
    let made = world.ask("POST", "/v1/admin/join-tokens").by(&root).json(&body).await;
    assert_eq!(made.status.as_u16(), 201, "{:?}", made.body);
    assert!(made.text("token").starts_with("hub1."), "{:?}", made.body);
    let id = made.text("id").to_owned();
    let listed = world.ask("GET", "/v1/admin/join-tokens").by(&root).send().await;
    let items = listed.body["items"].as_array().expect("a list");
    assert_eq!(items.len(), 2, "that of init, and this one");
    let secret = made.text("token").rsplit('.').next().expect("the last part").to_owned();
    assert!(!listed.body.to_string().contains(&secret), "the secret is told once");
    let dropped = world.ask("POST", &format!("/v1/admin/join-tokens/{id}/drop")).by(&root).json(&json!({})).await;
    assert_eq!((dropped.status.as_u16(), dropped.body["admits"].as_bool()), (200, Some(false)));
    let again = world.ask("POST", &format!("/v1/admin/join-tokens/{id}/drop")).by(&root).json(&json!({})).await;
    assert_eq!(again.code(), "not_found");
    for (body, status) in [
        (json!({"role": "voter", "uses": 0, "ttl_ms": 1}), 400),
        (json!({"role": "voter", "uses": 1_001, "ttl_ms": 1}), 400),
        (json!({"role": "voter", "uses": 1, "ttl_ms": 0}), 400),
        (json!({"role": "king", "uses": 1, "ttl_ms": 1}), 400),
    ] {
        let refused = world.ask("POST", "/v1/admin/join-tokens").by(&root).json(&body).await;
        assert_eq!(refused.status.as_u16(), status, "{body}: {:?}", refused.body);
    }

    let cluster = world.ask("GET", "/v1/admin/cluster").by(&root).send().await;
    assert_eq!(cluster.body["leader"], 1, "{:?}", cluster.body);
    assert_eq!(cluster.body["members"][0]["name"], "ada");
    let missing = world.ask("POST", "/v1/admin/cluster/nodes/99/drain").by(&root).json(&json!({})).await;
    assert_eq!(missing.code(), "not_found", "{:?}", missing.body);
    let newer = world.ask("POST", "/v1/admin/cluster/finalize").by(&root).json(&json!({"version": 2})).await;
    assert_eq!(newer.code(), "conflict", "{:?}", newer.body);
    let last = world.ask("POST", "/v1/admin/cluster/nodes/1/undrain").by(&root).json(&json!({})).await;
    assert_eq!(last.body["done"], true, "{:?}", last.body);
}
