//! What is still to be told to the application, so that heartbeats go on while it is busy.
//!
//! # Invariants
//!
//! * Nothing that makes more of it is read while anything waits here, so it never holds more than what one frame or
//!   one page can release: the 256 events behind a hole, a page of 100, and what 32 answers bring.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::update::Update;

/// Updates on their way to the application.
#[derive(Debug)]
pub(crate) struct Told {
    waiting: VecDeque<Update>,
    sender: mpsc::Sender<Update>,
}

impl Told {
    pub(crate) const fn new(sender: mpsc::Sender<Update>) -> Self {
        Self { waiting: VecDeque::new(), sender }
    }

    /// Adds one, or hands it over at once if it can be.
    pub(crate) fn push(&mut self, update: Update) {
        self.waiting.push_back(update);
        while let Some(update) = self.waiting.pop_front() {
            match self.sender.try_send(update) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(update)) => return self.waiting.push_front(update),
                // An application that only asks has dropped its updates.
                Err(mpsc::error::TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands over the first that waits, once the application has made room. Dropping the future loses nothing.
    pub(crate) async fn one(&mut self) {
        match self.sender.reserve().await {
            Ok(room) => {
                if let Some(update) = self.waiting.pop_front() {
                    room.send(update);
                }
            }
            Err(_) => self.waiting.clear(),
        }
    }

    /// Hands over all that waits.
    pub(crate) async fn all(&mut self) {
        while !self.is_empty() {
            self.one().await;
        }
    }
}
