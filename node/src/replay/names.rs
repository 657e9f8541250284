//! What an archive's names stand for in the community: asked of the node, and remembered within bounds.

use std::{collections::HashMap, sync::Arc};

use hubbub_protocol::ids::{CommunityId, RoomId, UserId};

use crate::{
    archive::{known::distinct, line::Line},
    cli::{admin_link::AdminLink, failure::Failure},
    http::admin_archive::{ArchiveIds, ArchiveNames, NAMES_MAX},
};

/// Names of one kind remembered, some 100 bytes each; beyond, all are asked for anew.
const REMEMBERED_MAX: usize = 100_000;

/// Names that were asked for.
#[derive(Debug)]
pub struct Names {
    link: Arc<AdminLink>,
    path: String,
    /// The community.
    pub community: CommunityId,
    rooms: HashMap<String, RoomId>,
    users: HashMap<String, UserId>,
}

impl Names {
    /// Begins with the community of that name, which is made when there is none.
    ///
    /// # Errors
    /// Those of the link.
    pub async fn begin(link: Arc<AdminLink>, community: &str) -> Result<Self, Failure> {
        let query = serde_urlencoded::to_string([("community", community)]).unwrap_or_default();
        let path = format!("/v1/admin/import/names?{query}");
        let known: ArchiveIds = link.post(&path, &ArchiveNames::default()).await?;
        Ok(Self { link, path, community: known.community, rooms: HashMap::new(), users: HashMap::new() })
    }

    /// Learns all names in `lines`.
    ///
    /// # Errors
    /// Those of the link.
    pub async fn learn(&mut self, lines: &[&Line]) -> Result<(), Failure> {
        for remembered in [self.rooms.len(), self.users.len()] {
            if remembered > REMEMBERED_MAX {
                self.rooms.clear();
                self.users.clear();
            }
        }
        let new_rooms = lines.iter().map(|line| line.room.as_str()).filter(|room| !self.rooms.contains_key(*room));
        let new_users = lines.iter().flat_map(|line| line.people()).filter(|user| !self.users.contains_key(*user));
        let (rooms, users) = (distinct(new_rooms), distinct(new_users));
        for rooms in rooms.chunks(NAMES_MAX) {
            self.ask(ArchiveNames { rooms: rooms.to_vec(), users: Vec::new() }).await?;
        }
        for users in users.chunks(NAMES_MAX) {
            self.ask(ArchiveNames { rooms: Vec::new(), users: users.to_vec() }).await?;
        }
        Ok(())
    }

    async fn ask(&mut self, names: ArchiveNames) -> Result<(), Failure> {
        let ids: ArchiveIds = self.link.post(&self.path, &names).await?;
        self.rooms.extend(names.rooms.into_iter().zip(ids.rooms));
        self.users.extend(names.users.into_iter().zip(ids.users));
        Ok(())
    }

    /// A room that was learnt.
    ///
    /// # Errors
    /// [`Failure::Failed`] when the node did not tell it.
    pub fn room(&self, name: &str) -> Result<RoomId, Failure> {
        self.rooms.get(name).copied().ok_or_else(|| untold(name))
    }

    /// A user who was learnt.
    ///
    /// # Errors
    /// [`Failure::Failed`] when the node did not tell it.
    pub fn user(&self, name: &str) -> Result<UserId, Failure> {
        self.users.get(name).copied().ok_or_else(|| untold(name))
    }
}

fn untold(name: &str) -> Failure {
    Failure::Failed(format!("the node did not say what `{name}` stands for"))
}
