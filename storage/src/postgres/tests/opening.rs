//! Servers and databases that do not fit: one sentence each, with the remedy and without a password.

use hubbub_tests::postgres::{Server, database_of};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{
    LogStore, StoreError,
    postgres::{
        PostgresConfig, PostgresStore, PostgresUrl, SCHEMA_VERSION, open, session::Session, testing::Database,
    },
};

async fn refusal(url: &str) -> String {
    let url: PostgresUrl = url.parse().expect("a URL");
    let sentence = match PostgresStore::open(&url, PostgresConfig::default()).await {
        Err(StoreError::Open(sentence)) => sentence,
        other => panic!("not a sentence for an operator: {other:?}"),
    };
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    sentence
}

fn password(url: &str) -> &str {
    let (_, rest) = url.split_once("hubbub:").expect("a user");
    rest.split_once('@').expect("a password").0
}

#[tokio::test]
async fn what_does_not_fit_is_told_with_its_remedy() {
    let server = Server::start();
    let url = server.url();
    let wrong = url.replace(password(url), "nonsense");
    let free = url.replace(&format!(":{}/", server.port()), ":1/");
    for (url, part) in [
        (wrong.as_str(), "correct user name and password"),
        (&free, "cannot reach"),
        (&database_of(url, "missing"), "make it with `createdb missing`"),
    ] {
        let sentence = refusal(url).await;
        assert!(sentence.contains(part), "{sentence}");
        assert!(!sentence.contains("nonsense") && !sentence.contains(password(server.url())), "{sentence}");
    }
    server.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
    assert!(refusal(&database_of(url, "latin")).await.contains("createdb --encoding=UTF8"));
    server.sql("ALTER SYSTEM SET default_transaction_read_only = on; ");
    server.sql("SELECT pg_reload_conf()");
    assert!(refusal(url).await.contains("read-only, as a standby is: set `store.url` to the primary"));
}

#[tokio::test]
async fn a_user_who_may_not_make_tables_is_told_so() {
    let database = Database::bare().await;
    let mut admin = database.connect().await;
    let role = format!("guest_{}", std::process::id());
    let make = format!("CREATE ROLE {role} LOGIN PASSWORD 'guest'; REVOKE ALL ON SCHEMA public FROM public");
    admin.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(make))).await.expect("a role");
    let host = database.text.split_once('@').expect("a host").1;
    let sentence = refusal(&format!("postgres://{role}:guest@{host}")).await;
    assert!(sentence.contains("may not make tables"), "{sentence}");
    let drop = format!("DROP ROLE {role}");
    admin.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(drop))).await.expect("it owns nothing");
}

#[tokio::test]
async fn a_server_out_of_connections_is_named_with_the_remedy() {
    let database = Database::bare().await;
    let mut admin = database.connect().await;
    let role = format!("narrow_{}", std::process::id());
    let make = format!("CREATE ROLE {role} LOGIN PASSWORD 'narrow' CONNECTION LIMIT 1");
    admin.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(make))).await.expect("a role");
    let host = database.text.split_once('@').expect("a host").1;
    let url = format!("postgres://{role}:narrow@{host}");
    let only = PgConnection::connect(&url).await.expect("the only connection");
    let sentence = refusal(&url).await;
    assert!(sentence.contains("max_connections") && sentence.contains("store.readers"), "{sentence}");
    only.close().await.expect("it closes");
    let drop = format!("DROP ROLE {role}");
    admin.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(drop))).await.expect("it owns nothing");
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let database = Database::fresh().await;
    let newer = "INSERT INTO schema_version (version, made_at) VALUES (9999, now())";
    database.connect().await.execute(newer).await.expect("a row");
    let sentence = refusal(&database.text).await;
    let parts = format!("newer version of Hubbub (schema 9999, this program knows {SCHEMA_VERSION})");
    assert!(sentence.contains(&parts), "{sentence}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_open_a_new_database_at_once_make_its_tables_once() {
    let database = Database::bare().await;
    let opening: Vec<_> = (0..4)
        .map(|_| {
            let url = database.url.clone();
            tokio::spawn(async move { PostgresStore::open(&url, PostgresConfig::default()).await })
        })
        .collect();
    for store in opening {
        let store = store.await.expect("no panic").expect("a new database opens");
        assert!(
            store.feed(hubbub_protocol::shard::ShardId(1), Default::default(), 1).await.expect("a read").is_empty()
        );
    }
}

#[tokio::test]
async fn a_step_of_the_schema_that_fails_changes_nothing_and_can_be_tried_again() {
    const FIRST: &str = "CREATE TABLE kept (number bigint); INSERT INTO kept VALUES (42)";
    let database = Database::bare().await;
    let session = async || Session::connect(database.url.options(), "test").await.expect("it connects");
    let mut one = session().await;
    open::migrate(&mut one.connection, &database.url, &[FIRST]).await.expect("a sound step");
    let broken = "CREATE TABLE half (number bigint); CREATE TABLE half (number bigint)";
    let error =
        open::migrate(&mut one.connection, &database.url, &[FIRST, broken]).await.expect_err("a broken step");
    assert!(matches!(error, StoreError::Open(_)), "{error}");
    let sound = "ALTER TABLE kept ADD COLUMN more bigint";
    let mut other = session().await;
    open::migrate(&mut other.connection, &database.url, &[FIRST, sound]).await.expect("sound steps");
    let kept = sqlx::query("SELECT number FROM kept WHERE more IS NULL").fetch_all(&mut other.connection).await;
    assert_eq!(kept.expect("rows").len(), 1);
    let half = sqlx::query("SELECT to_regclass('half') IS NULL").fetch_one(&mut other.connection).await;
    assert!(sqlx::Row::get::<bool, _>(&half.expect("a row"), 0), "a half step is there");
}
