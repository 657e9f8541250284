//! How SQLite means to carry out our statements: none of those that run per message, page or sign-in
//! reads a table, or all of a room, from end to end.

use hubbub_protocol::ids::NodeId;
use sqlx::{AssertSqlSafe, Row};

use super::{EPOCH, SHARD, messages, ours};
use crate::{
    log::LogStore,
    sql::testing::{Statements, run_all},
    sqlite::SqliteStore,
};

/// What may be read whole: a list bound to the statement, and what a statement made itself.
const READ_WHOLE: [&str; 4] = ["json_each", "wanted", "who", "CONSTANT ROW"];
/// A step that goes through a room from its first event on.
const WHOLE_ROOM: &str = "SEARCH message USING PRIMARY KEY (room_id=?)";
/// The statements that may: a count for operators, and the newest seq, for which SQLite looks at the
/// end of the room alone.
const MAY: [&str; 2] =
    ["SELECT count(*) FROM user_account WHERE NOT imported", "SELECT max(seq) FROM message WHERE room_id = ?"];

/// The steps of the plan that read a table or a room whole.
async fn whole_reads(store: &SqliteStore, statement: &str) -> Vec<String> {
    let mut connection = store.reader().await.expect("a reader");
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let rows = sqlx::query(explain).fetch_all(&mut *connection).await.expect("a plan");
    let steps = rows.iter().map(|row| row.get::<String, _>("detail"));
    let whole = |step: &String| {
        let table = step.strip_prefix("SCAN ");
        table.is_some_and(|what| !READ_WHOLE.iter().any(|known| what.starts_with(known))) || step == WHOLE_ROOM
    };
    steps.filter(whole).collect()
}

#[tokio::test]
async fn no_statement_that_runs_often_reads_a_table_or_a_room_whole() {
    let statements = Statements::listen();
    let (store, _folder) = ours(&[]).await;
    store.append(&messages(0, 40)).await.expect("the store appends");
    store.activate(&[(SHARD, EPOCH)], NodeId(1)).await.expect("a write");
    run_all(&store).await;
    let planned = statements.planned();
    let planned: Vec<&String> = planned.iter().filter(|sql| !sql.contains("sqlite_schema")).collect();
    assert!(planned.len() > 50, "only {} statements were seen", planned.len());
    for statement in planned {
        let whole = whole_reads(&store, statement).await;
        let allowed = MAY.contains(&statement.as_str());
        assert_eq!(whole.is_empty(), !allowed, "{statement}\n{whole:#?}");
    }
}
