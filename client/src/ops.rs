//! The requests of the contract, each as a method with its answer's type. They are asked once; only
//! [`Client::send`] and [`Client::subscribe`] are tried again.
//!
//! Every method fails with [`RequestError`]; what a refusal's code means for each stands in the contract.

use hubbub_protocol::{
    emoji::Emoji,
    ids::{RoomId, Seq, UserId},
    op::{Op, Page, Watched},
    push::{Presence, Status},
    rest::{Changed, History, Thread},
};
use serde::Deserialize;

use crate::{error::RequestError, handle::Client};

#[derive(Deserialize)]
struct Watching {
    users: Vec<Presence>,
}

impl Client {
    /// Stops following a room. Nothing of it is told once this was asked, whatever is on its way.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn unsubscribe(&self, room: RoomId) -> Result<(), RequestError> {
        self.request(Op::Unsubscribe { room }).await.map(drop)
    }

    /// A page of messages, at most 100.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn history(&self, room: RoomId, page: Page, limit: usize) -> Result<History, RequestError> {
        self.ask(Op::History { room, page, limit }).await
    }

    /// Changes the text of one's message.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn edit(&self, room: RoomId, seq: Seq, text: &str) -> Result<Changed, RequestError> {
        self.ask(Op::Edit { room, seq, text: text.to_owned() }).await
    }

    /// Deletes a message.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn delete(&self, room: RoomId, seq: Seq, reason: Option<&str>) -> Result<Changed, RequestError> {
        self.ask(Op::Delete { room, seq, reason: reason.map(str::to_owned) }).await
    }

    /// Reacts to a message.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn react(&self, room: RoomId, seq: Seq, emoji: Emoji) -> Result<Changed, RequestError> {
        self.ask(Op::React { room, seq, emoji }).await
    }

    /// Takes a reaction back.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn unreact(&self, room: RoomId, seq: Seq, emoji: Emoji) -> Result<Changed, RequestError> {
        self.ask(Op::Unreact { room, seq, emoji }).await
    }

    /// Pins a message.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn pin(&self, room: RoomId, seq: Seq) -> Result<Changed, RequestError> {
        self.ask(Op::Pin { room, seq }).await
    }

    /// Unpins a message.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn unpin(&self, room: RoomId, seq: Seq) -> Result<Changed, RequestError> {
        self.ask(Op::Unpin { room, seq }).await
    }

    /// Begins the thread of a message, or finds it.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn thread(&self, room: RoomId, seq: Seq, title: Option<&str>) -> Result<Thread, RequestError> {
        self.ask(Op::Thread { room, seq, title: title.map(str::to_owned) }).await
    }

    /// Says that the user is typing; once in 3 s is enough.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn typing(&self, room: RoomId) -> Result<(), RequestError> {
        self.request(Op::Typing { room }).await.map(drop)
    }

    /// Moves one's read marker forward.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn read(&self, room: RoomId, seq: Seq) -> Result<(), RequestError> {
        self.request(Op::Read { room, seq }).await.map(drop)
    }

    /// Sets one's presence.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn presence(&self, status: Status, text: Option<&str>) -> Result<(), RequestError> {
        self.request(Op::Presence { status, text: text.map(str::to_owned), emoji: None }).await.map(drop)
    }

    /// The presence of up to 200 people, and every change of it from then on. It replaces the watch before, and ends
    /// with the connection: ask again after [`crate::Update::Connected`].
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn watch(&self, users: Vec<UserId>) -> Result<Vec<Presence>, RequestError> {
        let Watching { users } = self.ask(Op::Watch(Watched::Users(users))).await?;
        Ok(users)
    }
}
