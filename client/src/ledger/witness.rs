//! A client that follows rooms and notes every event it is handed.
//!
//! # Invariants
//!
//! * It reads on while it asks to follow the next thread, so it never holds its own connection up.

use std::{
    collections::VecDeque,
    future::{Future, pending},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use hubbub_protocol::{
    event::EventBody,
    ids::{RoomId, Seq},
    op::Mode,
    push::Subscribed,
};
use tokio::task::JoinHandle;

use super::Ledger;
use crate::{Client, Config, RequestError, Update, Updates};

type Asked = Pin<Box<dyn Future<Output = (RoomId, Result<Subscribed, RequestError>)> + Send>>;

/// A client with a ledger.
#[derive(Debug)]
pub struct Witness {
    client: Client,
    ledger: Arc<Mutex<Ledger>>,
    reading: JoinHandle<Result<(), RequestError>>,
}

impl Witness {
    /// Connects and follows `rooms` from their beginning; with `threads`, also every thread that begins in them.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn follow(config: Config, rooms: &[RoomId], threads: bool) -> Result<Self, RequestError> {
        let (client, updates) = Client::connect(config).await?;
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let reader = Reader {
            client: client.clone(),
            ledger: Arc::clone(&ledger),
            threads,
            waiting: VecDeque::new(),
            asked: None,
        };
        let reading = tokio::spawn(reader.run(updates));
        let witness = Self { client, ledger, reading };
        for room in rooms {
            witness.lock().begin(*room, Seq(0));
            witness.client.subscribe(*room, Some(Seq(0)), Mode::Live).await?;
        }
        Ok(witness)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// Whether it has been handed all that `log` has of its rooms.
    #[must_use]
    pub fn has_all_of(&self, log: &Ledger) -> bool {
        let seen = self.lock();
        seen.lines().all(|(room, line)| line.last >= log.line(room).last)
    }

    /// Ends the client, and gives its ledger.
    ///
    /// # Errors
    /// Why it could not go on, if it ended before.
    pub async fn end(self) -> Result<Ledger, RequestError> {
        if self.reading.is_finished() {
            self.reading.await.unwrap_or(Err(RequestError::Disconnected))?;
        } else {
            self.reading.abort();
        }
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(ledger)
    }
}

fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Reader {
    client: Client,
    ledger: Arc<Mutex<Ledger>>,
    threads: bool,
    /// Threads that are yet to be followed, at most as many as there are.
    waiting: VecDeque<RoomId>,
    asked: Option<Asked>,
}

impl Reader {
    async fn run(mut self, mut updates: Updates) -> Result<(), RequestError> {
        loop {
            self.ask_on();
            let asked = async {
                match &mut self.asked {
                    Some(asked) => asked.await,
                    None => pending().await,
                }
            };
            tokio::select! {
                (room, answer) = asked => {
                    answer.inspect_err(|error| tracing::warn!(room.id = %room, %error, "a thread is not followed"))?;
                    self.asked = None;
                }
                update = updates.next() => match update {
                    Some(update) => self.note(update)?,
                    None => return Ok(()),
                },
            }
        }
    }

    fn ask_on(&mut self) {
        if self.asked.is_some() {
            return;
        }
        self.asked = self.waiting.pop_front().map(|room| {
            let client = self.client.clone();
            Box::pin(async move { (room, client.subscribe(room, Some(Seq(0)), Mode::Live).await) }) as Asked
        });
    }

    fn note(&mut self, update: Update) -> Result<(), RequestError> {
        match update {
            Update::Event(event, push) => {
                if let EventBody::ThreadCreated { room, .. } = &event.body
                    && self.threads
                {
                    lock(&self.ledger).begin(*room, Seq(0));
                    self.waiting.push_back(*room);
                }
                lock(&self.ledger).note(event.room, event.seq, &push);
            }
            Update::LaterEvent { room, seq, json } => lock(&self.ledger).note(room, seq, &json),
            Update::Unfollowed { refusal, .. } => return Err(RequestError::Refused(refusal)),
            Update::Ended(code) => return Err(RequestError::Ended(code)),
            // What was lost or taken back shows in the ledger: as a hole, or as an event that came late.
            Update::Lost { .. }
            | Update::Rewound { .. }
            | Update::Push(_)
            | Update::Connected
            | Update::Disconnected => {}
        }
        Ok(())
    }
}
