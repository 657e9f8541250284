//! A bounded set of connections, each lent to one piece of work at a time.
//!
//! Work runs in a task of its own, so it ends even when its caller stops waiting: the connection comes
//! back only when the server has answered. Whoever finds all connections lent waits in the order of
//! coming, for at most [`WAIT_MAX`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    failure::Stop,
    session::{Session, silent},
};
use crate::pool::PoolStatus;

/// Longest wait for a connection when all are lent.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest wait for the end of one piece of work: more than the server takes for two statements that
/// it gives up on.
const ANSWER_WITHIN: Duration = Duration::from_secs(12);
/// Pause between two tries to connect.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);
/// Longest wait for those at work when the pool is closed.
const CLOSE_WITHIN: Duration = Duration::from_secs(15);

/// Work on a connection.
pub(super) trait Work<T>: Send + 'static {
    /// Does it.
    fn run(self, connection: &mut PgConnection) -> impl Future<Output = Result<T, Stop>> + Send;
}

#[derive(Debug, Default)]
struct Counts {
    open: AtomicUsize,
    waits: AtomicU64,
    waited_us: AtomicU64,
    lost: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    name: &'static str,
    max: usize,
    options: PgConnectOptions,
    /// For how long making a connection is tried again while the server is not there.
    patience: Duration,
    /// A connection that has been idle for longer is asked whether it is still there before it is lent.
    trusted_idle: Duration,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
    /// Names of sessions whose end is not known: they may still be at work on the server.
    loose: Mutex<Vec<String>>,
    counts: Counts,
}

/// A bounded set of connections. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Pool(Arc<Inner>);

impl Pool {
    pub(super) fn new(
        name: &'static str,
        options: PgConnectOptions,
        max: usize,
        (patience, trusted_idle): (Duration, Duration),
    ) -> Self {
        let permits = Arc::new(Semaphore::new(max));
        let (idle, loose, counts) = (Mutex::default(), Mutex::default(), Counts::default());
        Self(Arc::new(Inner { name, max, options, patience, trusted_idle, permits, idle, loose, counts }))
    }

    pub(super) fn status(&self) -> PoolStatus {
        let Inner { name, max, counts, idle, .. } = &*self.0;
        PoolStatus {
            name,
            max: *max,
            open: counts.open.load(Ordering::Relaxed),
            idle: idle.lock().len(),
            waits: counts.waits.load(Ordering::Relaxed),
            waited_ms: counts.waited_us.load(Ordering::Relaxed) / 1_000,
            lost: counts.lost.load(Ordering::Relaxed),
        }
    }

    /// Waits for the turn of one who wants a connection.
    pub(super) async fn turn(&self) -> Result<Turn, Stop> {
        let permits = self.0.permits.clone();
        if let Ok(permit) = permits.clone().try_acquire_owned() {
            return Ok(Turn { pool: self.0.clone(), permit });
        }
        self.0.counts.waits.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        let turn = tokio::time::timeout(WAIT_MAX, permits.acquire_owned()).await;
        let waited_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.counts.waited_us.fetch_add(waited_us, Ordering::Relaxed);
        match turn {
            Ok(Ok(permit)) => Ok(Turn { pool: self.0.clone(), permit }),
            Ok(Err(_)) => Err(sqlx::Error::PoolClosed.into()),
            Err(_) => Err(Stop::Failed(
                format!("all {} connections of the {} were at work for {WAIT_MAX:?}", self.0.max, self.0.name)
                    .into(),
            )),
        }
    }

    /// Does `work` on the next connection that is free.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T, Stop> {
        self.turn().await?.run(work).await
    }

    pub(super) async fn close(&self) {
        let everyone = u32::try_from(self.0.max).unwrap_or(u32::MAX);
        // Those who take longer are cut off by the end of the process.
        let _ = tokio::time::timeout(CLOSE_WITHIN, self.0.permits.acquire_many(everyone)).await;
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.0.idle.lock());
        for session in idle {
            self.0.counts.open.fetch_sub(1, Ordering::Relaxed);
            let _ = session.connection.close().await;
        }
    }
}

/// The right to use a connection.
#[derive(Debug)]
pub(super) struct Turn {
    pool: Arc<Inner>,
    permit: OwnedSemaphorePermit,
}

impl Turn {
    /// Does `work`, also when the caller stops waiting for it.
    pub(super) async fn run<T: Send + 'static>(self, work: impl Work<T>) -> Result<T, Stop> {
        let Self { pool, permit } = self;
        let task = tokio::spawn(async move {
            let done = pool.lend(work).await;
            drop(permit);
            done
        });
        task.await.unwrap_or_else(|panicked| Err(Stop::Failed(panicked.into())))
    }
}

impl Inner {
    async fn lend<T>(self: &Arc<Self>, work: impl Work<T>) -> Result<T, Stop> {
        let session = self.session().await?;
        let mut lent = Lent { pool: self.clone(), session: Some(session) };
        let Some(session) = lent.session.as_mut() else { unreachable!("it was just lent") };
        let done = match tokio::time::timeout(ANSWER_WITHIN, work.run(&mut session.connection)).await {
            Ok(done) => done,
            Err(_) => Err(silent().into()),
        };
        if !done.as_ref().is_err_and(Stop::breaks) {
            lent.give_back();
        }
        done
    }

    async fn session(&self) -> Result<Session, Stop> {
        loop {
            let Some(mut session) = self.idle.lock().pop() else { break };
            if session.answered.elapsed() < self.trusted_idle {
                return Ok(session);
            }
            let there = tokio::time::timeout(ANSWER_WITHIN, session.connection.ping()).await;
            if matches!(there, Ok(Ok(()))) {
                return Ok(session);
            }
            self.counts.open.fetch_sub(1, Ordering::Relaxed);
        }
        let begun = Instant::now();
        loop {
            let tried = self.connect().await;
            let patient = begun.elapsed() < self.patience && !self.permits.is_closed();
            match tried {
                Err(stop) if stop.passes() && patient => tokio::time::sleep(CONNECT_PAUSE).await,
                tried => return tried,
            }
        }
    }

    async fn connect(&self) -> Result<Session, Stop> {
        let mut session = Session::connect(&self.options, self.name).await?;
        let loose = self.loose.lock().clone();
        if let Err(error) = session.end_others(&loose).await {
            // A server that does not let us end our own sessions still ends them after the statement's
            // time, and appends are safe under the fence meanwhile.
            tracing::warn!(%error, "could not end what lost connections left at work");
        }
        self.loose.lock().retain(|name| !loose.contains(name));
        self.counts.open.fetch_add(1, Ordering::Relaxed);
        Ok(session)
    }
}

/// A session that is lent; lost unless it is given back.
struct Lent {
    pool: Arc<Inner>,
    session: Option<Session>,
}

impl Lent {
    fn give_back(mut self) {
        if let Some(mut session) = self.session.take() {
            session.answered = Instant::now();
            self.pool.idle.lock().push(session);
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.pool.counts.open.fetch_sub(1, Ordering::Relaxed);
            self.pool.counts.lost.fetch_add(1, Ordering::Relaxed);
            self.pool.loose.lock().push(session.name);
        }
    }
}
