//! A database for each test, copied from one with the schema in it, since making 330 tables and indexes
//! takes a second.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::atomic::{AtomicU32, Ordering},
};

use hubbub_tests::postgres::{database_of, shared, shared_is_temporary};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::{
    LogStore as _,
    postgres::{PostgresConfig, PostgresStore, PostgresUrl, open::MIGRATIONS},
};

/// A lock of the tests' own.
const LOCK: i64 = 4_711;

/// An empty store's database. Dropping it takes half a second, so it is left to a server that goes with
/// the run.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) url: PostgresUrl,
    pub(crate) text: String,
    name: String,
}

async fn admin() -> PgConnection {
    PgConnection::connect(shared()).await.expect("the shared server answers")
}

async fn run(connection: &mut PgConnection, sql: String) {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.expect("the server obeys");
}

/// A name that no other test has.
fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("hubbub_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Makes the database that others are copied from, once for each schema.
async fn template(connection: &mut PgConnection) -> String {
    let mut hasher = DefaultHasher::new();
    MIGRATIONS.hash(&mut hasher);
    let name = format!("hubbub_template_{:016x}", hasher.finish());
    let made = sqlx::query("SELECT count(*) FROM pg_database WHERE datname = $1").bind(&name);
    if made.fetch_one(&mut *connection).await.expect("a count").get::<i64, _>(0) > 0 {
        return name;
    }
    let part = format!("{name}_part");
    run(connection, format!("DROP DATABASE IF EXISTS {part}")).await;
    run(connection, format!("CREATE DATABASE {part}")).await;
    let url = database_of(shared(), &part).parse::<PostgresUrl>().expect("a URL");
    let store = PostgresStore::open(&url, PostgresConfig::default()).await.expect("a fresh store opens");
    store.close().await;
    // A session that has closed is seen for a moment longer.
    run(
        connection,
        format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{part}'"),
    )
    .await;
    run(connection, format!("ALTER DATABASE {part} RENAME TO {name}")).await;
    name
}

impl Database {
    /// An empty database with our tables.
    pub(crate) async fn fresh() -> Self {
        let mut connection = admin().await;
        run(&mut connection, format!("SELECT pg_advisory_lock({LOCK})")).await;
        let template = template(&mut connection).await;
        let made = Self::named(name());
        run(&mut connection, format!("CREATE DATABASE {} TEMPLATE {template}", made.name)).await;
        made
    }

    /// An empty database without any.
    pub(crate) async fn bare() -> Self {
        let made = Self::named(name());
        run(&mut admin().await, format!("CREATE DATABASE {}", made.name)).await;
        made
    }

    fn named(name: String) -> Self {
        let text = database_of(shared(), &name);
        Self { url: text.parse().expect("a URL"), text, name }
    }

    /// A plain connection to it.
    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.text).await.expect("plain PostgreSQL")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if shared_is_temporary() {
            return;
        }
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let drop = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                // A server that is gone has no database to drop.
                if let Ok(mut connection) = PgConnection::connect(shared()).await {
                    let _ = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
                }
            });
        };
        // A runtime cannot be started on a thread that is in one.
        let _ = std::thread::spawn(drop).join();
    }
}
