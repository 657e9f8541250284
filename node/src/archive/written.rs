//! Names in archives for what was written here and never imported.
//!
//! A message is `hub:ROOM:SEQ`, its seq in ten digits so that names of one room sort as its messages
//! do; a thread is `hub:ROOM`.

use hubbub_protocol::{
    error::Refusal,
    ids::{CommunityId, RoomId, Seq},
};
use hubbub_storage::Store;

use crate::http::error::store_refusal;

const PREFIX: &str = "hub:";

/// The name of a message written here.
#[must_use]
pub fn message(room: RoomId, seq: Seq) -> String {
    format!("{PREFIX}{room}:{:010}", seq.0)
}

/// The name of a thread begun here.
#[must_use]
pub fn thread(room: RoomId) -> String {
    format!("{PREFIX}{room}")
}

/// The place a name of that form names.
#[must_use]
pub fn place(id: &str) -> Option<(RoomId, Seq)> {
    let (room, seq) = id.strip_prefix(PREFIX)?.split_once(':')?;
    let (room, seq) = (room.parse().ok()?, Seq(seq.parse().ok()?));
    (message(room, seq) == id).then_some((room, seq))
}

/// Where the message of that name is, if it was written in this community.
///
/// # Errors
/// `unavailable`.
pub async fn find(store: &dyn Store, community: CommunityId, id: &str) -> Result<Option<(RoomId, Seq)>, Refusal> {
    let Some((room, seq)) = place(id) else { return Ok(None) };
    let facts = store.room(room).await.map_err(|error| store_refusal(&error))?;
    if facts.is_none_or(|facts| facts.community != Some(community)) {
        return Ok(None);
    }
    let message = store.message(room, seq).await.map_err(|error| store_refusal(&error))?;
    let ours = message.is_some_and(|message| message.imported.is_none());
    Ok(ours.then_some((room, seq)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_message_and_sorts_as_it_does() {
        let room = RoomId::from_raw(7);
        assert_eq!(place(&message(room, Seq(12))), Some((room, Seq(12))));
        assert!(message(room, Seq(9)) < message(room, Seq(10)));
        for other in ["fcc:1", "hub:0000000000007", "hub:0000000000007:12", "hub:x:0000000012"] {
            assert_eq!(place(other), None, "{other}");
        }
    }
}
