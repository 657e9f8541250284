//! Carries out the statements of the facts.

use std::time::Instant;

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, Either, Executor as _, PgConnection, Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use super::{
    PostgresStore,
    effects::gathered,
    failure::Stop,
    open::PATIENCE,
    pool::{Pool, Turn, Work},
    read_failed,
    rows::stored_text,
    write_failed,
};
use crate::{
    effect::Effect,
    error::StoreError,
    sql::{
        Database, ListOf, Written,
        statement::{Statement, Value},
    },
};

/// Times that a write is tried when the server rolls it back for the sake of another.
pub(super) const TRIES_MAX: u32 = 4;
/// Times that a read is tried when its connection fails: all idle ones may, after a restart.
const READS_MAX: u32 = 12;

type Bound = Query<'static, Postgres, PgArguments>;

fn bound(statement: &Statement) -> Bound {
    let query = sqlx::query(AssertSqlSafe(statement.sql.clone().into_owned()));
    statement.values.iter().cloned().fold(query, bind)
}

fn bind(query: Bound, value: Value) -> Bound {
    match value {
        Value::Number(number) => query.bind(number),
        Value::Text(text) => query.bind(text.map(|text| stored_text(&text).into_owned())),
        Value::Bytes(bytes) => query.bind(bytes),
        Value::Flag(flag) => query.bind(flag),
        Value::Numbers(numbers) => query.bind(numbers),
        Value::Texts(texts) => {
            query.bind(texts.iter().map(|text| stored_text(text).into_owned()).collect::<Vec<_>>())
        }
    }
}

/// Carries statements out in order; more than one only inside the caller's transaction.
pub(super) async fn run(connection: &mut PgConnection, statements: &[Statement]) -> Result<Written<PgRow>, Stop> {
    let mut last = Written { rows: Vec::new(), affected: 0 };
    for statement in statements {
        last = one(connection, statement).await.map_err(|error| stop(error, statement.taken))?;
    }
    Ok(last)
}

async fn one(connection: &mut PgConnection, statement: &Statement) -> Result<Written<PgRow>, sqlx::Error> {
    use futures_util::TryStreamExt as _;
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
        _ => error.into(),
    }
}

/// What is done within a transaction.
pub(super) trait Within<T>: Send + Sync + 'static {
    /// Does it; on failure the transaction is rolled back.
    fn run(&self, connection: &mut PgConnection) -> impl Future<Output = Result<T, Stop>> + Send;
}

/// Does it in a transaction, and again when the server rolled it back for the sake of another.
pub(super) struct Transaction<W>(pub(super) W);

impl<T: Send, W: Within<T>> Work<T> for Transaction<W> {
    async fn run(self, connection: &mut PgConnection) -> Result<T, Stop> {
        for _ in 1..TRIES_MAX {
            match transaction(connection, &self.0).await {
                Err(stop) if stop.asks_again() => {}
                done => return done,
            }
        }
        transaction(connection, &self.0).await
    }
}

async fn transaction<T>(connection: &mut PgConnection, work: &impl Within<T>) -> Result<T, Stop> {
    connection.execute("BEGIN").await?;
    let end = match work.run(connection).await {
        Ok(done) => connection.execute("COMMIT").await.map(|_| done).map_err(Stop::from),
        Err(stop) => Err(stop),
    };
    if end.as_ref().is_err_and(|stop| !stop.breaks()) {
        connection.execute("ROLLBACK").await?;
    }
    end
}

struct Statements(Vec<Statement>);

impl Within<Written<PgRow>> for Statements {
    async fn run(&self, connection: &mut PgConnection) -> Result<Written<PgRow>, Stop> {
        run(connection, &self.0).await
    }
}

/// A single statement needs no transaction of its own.
impl Work<Written<PgRow>> for Statements {
    async fn run(self, connection: &mut PgConnection) -> Result<Written<PgRow>, Stop> {
        for _ in 1..TRIES_MAX {
            match run(connection, &self.0).await {
                Err(stop) if stop.asks_again() => {}
                done => return done,
            }
        }
        run(connection, &self.0).await
    }
}

/// Reads, again when the connection fails: reading twice changes nothing.
pub(super) async fn read_with<T, W>(pool: &Pool, work: impl Fn() -> W) -> Result<T, Stop>
where
    T: Send + 'static,
    W: Work<T>,
{
    let (mut tries, begun) = (1, Instant::now());
    loop {
        match pool.run(work()).await {
            // Whoever made a connection has been patient already.
            Err(stop) if stop.passes() && tries < READS_MAX && begun.elapsed() < PATIENCE => tries += 1,
            done => return done,
        }
    }
}

/// Reads one statement, first by a turn that was waited for.
pub(super) async fn read_in_turn(pool: &Pool, turn: Turn, statement: Statement) -> Result<Vec<PgRow>, Stop> {
    let work = || Statements(vec![statement.clone()]);
    let read = match turn.run(work()).await {
        Err(stop) if stop.passes() => read_with(pool, work).await,
        done => done,
    };
    Ok(read?.rows)
}

#[async_trait]
impl Database for PostgresStore {
    type Row = PgRow;

    fn list(parameter: usize, of: ListOf) -> String {
        let kind = match of {
            ListOf::Numbers => "bigint",
            ListOf::Texts => "text",
        };
        format!("unnest(${parameter}::{kind}[]) AS wanted(value)")
    }

    fn pairs(parameter: usize) -> String {
        format!("unnest(${parameter}::bigint[], ${}::bigint[]) AS wanted(value, other)", parameter + 1)
    }

    fn bind_pairs(statement: Statement, pairs: impl Iterator<Item = (i64, i64)>) -> Statement {
        let (values, others): (Vec<i64>, Vec<i64>) = pairs.unzip();
        statement.bind(values).bind(others)
    }

    fn effects(effects: &[Effect]) -> Vec<Statement> {
        gathered(effects)
    }

    async fn read(&self, what: &'static str, statement: Statement) -> Result<Vec<PgRow>, StoreError> {
        let read = read_with(&self.readers, || Statements(vec![statement.clone()])).await;
        Ok(read.map_err(read_failed(what))?.rows)
    }

    async fn write(&self, what: &'static str, statements: Vec<Statement>) -> Result<Written<PgRow>, StoreError> {
        let written = match statements.len() {
            1 => self.writers.run(Statements(statements)).await,
            _ => self.writers.run(Transaction(Statements(statements))).await,
        };
        written.map_err(write_failed(what))
    }
}
