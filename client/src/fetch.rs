//! Fetching a page of a room's log, from the node or from wherever a test keeps it.

use std::fmt::Debug;

use async_trait::async_trait;
use hubbub_protocol::{
    error::ErrorCode,
    ids::{RoomId, Seq},
};

use crate::{
    core::Fetched,
    error::RequestError,
    rest::{EventPage, Rest, RestError},
    token::TokenSource,
    track::Came,
};

/// Events fetched at once: as many as a page may have.
const PAGE: usize = 100;

/// Where missing events come from.
#[async_trait]
pub trait Backfill: Send + Sync + Debug {
    /// The first `limit` events of `room` after `after`, as pushes, and where the next page begins if there is one.
    ///
    /// # Errors
    /// [`RestError::Refused`], not retryable, when the room's log is closed to the account; anything else is tried
    /// again.
    async fn events(&self, token: &str, room: RoomId, after: Seq, limit: usize) -> Result<EventPage, RestError>;
}

#[async_trait]
impl Backfill for Rest {
    async fn events(&self, token: &str, room: RoomId, after: Seq, limit: usize) -> Result<EventPage, RestError> {
        self.with_token(token).events(room, after, limit).await
    }
}

/// A page, read. One event that cannot be read makes the page unreadable: it must not pass for one that is gone.
pub(crate) async fn page(source: &dyn Backfill, tokens: &dyn TokenSource, room: RoomId, after: Seq) -> Fetched {
    let token = tokens.token().await?;
    match source.events(&token, room, after, PAGE).await {
        Ok((pushes, _)) => {
            let read: Option<Vec<Came>> = pushes.into_iter().map(Came::read).collect();
            read.filter(|page| page.iter().all(|came| came.room == room)).ok_or(RequestError::Unreadable)
        }
        Err(RestError::Refused(refusal)) if refusal.code == ErrorCode::Unauthorized => {
            tokens.expired(&token).await;
            Err(RequestError::NoToken(refusal.message))
        }
        Err(RestError::Refused(refusal)) => Err(RequestError::Refused(refusal)),
        Err(error) => {
            tracing::debug!(%error, room.id = %room, "could not fetch what is missing");
            Err(RequestError::Disconnected)
        }
    }
}
