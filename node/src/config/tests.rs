//! Files, variables and flags, and how each way to get them wrong is told.

use std::time::Duration;

use super::{keys::variable, *};

fn given(key: &str, value: impl Into<Value>) -> Given {
    Given { key: key.to_owned(), value: value.into(), origin: Origin::Variable(variable(key)) }
}

fn load(toml: &str, further: Vec<Given>) -> Loaded {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hubbub.toml");
    std::fs::write(&file, toml).expect("a writable folder");
    Loaded::of(Some(&file), further)
}

fn refused(toml: &str) -> String {
    let failure = load(toml, Vec::new()).finish().expect_err(toml);
    assert_eq!(failure.exit_code(), 2);
    let sentence = failure.to_string();
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    assert!(sentence.contains("hubbub.toml"), "{sentence}");
    sentence
}

#[test]
fn an_empty_file_means_the_defaults() {
    assert_eq!(load("", Vec::new()).finish().expect("nothing wrong"), NodeConfig::default());
}

#[test]
fn a_default_is_within_its_own_range() {
    for key in KEYS {
        let shown = load("", Vec::new());
        let value = key.shown_json(shown.config());
        let given = Given {
            key: key.name.to_owned(),
            value: Value::serialize(value).expect("plain data"),
            origin: Origin::Flag("--x"),
        };
        let mut loaded = Loaded::default();
        loaded.take(given);
        assert_eq!(loaded.problems(), [], "{}", key.name);
        assert_eq!(loaded.config(), &NodeConfig::default(), "{}", key.name);
    }
}

#[test]
fn times_are_written_with_their_unit_or_as_numbers_of_a_named_one() {
    for toml in [
        "[edge]\nheartbeat = \"5s\"",
        "[edge]\nheartbeat = \"5000ms\"",
        "[edge]\nheartbeat_ms = 5000",
        "[edge]\nheartbeat_ms = \"5s\"",
        "edge.heartbeat = \"5 seconds\"",
    ] {
        let config = load(toml, Vec::new()).finish().expect(toml);
        assert_eq!(config.edge.heartbeat, Duration::from_secs(5), "{toml}");
    }
    let config = load("[auth]\nrefresh_ttl_days = 7\naccess_ttl_s = 60", Vec::new()).finish().expect("good");
    assert_eq!(config.auth.refresh_ttl, Duration::from_secs(7 * 86_400));
    assert_eq!(config.auth.access_ttl, Duration::from_secs(60));
    let config = load("[store]\nspace_min = \"4 MiB\"", Vec::new()).finish().expect("good");
    assert_eq!(config.store.space_min.0, 4 << 20);
}

#[test]
fn a_wrong_value_is_told_with_its_key_its_place_what_was_found_and_what_is_accepted() {
    for (toml, parts) in [
        ("[edge]\nheartbeat = 5", ["`edge.heartbeat` is 5", "a time from 100ms to 10min, such as \"30s\""]),
        ("[edge]\nheartbeat_ms = 1", ["`edge.heartbeat_ms` is 1,", "from 100ms to 10min"]),
        ("[edge]\nheartbeat = \"5 parsecs\"", ["is \"5 parsecs\"", "a time"]),
        ("[edge]\nheartbeat = \"11min\"", ["is \"11min\"", "to 10min"]),
        ("[auth]\naccess_ttl_s = 901", ["`auth.access_ttl_s` is 901", "from 1s to 15min"]),
        ("[auth]\nregistration = \"all\"", ["is \"all\"", "\"open\", \"invite\" or \"closed\""]),
        ("[store]\nspace_min = \"much\"", ["is \"much\"", "a size from 0 B to 1024 GiB"]),
        ("[store]\nshard_bits = 17", ["is 17", "a number from 0 to 16"]),
        ("[listen]\npublic = \"8080\"", ["is \"8080\"", "an address and a port"]),
        ("[limits]\nconnections = 0", ["is 0", "\"auto\", or a number"]),
        ("[log]\nfilter = \"a=b=c\"", ["is \"a=b=c\"", "levels by module"]),
        ("[edge]\nrate_limits = \"yes\"", ["is \"yes\"", "true or false"]),
        ("[log]\nformat = \"xml\"", ["is \"xml\"", "\"human\""]),
        ("edge = 5", ["no key `edge`", ""]),
    ] {
        let sentence = refused(toml);
        assert!(parts.iter().all(|part| sentence.contains(part)), "{toml}: {sentence}");
    }
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    for (toml, nearest) in [
        ("[edge]\nheartbeat_mss = 5", "`edge.heartbeat_ms`"),
        ("[edge]\nheartbeats = \"5s\"", "`edge.heartbeat`"),
        ("[egde]\norigins = []", "`edge.origins`"),
        ("[completely]\nother = 1", "hubbub config reference"),
        ("[other]\n", "`other`"),
    ] {
        let sentence = refused(toml);
        assert!(sentence.contains(nearest), "{toml}: {sentence}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let sentence = refused("[edge]\nheartbeat = 5\n[auth]\naccess_ttl = \"1 day\"\n");
    assert!(sentence.contains("edge.heartbeat") && sentence.contains("auth.access_ttl"), "{sentence}");
}

#[test]
fn a_key_under_both_its_names_is_told() {
    let sentence = refused("[edge]\nheartbeat = \"5s\"\nheartbeat_ms = 5000");
    assert!(sentence.contains("the same key: keep one"), "{sentence}");
    let later = vec![given("edge.heartbeat_ms", 7_000)];
    let config = load("[edge]\nheartbeat = \"5s\"", later).finish().expect("one goes ahead of the other");
    assert_eq!(config.edge.heartbeat, Duration::from_secs(7));
}

#[test]
fn a_flag_goes_ahead_of_a_variable_and_that_ahead_of_the_file() {
    let loaded = load("[edge]\nheartbeat = \"5s\"\nrate_limits = false", vec![given("edge.heartbeat", "6s")]);
    let origin = |loaded: &Loaded, name: &str| loaded.origin(known(name).expect("a key").0).to_string();
    assert_eq!(loaded.config().edge.heartbeat, Duration::from_secs(6));
    assert_eq!(origin(&loaded, "edge.heartbeat"), "environment variable HUBBUB__EDGE__HEARTBEAT");
    let loaded = loaded.flag("--heartbeat-ms", "edge.heartbeat_ms", Some(7_000));
    assert_eq!(loaded.config().edge.heartbeat, Duration::from_secs(7));
    assert_eq!(origin(&loaded, "edge.heartbeat"), "--heartbeat-ms");
    assert!(origin(&loaded, "edge.rate_limits").ends_with("hubbub.toml"));
    assert_eq!(origin(&loaded, "edge.origins"), "default");
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    let loaded = Loaded::of(None, vec![given("edge.heartbeat", "soon"), given("store.url", "pg://a:secret@db/x")]);
    let sentence = loaded.finish().expect_err("wrong").to_string();
    assert!(
        sentence.contains("environment variable HUBBUB__EDGE__HEARTBEAT: `edge.heartbeat` is \"soon\""),
        "{sentence}"
    );
    assert!(!sentence.contains("secret"), "{sentence}");
}
