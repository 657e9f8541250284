//! How PostgreSQL means to carry out our statements: each of those that run per message, page or sign-in
//! goes by an index, with a condition on it, and looks at one partition of the log.
//!
//! Tables are filled first, since a small one is read whole because that is cheaper. Reading whole is
//! forbidden besides: a plan that does it all the same has no index to go by, and a scan of an index
//! without a condition is one in disguise.

use hubbub_protocol::ids::NodeId;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row};

use super::{EPOCH, SHARD, messages};
use crate::{
    Effect, LogStore, MetaStore,
    postgres::{PostgresConfig, PostgresStore, testing::Database},
    sql::testing::{ADA, ROOM, Statements, run_all},
};

/// The statements that may read a whole table: a count for operators.
const MAY: [&str; 1] = ["SELECT count(*) FROM user_account WHERE NOT imported"];
/// The statements that look at every partition: the feed of a shard, for what follows all of its rooms, and the heads
/// of many rooms, of which each run looks at one.
const EVERY_PARTITION: [&str; 2] =
    ["WHERE shard_id = $1 AND shard_seq > $2", "WHERE room_id = wanted.value ORDER BY seq DESC"];
/// Rows of our own tables that are no table's: what a connection asks at its beginning.
const NOT_OURS: [&str; 5] = ["set_config", "pg_", "current_setting", "schema_version", "to_regclass"];

/// Enough rows in every table to make an index worth its while.
const FILL: &str = "
    INSERT INTO user_account SELECT g, 'u' || g, 'U' || g, NULL, NULL, false, false, g % 2 = 0, g
        FROM generate_series(1000, 9000) g;
    INSERT INTO user_password SELECT g, 'hash' FROM generate_series(1000, 9000) g;
    INSERT INTO session SELECT g, g % 3000, 'd', '\\x01', NULL, NULL, g, g, g, CASE WHEN g % 2 = 0 THEN g END
        FROM generate_series(1000, 9000) g;
    INSERT INTO secret SELECT 's' || g, '\\x01' FROM generate_series(1, 3000) g;
    INSERT INTO community SELECT g, 'c' || g, '', g, true, 0, g FROM generate_series(1000, 5000) g;
    INSERT INTO member SELECT g % 400, g, 0, g FROM generate_series(1000, 20000) g;
    INSERT INTO room SELECT g, g % 400, 'text', 'r', '', false, NULL, NULL, NULL, g, 0, false, g
        FROM generate_series(10000, 30000) g;
    INSERT INTO room_member SELECT g % 4000, g FROM generate_series(1000, 20000) g;
    INSERT INTO invite SELECT 'i' || g, g % 400, g, NULL, 0, NULL, g FROM generate_series(1, 8000) g;
    INSERT INTO user_room SELECT g % 900, g, 1 FROM generate_series(1000, 20000) g;
    INSERT INTO mention SELECT g % 900, g % 700, g FROM generate_series(1000, 20000) g;
    INSERT INTO resume_state SELECT g, g, '\\x01', g FROM generate_series(1000, 9000) g;
    INSERT INTO imported SELECT g % 9, 2, 'e' || g, g, 0 FROM generate_series(1, 20000) g;
    INSERT INTO room_tally SELECT g, 1, 1, 1 FROM generate_series(10000, 30000) g;
    INSERT INTO shard_fence SELECT g, 1, 1, 0 FROM generate_series(100, 4000) g;
    INSERT INTO message SELECT 6000 + g / 300, g % 300, g, 101, g, CASE WHEN g % 5 = 0 THEN g % 300 - 1 END,
        100 + g % 50, 1 + g % 9, NULL, '\\x01' FROM generate_series(0, 59999) g;
    ANALYZE;
    SET enable_seqscan = off;
";

/// A literal for a parameter of this type.
fn literal(kind: &str) -> &'static str {
    match kind {
        "boolean" => "true",
        "bytea" => "'\\x01'",
        "text" => "'11111111-1111-1111-1111-111111111111'",
        "uuid" => "'11111111-1111-1111-1111-111111111111'",
        "text[]" => "'{a}'",
        "bytea[]" => "'{\"\\\\x01\"}'",
        "uuid[]" => "'{11111111-1111-1111-1111-111111111111}'",
        array if array.ends_with("[]") => "'{5000}'",
        _ => "20",
    }
}

/// The plan of a statement, as a tree.
async fn plan(connection: &mut PgConnection, statement: &str) -> Value {
    let prepare = format!("PREPARE asked AS {statement}");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await.expect("a statement of ours");
    let kinds = "SELECT unnest(parameter_types)::text FROM pg_prepared_statements WHERE name = 'asked'";
    let kinds = sqlx::query(kinds).fetch_all(&mut *connection).await.expect("its parameters");
    let values = kinds.iter().map(|row| literal(row.get(0))).collect::<Vec<_>>().join(", ");
    let values = if values.is_empty() { values } else { format!("({values})") };
    let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE asked{values}");
    let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(explain))).await.expect("a plan");
    connection.execute("DEALLOCATE asked").await.expect("it was prepared");
    // Its type is JSON's, which this build of the driver does not read as such.
    let text: String = rows.first().expect("a row").get_unchecked(0);
    serde_json::from_str::<Value>(&text).expect("JSON")[0]["Plan"].clone()
}

/// What a plan does that it should not, and the partitions it looks at.
fn look(node: &Value, bad: &mut Vec<String>, partitions: &mut Vec<String>) {
    let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
    let kind = text("Node Type");
    let table = text("Relation Name");
    if kind == "Seq Scan" {
        bad.push(format!("reads all of {table}"));
    }
    if kind.contains("Index") && kind.contains("Scan") && text("Index Cond").is_empty() {
        bad.push(format!("reads all of the index {}", text("Index Name")));
    }
    let part = if table.is_empty() { text("Index Name") } else { table };
    if let Some(number) = part.strip_prefix("message_").and_then(|rest| rest.get(..2))
        && number.parse::<u8>().is_ok()
        && text("Parent Relationship") != "Member"
        && !partitions.contains(&number.to_owned())
    {
        partitions.push(number.to_owned());
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        look(child, bad, partitions);
    }
}

#[tokio::test]
async fn no_statement_that_runs_often_reads_a_table_whole_or_more_than_one_partition() {
    let statements = Statements::listen();
    let database = Database::fresh().await;
    // The options of the URL tell of statements; those of a store that is opened the usual way do not.
    let options = database.url.options().clone();
    let store = PostgresStore::open_with(&database.url, PostgresConfig::default(), options);
    let store = store.await.expect("a fresh store opens");
    store.activate(&[(SHARD, EPOCH)], NodeId(1)).await.expect("a write");
    store.append(&messages(0, 40)).await.expect("the store appends");
    let mut mentioning = messages(40, 1);
    let seq = mentioning.shards[0].events[0].seq;
    mentioning.shards[0].effects.push(Effect::AddMention { user: Some(ADA), room: ROOM, seq });
    store.append(&mentioning).await.expect("the store appends");
    run_all(&store).await;
    store.check_writes().await.expect("a write");

    let mut connection = database.connect().await;
    connection.execute(FILL).await.expect("rows for every table");
    let planned = statements.planned();
    let planned: Vec<&String> =
        planned.iter().filter(|sql| !NOT_OURS.iter().any(|word| sql.contains(word))).collect();
    assert!(planned.len() > 50, "only {} statements were seen", planned.len());
    assert!(planned.iter().any(|sql| sql.contains("INSERT INTO message")), "the append was seen");
    assert!(planned.iter().any(|sql| sql.contains("INSERT INTO mention")), "the one with mentions, too");
    for statement in planned {
        let plan = plan(&mut connection, statement).await;
        let (mut bad, mut partitions) = (Vec::new(), Vec::new());
        look(&plan, &mut bad, &mut partitions);
        let allowed = MAY.contains(&statement.as_str());
        assert_eq!(bad.is_empty(), !allowed, "{statement}\n{bad:#?}\n{plan:#}");
        let most = if EVERY_PARTITION.iter().any(|part| statement.contains(part)) { 64 } else { 1 };
        assert!(partitions.len() <= most, "{statement}\nlooks at {} partitions", partitions.len());
    }
    MetaStore::markers(&store, ADA).await.expect("the store still serves");
}
