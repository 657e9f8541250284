//! The authors' connections: each a WebSocket client signed in as one author, so many at once.
//!
//! # Invariants
//!
//! * There are never more seats than [`Cast::clients`]: who needs one more takes the seat that has been
//!   free for the longest time. One is free, since every lease holds a permit and there are as many
//!   permits as seats.
//! * An author is signed in only while seated: the session is signed out when the seat is taken.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hubbub_client::{Account, Backfill, Client, Config, RequestError, TokenSource, rest::Rest};
use hubbub_protocol::{ids::UserId, op::Intents, rest::SignedIn};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::{
    cli::{admin_link::AdminLink, failure::Failure},
    http::admin_users::CreateToken,
};

/// What the authors' sessions are called.
const DEVICE: &str = "replay";

/// The authors' connections.
#[derive(Debug)]
pub struct Cast {
    link: Arc<AdminLink>,
    rest: Rest,
    clients: usize,
    permits: Arc<Semaphore>,
    seats: Mutex<HashMap<UserId, Arc<Seat>>>,
    turns: AtomicU64,
}

#[derive(Debug, Default)]
struct Seat {
    player: OnceCell<Player>,
    used: AtomicU64,
}

#[derive(Debug)]
struct Player {
    client: Client,
    account: Arc<Account>,
}

/// The use of an author's connection.
#[derive(Debug)]
pub struct Lease {
    client: Client,
    _seat: Arc<Seat>,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// The author's client.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }
}

impl Cast {
    /// A cast of up to `clients` connections to the node at `url`.
    #[must_use]
    pub fn new(link: Arc<AdminLink>, url: &str, clients: usize) -> Self {
        Self {
            link,
            rest: Rest::new(url),
            clients,
            permits: Arc::new(Semaphore::new(clients)),
            seats: Mutex::default(),
            turns: AtomicU64::new(0),
        }
    }

    /// The connection of `user`, made when there is none.
    ///
    /// # Errors
    /// Those of signing in and connecting.
    pub async fn lease(&self, user: UserId) -> Result<Lease, Failure> {
        let closed = |_| Failure::Failed("the replay has ended".to_owned());
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(closed)?;
        let (seat, gone) = self.seat(user);
        if let Some(gone) = gone {
            self.sign_out(gone).await;
        }
        let player = seat.player.get_or_try_init(|| self.enter(user)).await;
        match player {
            Ok(player) => Ok(Lease { client: player.client.clone(), _seat: seat, _permit: permit }),
            Err(failure) => {
                self.seats.lock().remove(&user);
                Err(failure)
            }
        }
    }

    /// The seat of `user`, and who had to leave for it.
    fn seat(&self, user: UserId) -> (Arc<Seat>, Option<Seat>) {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let mut seats = self.seats.lock();
        if let Some(seat) = seats.get(&user) {
            seat.used.store(turn, Ordering::Relaxed);
            return (Arc::clone(seat), None);
        }
        let mut gone = None;
        if seats.len() >= self.clients {
            let free = seats.iter().filter(|(_, seat)| Arc::strong_count(seat) == 1);
            let longest = free.min_by_key(|(_, seat)| seat.used.load(Ordering::Relaxed)).map(|(user, _)| *user);
            gone = longest.and_then(|user| seats.remove(&user)).and_then(Arc::into_inner);
        }
        let seat = Arc::new(Seat { player: OnceCell::new(), used: AtomicU64::new(turn) });
        seats.insert(user, Arc::clone(&seat));
        (seat, gone)
    }

    async fn enter(&self, user: UserId) -> Result<Player, Failure> {
        let path = format!("/v1/admin/users/{user}/token");
        let signed: SignedIn = self.link.post(&path, &CreateToken { device: Some(DEVICE.to_owned()) }).await?;
        let account = Arc::new(Account::new(self.rest.clone(), signed));
        let source: Arc<dyn TokenSource> = account.clone();
        let config = Config {
            device: DEVICE.to_owned(),
            // Nothing is followed, so there is nothing to hear but answers.
            intents: Intents::NONE,
            backfill: Some(Arc::new(self.rest.clone()) as Arc<dyn Backfill>),
            ..Config::with_source(self.rest.base(), source)
        };
        let (client, updates) = Client::connect(config).await.map_err(|error| unconnected(&error))?;
        drop(updates);
        Ok(Player { client, account })
    }

    /// Closes a connection and ends its session.
    async fn sign_out(&self, seat: Seat) {
        let Some(Player { client, account }) = seat.player.into_inner() else { return };
        drop(client);
        // A session that could not be ended ends by itself, as that of any device does.
        if let Ok(token) = account.token().await {
            let _ = self.rest.with_token(&token).logout().await;
        }
    }

    /// Gives up the connection of `user`, which has ended.
    pub fn forget(&self, user: UserId) {
        self.seats.lock().remove(&user);
    }

    /// Ends all connections and their sessions.
    pub async fn end(&self) {
        let seats: Vec<Arc<Seat>> = self.seats.lock().drain().map(|(_, seat)| seat).collect();
        for seat in seats.into_iter().filter_map(Arc::into_inner) {
            self.sign_out(seat).await;
        }
    }
}

fn unconnected(error: &RequestError) -> Failure {
    match error {
        RequestError::Refused(refusal) => refusal.clone().into(),
        RequestError::Ended(_) => Failure::Refused(error.to_string()),
        RequestError::Late | RequestError::Disconnected => {
            Failure::NotRunning(format!("the node cannot be reached: {error}"))
        }
        RequestError::NoToken(_) | RequestError::Unreadable => Failure::Failed(error.to_string()),
    }
}
