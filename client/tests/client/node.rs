//! A node in a few hundred lines: it keeps logs and sessions, speaks the contract in both formats, and breaks its
//! promises as often as a test asks it to.

mod http;
mod line;
mod state;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use hubbub_client::{
    Backfill, Backoff, Client, Config, Update, Updates,
    ledger::{Faults as Found, Ledger},
    rest::{EventPage, RestError},
};
use hubbub_protocol::{
    frame::Format,
    ids::{RoomId, Seq},
};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

pub(crate) use self::state::{Faults, Out, State};

/// How long a test waits for what has to come.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// Waits between connections, short for tests.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(10),
    longest: Duration::from_millis(100),
    steady: Duration::from_millis(200),
};

/// A running node; it stops when dropped.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    url: String,
    state: Arc<Mutex<State>>,
    _accepting: Arc<Stop>,
}

#[derive(Debug)]
struct Stop(JoinHandle<()>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Node {
    pub(crate) async fn start(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let state = Arc::new(Mutex::new(State::new(faults)));
        let served = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(line::serve(stream, served.clone()));
            }
        });
        Self { url, state, _accepting: Arc::new(Stop(accepting)) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    /// A configuration whose holes are filled from this node's logs, without HTTP.
    pub(crate) fn config(&self, format: Format) -> Config {
        let backfill = Arc::new(Shelf(self.clone()));
        Config { format, backoff: BACKOFF, backfill: Some(backfill), ..Config::new(&self.url, "token") }
    }

    pub(crate) async fn client(&self, format: Format) -> (Client, Updates) {
        Client::connect(self.config(format)).await.expect("the node is there")
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Waits until `reached` says so of the state.
    pub(crate) async fn until(&self, what: &str, reached: impl Fn(&State) -> bool) {
        let waiting = async {
            while !reached(&self.state()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("never came: {what}"));
    }
}

/// The node's logs, read at once; as often as faults say it fails.
#[derive(Debug)]
struct Shelf(Node);

#[async_trait]
impl Backfill for Shelf {
    async fn events(&self, _: &str, room: RoomId, after: Seq, limit: usize) -> Result<EventPage, RestError> {
        self.0.state().page(room, after, limit)
    }
}

/// Reads updates into a ledger until it stands at `heads`; panics when that takes too long.
pub(crate) async fn read_to(updates: &mut Updates, heads: &BTreeMap<RoomId, Seq>) -> Ledger {
    let mut ledger = Ledger::default();
    let reading = async {
        while !heads.iter().all(|(room, head)| ledger.line(*room).last >= *head) {
            match updates.next().await {
                Some(Update::Event(event, json)) => ledger.note(event.room, event.seq, &json),
                Some(Update::Lost { room, from, to }) => panic!("lost {from} to {to} of {room}"),
                Some(Update::Ended(code)) => panic!("ended with {code}"),
                Some(_) => {}
                None => panic!("the updates ended"),
            }
        }
    };
    if timeout(SOON, reading).await.is_err() {
        panic!("never got to {heads:?}: {ledger:?}");
    }
    ledger
}

/// Panics unless the ledger holds what the node's logs hold, in the same bytes and order, without a fault.
pub(crate) fn assert_whole(ledger: &Ledger, node: &Node) {
    assert_eq!(ledger.faults(), Found::default());
    let state = node.state();
    for (room, log) in state.logs() {
        let mut wanted = Ledger::default();
        for (seq, push) in (1..).zip(log) {
            wanted.note(*room, Seq(seq), push);
        }
        assert_eq!(ledger.line(*room), wanted.line(*room), "room {room}");
    }
}

/// The next update that `wanted` reads something from.
pub(crate) async fn next<T>(updates: &mut Updates, what: &str, wanted: impl Fn(Update) -> Option<T>) -> T {
    let waiting = async {
        loop {
            let update = updates.next().await.unwrap_or_else(|| panic!("the updates ended before: {what}"));
            if let Some(read) = wanted(update) {
                return read;
            }
        }
    };
    timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("never came: {what}"))
}
