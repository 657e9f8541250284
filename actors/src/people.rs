//! What a user may see: rooms and communities, in the forms that clients are told of.

use std::sync::Arc;

use hubbub_protocol::room::RoomKind;
use hubbub_protocol::{error::Refusal, ids::UserId, permissions::Permissions, rest};
use hubbub_storage::facts::{Community, Room, User};
use serde_json::{Value, json};

use crate::{
    context::Context,
    directory::{community_rights, room_rights},
};

/// The rooms a user may see, threads aside: those of the user's communities and those of the user's
/// own.
///
/// # Errors
/// `unavailable`.
pub async fn rooms_of_user(context: &Context, user: UserId) -> Result<Vec<Arc<Room>>, Refusal> {
    let directory = &context.directory;
    let mut rooms = Vec::new();
    for community in directory.communities_of(user).await? {
        let member = directory.member(community.id, user).await?;
        let rights = community_rights(&community, user, member.as_deref());
        for room in directory.rooms_of(community.id).await?.iter().filter(|room| !room.own_membership()) {
            if room.kind != RoomKind::Community && room_rights(room, rights, true).has(Permissions::VIEW) {
                rooms.push(room.clone());
            }
        }
        if rights.has(Permissions::ADMINISTRATOR) {
            let private = directory.rooms_of(community.id).await?;
            rooms.extend(private.iter().filter(|room| room.own_membership()).cloned());
        }
    }
    for room in directory.own_rooms(user).await? {
        if room.parent.is_none() && !rooms.iter().any(|known| known.id == room.id) {
            rooms.push(room);
        }
    }
    Ok(rooms)
}

/// An account as others see it.
#[must_use]
pub fn user_brief(user: &User) -> rest::User {
    rest::User {
        id: user.id,
        name: user.name.clone(),
        display: user.display.clone(),
        avatar: user.avatar.clone(),
        created_at: user.created_at,
    }
}

/// A community in the answer to `identify`.
#[must_use]
pub fn community_brief(community: &Community) -> Value {
    json!({
        "id": community.id,
        "name": community.name,
        "description": community.description,
        "owner": community.owner,
        "public": community.public,
        "created_at": community.created_at,
    })
}
