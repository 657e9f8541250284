//! Callers that give up, servers that restart, connections that die half way.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use hubbub_protocol::ids::{NodeId, Seq};
use hubbub_tests::postgres::Server;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::net::{TcpListener, TcpStream};

use super::{EPOCH, ROOM, SHARD, head, messages, ours};
use crate::{
    Activation, AppendOutcome, LogStore, MetaStore, Window,
    postgres::{PostgresConfig, PostgresStore, PostgresUrl, testing::Database},
};

/// Polls `work` at most `times`, with a moment in between, then gives it up at once.
async fn give_up_after<T>(times: usize, work: impl Future<Output = T>) {
    let mut work = pin!(work);
    for poll in 0..times {
        if poll > 0 {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        if std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_ready())).await {
            return;
        }
    }
}

#[tokio::test]
async fn what_is_said_of_an_append_given_up_stays_true() {
    let (store, _database) = ours(PostgresConfig::default()).await;
    let mut committed = 0;
    for turn in 0..60 {
        let batch = messages(committed, 1 + turn % 2 * 30);
        let size = batch.shards[0].events.len() as u64;
        give_up_after(turn as usize / 2 % 12, store.append(&batch)).await;
        let said = store.resolve(&batch).await.expect("a read")[0];
        tokio::time::sleep(Duration::from_millis(2)).await;
        let now = head(&store).await;
        match said {
            AppendOutcome::Committed => assert_eq!(now, committed + size, "turn {turn}"),
            AppendOutcome::Conflict { head } => assert_eq!((head.0, now), (committed, committed), "turn {turn}"),
            other => panic!("turn {turn}: {other:?}"),
        }
        committed = now;
    }
    assert!(committed > 0, "some of the appends had gone far enough");
}

/// The statement is on the server, waiting for a lock, when its connection is cut: nobody could tell
/// whether it will still be carried out, so it is ended before anything is said.
#[tokio::test]
async fn an_append_whose_connection_was_cut_does_not_land_after_it_was_resolved() {
    let database = Database::fresh().await;
    let (cut, port) = cable(database.url.options().get_port()).await;
    let url: PostgresUrl = database
        .text
        .replace(&format!(":{}/", database.url.options().get_port()), &format!(":{port}/"))
        .parse()
        .expect("a URL");
    let store = PostgresStore::open(&url, PostgresConfig::default()).await.expect("a fresh store opens");
    store.activate(&[(SHARD, EPOCH)], NodeId(1)).await.expect("a write");
    let mut other = database.connect().await;
    other.execute("BEGIN; SELECT * FROM shard_fence FOR UPDATE").await.expect("a lock");
    let batch = messages(0, 1);
    let appending = {
        let (store, batch) = (store.clone(), batch.clone());
        tokio::spawn(async move { store.append(&batch).await })
    };
    let mut watch = database.connect().await;
    let waits =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    until(&mut watch, waits, 1).await;
    cut.send(()).expect("the cable is there");
    appending.await.expect("no panic").expect_err("its connection was cut");
    let resolving = {
        let (store, batch) = (store.clone(), batch.clone());
        tokio::spawn(async move { store.resolve(&batch).await })
    };
    // The one that asks waits in its place: the append itself is gone.
    until(
        &mut watch,
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%FOR SHARE%' AND wait_event_type = 'Lock'",
        1,
    )
    .await;
    let waiting = sqlx::query(waits).fetch_one(&mut watch).await.expect("a row");
    assert_eq!(sqlx::Row::get::<i64, _>(&waiting, 0), 1, "the append still waits for the lock");
    other.execute("COMMIT").await.expect("the lock is let go");
    let said = resolving.await.expect("no panic").expect("a read")[0];
    assert_eq!(said, AppendOutcome::Conflict { head: Default::default() });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(head(&store).await, 0, "it landed after all");
    assert_eq!(store.append(&batch).await.expect("the store appends"), [AppendOutcome::Committed]);
}

/// A cable to the server at `port`, and its own port. When it is cut, clients see the end of their
/// connections, and the server sees nothing.
async fn cable(port: u16) -> (tokio::sync::broadcast::Sender<()>, u16) {
    let ours = hubbub_tests::free_port();
    let listener = TcpListener::bind(("127.0.0.1", ours)).await.expect("a free port");
    let (cut, _) = tokio::sync::broadcast::channel(1);
    let cuts = cut.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut cut = cuts.subscribe();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.expect("the server answers");
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    _ = cut.recv() => {
                        drop(client);
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                }
            });
        }
    });
    (cut, ours)
}

async fn until(connection: &mut PgConnection, sql: &'static str, wanted: i64) {
    for _ in 0..500 {
        let row = sqlx::query(sql).fetch_one(&mut *connection).await.expect("a row");
        if sqlx::Row::get::<i64, _>(&row, 0) == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {wanted}: {sql}");
}

/// Appends until told to stop, over restarts: every message once, none that was acknowledged is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_rides_out_restarts_and_crashes_of_its_server() {
    let server = Arc::new(Server::start());
    let url: PostgresUrl = server.url().parse().expect("a URL");
    let store = PostgresStore::open(&url, PostgresConfig::default()).await.expect("a fresh store opens");
    let active = store.activate(&[(SHARD, EPOCH)], NodeId(1)).await.expect("a write");
    assert!(matches!(active[..], [Activation::Active { .. }]));
    let told = Arc::new(AtomicU64::new(0));
    let stops = {
        let (server, told) = (server.clone(), told.clone());
        tokio::spawn(async move {
            for stop in [Server::stop, Server::crash] {
                let before = told.load(Ordering::Relaxed);
                while told.load(Ordering::Relaxed) < before + 30 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let server = server.clone();
                let stopped = tokio::task::spawn_blocking(move || {
                    stop(&server);
                    server.start_again();
                });
                stopped.await.expect("the server stops and starts");
            }
        })
    };
    let mut acknowledged = 0;
    while !stops.is_finished() {
        let batch = messages(acknowledged, 3);
        let outcome = match store.append(&batch).await {
            Ok(outcomes) => outcomes[0],
            Err(_) => loop {
                match store.resolve(&batch).await {
                    Ok(outcomes) => break outcomes[0],
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            },
        };
        match outcome {
            AppendOutcome::Committed => {
                acknowledged += 3;
                told.store(acknowledged, Ordering::Relaxed);
            }
            AppendOutcome::Conflict { head } => assert_eq!(head.0, acknowledged, "nothing else writes"),
            other => panic!("{other:?}"),
        }
    }
    stops.await.expect("the server was stopped twice");
    assert!(acknowledged > 0);
    // Idle connections died as well; who reads does not notice.
    let page = store.messages(ROOM, Window::Newest, 10).await.expect("a read");
    assert_eq!(page.messages.last().map(|message| message.seq), Some(Seq(acknowledged)));
    store.secret_or("after", b"all").await.expect("a write");
    let events = store.events(ROOM, Seq(0), usize::MAX).await.expect("a read");
    assert!(events.iter().map(|event| event.seq.0).eq(1..=acknowledged), "dense, each once");
    assert!(store.pools().iter().any(|pool| pool.lost > 0), "{:?}", store.pools());
}

#[tokio::test]
async fn a_server_that_turns_read_only_is_said_to_be_and_serves_again_after() {
    let (store, database) = ours(PostgresConfig::default()).await;
    store.append(&messages(0, 1)).await.expect("the store appends");
    let name = database.url.options().get_database().expect("a name").to_owned();
    let set = |on: &str| format!("ALTER DATABASE {name} SET default_transaction_read_only = {on}");
    let mut admin = PgConnection::connect(&database.text).await.expect("plain PostgreSQL");
    let run = async |sql: String, admin: &mut PgConnection| {
        admin.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.expect("obeys");
    };
    run(set("on"), &mut admin).await;
    // New sessions alone have the new setting.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    run(end.to_owned(), &mut admin).await;
    let batch = messages(1, 1);
    let mut said = String::new();
    for _ in 0..3 {
        let error = store.append(&batch).await.expect_err("it is read-only");
        said = crate::ErrorChain(&error).to_string();
    }
    assert!(said.contains("read-only"), "{said}");
    store.check_writes().await.expect_err("health says so, too");
    run("SET default_transaction_read_only = off".to_owned(), &mut admin).await;
    run(set("off"), &mut admin).await;
    run(end.to_owned(), &mut admin).await;
    for _ in 0..3 {
        if store.append(&batch).await.is_ok() {
            break;
        }
    }
    assert_eq!(head(&store).await, 2);
    store.check_writes().await.expect("it writes again");
}
