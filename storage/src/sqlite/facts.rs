//! Carries out the statements of the facts.

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, Either, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{AsyncWork, SqliteStore, Stop, read_failed};
use crate::{
    error::StoreError,
    sql::{
        Database, ListOf, Written,
        statement::{Statement, Value},
    },
};

type Bound = Query<'static, Sqlite, SqliteArguments>;

fn bound(statement: Statement) -> Bound {
    statement.values.into_iter().fold(sqlx::query(AssertSqlSafe(statement.sql.into_owned())), bind)
}

/// Lists are bound as JSON, so that one statement serves lists of every length.
fn bind(query: Bound, value: Value) -> Bound {
    match value {
        Value::Number(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
        Value::Bytes(bytes) => query.bind(bytes),
        Value::Flag(flag) => query.bind(flag),
        Value::Numbers(numbers) => query.bind(serde_json::to_string(&numbers).unwrap_or_default()),
        Value::Texts(texts) => query.bind(serde_json::to_string(&texts).unwrap_or_default()),
    }
}

/// Carries statements out in order, inside the caller's transaction.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    statements: Vec<Statement>,
) -> Result<Written<SqliteRow>, Stop> {
    let mut last = Written { rows: Vec::new(), affected: 0 };
    for statement in statements {
        let taken = statement.taken;
        match one(connection, statement).await {
            Ok(written) => last = written,
            Err(error) => return Err(stop(error, taken)),
        }
    }
    Ok(last)
}

async fn one(connection: &mut SqliteConnection, statement: Statement) -> Result<Written<SqliteRow>, sqlx::Error> {
    use futures_util::TryStreamExt as _;
    use sqlx::Executor as _;
    let mut written = Written { rows: Vec::new(), affected: 0 };
    let mut steps = connection.fetch_many(bound(statement));
    while let Some(step) = steps.try_next().await? {
        match step {
            Either::Left(done) => written.affected += done.rows_affected(),
            Either::Right(row) => written.rows.push(row),
        }
    }
    drop(steps);
    Ok(written)
}

fn stop(error: sqlx::Error, taken: Option<&'static str>) -> Stop {
    let violates = error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation);
    match taken {
        Some(what) if violates => Stop::Refused(StoreError::Taken { what }),
        _ => Stop::Failed(error),
    }
}

struct Statements(Vec<Statement>);

impl AsyncWork<Written<SqliteRow>> for Statements {
    async fn run(self, connection: &mut SqliteConnection) -> Result<Written<SqliteRow>, Stop> {
        run(connection, self.0).await
    }
}

#[async_trait]
impl Database for SqliteStore {
    type Row = SqliteRow;

    fn list(parameter: usize, _of: ListOf) -> String {
        format!("json_each(${parameter}) AS wanted")
    }

    fn pairs(parameter: usize) -> String {
        format!("(SELECT value ->> 0 AS value, value ->> 1 AS other FROM json_each(${parameter})) AS wanted")
    }

    fn bind_pairs(statement: Statement, pairs: impl Iterator<Item = (i64, i64)>) -> Statement {
        let pairs = pairs.map(|(value, other)| format!("[{value},{other}]")).collect::<Vec<_>>().join(",");
        statement.bind(format!("[{pairs}]").as_str())
    }

    async fn read(&self, what: &'static str, statement: Statement) -> Result<Vec<SqliteRow>, StoreError> {
        let failed = read_failed(what);
        let mut connection = self.reader().await.map_err(&failed)?;
        bound(statement).fetch_all(&mut *connection).await.map_err(&failed)
    }

    async fn write(
        &self,
        what: &'static str,
        statements: Vec<Statement>,
    ) -> Result<Written<SqliteRow>, StoreError> {
        SqliteStore::write(self, what, Statements(statements)).await
    }
}
