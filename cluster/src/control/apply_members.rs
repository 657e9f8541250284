//! The rules of membership: founding, joining, starting again, leaving.

use hubbub_protocol::{
    ids::{Epoch, NodeId},
    shard::ShardBits,
};

use super::{
    apply::Ruling,
    command::{Answer, Refusal},
    member::{FOUNDER, MEMBERS_MAX, Member, MemberState, NewMember, VersionRange},
    place::{Place, ShardPlace},
    state::{CaFacts, Control},
    token::TokenId,
};

impl Control {
    pub(super) fn found(
        &mut self,
        cluster: u128,
        shard_bits: u8,
        version: u32,
        ca: CaFacts,
        founder: NewMember,
    ) -> Ruling {
        if self.is_founded() {
            return Err(Refusal::Founded);
        }
        if let Some(fault) = founder.fault() {
            return Err(Refusal::Wrong(fault.into()));
        }
        if cluster == 0 || shard_bits > hubbub_protocol::shard::SHARD_BITS_MAX || !ca.in_bounds() {
            return Err(Refusal::Wrong("cluster number, number of shards or certificate authority".into()));
        }
        if !founder.versions.holds(version) {
            return Err(Refusal::Version(version));
        }
        let place = ShardPlace { owner: FOUNDER, epoch: Epoch(1), place: Place::Stable, cell: 0 };
        let shards = usize::try_from(ShardBits::new(shard_bits).count()).unwrap_or(0);
        let member = Member {
            about: founder,
            state: MemberState::Up,
            incarnation: 1,
            election_slot: 0,
            id_slot: 1,
            leaving: false,
        };
        *self = Self {
            cluster,
            shard_bits,
            active_version: version,
            ca,
            members: [(FOUNDER, member)].into(),
            shards: vec![place; shards],
            map_version: 1,
            ..Self::default()
        };
        Ok(Answer::Joined { node: FOUNDER, election_slot: 0 })
    }

    /// The number of a node that joins is the index of its entry: it can never come again.
    pub(super) fn join(&mut self, id: NodeId, token: TokenId, node: NewMember, now_ms: u64) -> Ruling {
        let same_key = self.members.iter().find(|(_, member)| member.about.key_sha256 == node.key_sha256);
        if let Some((&known, member)) = same_key {
            let same_node = member.about.data_dir == node.data_dir && member.about.name == node.name;
            let again = Answer::Joined { node: known, election_slot: member.election_slot };
            return if same_node { Ok(again) } else { Err(Refusal::Taken("key".into())) };
        }
        if let Some(fault) = node.fault() {
            return Err(Refusal::Wrong(fault.into()));
        }
        for member in self.members.values() {
            if member.about.name == node.name {
                return Err(Refusal::Taken("name".into()));
            }
            if member.about.data_dir == node.data_dir {
                return Err(Refusal::Taken("data directory".into()));
            }
        }
        if !node.versions.holds(self.active_version) {
            return Err(Refusal::Version(self.active_version));
        }
        if self.members.len() >= MEMBERS_MAX {
            return Err(Refusal::TooMany("nodes".into()));
        }
        let permit = self.tokens.get_mut(&token).filter(|token| token.admits(now_ms) && node.role <= token.role);
        permit.ok_or(Refusal::TokenRefused)?.uses_left -= 1;
        let election_slot = self.free_election_slot();
        let id_slot = self.free_id_slot();
        let member = Member {
            about: node,
            state: MemberState::Joining,
            incarnation: 1,
            election_slot,
            id_slot,
            leaving: false,
        };
        self.members.insert(id, member);
        self.map_changed();
        Ok(Answer::Joined { node: id, election_slot })
    }

    /// A start of a member's process. Every shard it still owns is at a fresh epoch from then on, and a move that was
    /// under way is over: what the process before it held is nobody's. A node that was down or leaving comes back as
    /// one that joins; the others stay what they are.
    pub(super) fn register(
        &mut self,
        node: NodeId,
        incarnation: u64,
        addresses: Vec<String>,
        versions: VersionRange,
    ) -> Ruling {
        let active = self.active_version;
        let member = self.members.get_mut(&node).ok_or(Refusal::NoSuchNode(node))?;
        if incarnation < member.incarnation {
            return Err(Refusal::OldIncarnation { node, incarnation: member.incarnation });
        }
        if !versions.holds(active) {
            return Err(Refusal::Version(active));
        }
        let about = NewMember { addresses, versions, ..member.about.clone() };
        if let Some(fault) = about.fault() {
            return Err(Refusal::Wrong(fault.into()));
        }
        let starts = incarnation > member.incarnation;
        if starts && matches!(member.state, MemberState::Down | MemberState::Draining) {
            member.state = MemberState::Joining;
        }
        member.leaving &= !starts;
        member.incarnation = incarnation;
        member.about = about;
        if starts {
            for shard in self.shards.iter_mut().filter(|shard| shard.owner == node) {
                *shard = shard.given_to(node);
            }
        }
        self.map_changed();
        Ok(Answer::Done)
    }

    /// A node that is asked back stays [`MemberState::Draining`] until the leader finds it well.
    pub(super) fn leave(&mut self, node: NodeId, leaving: bool) -> Ruling {
        let member = self.members.get_mut(&node).ok_or(Refusal::NoSuchNode(node))?;
        member.leaving = leaving;
        if leaving && member.state.may_become(MemberState::Draining) {
            member.state = MemberState::Draining;
        }
        self.map_changed();
        Ok(Answer::Done)
    }

    pub(super) fn set_state(&mut self, node: NodeId, incarnation: u64, state: MemberState) -> Ruling {
        let member = self.members.get_mut(&node).ok_or(Refusal::NoSuchNode(node))?;
        if incarnation != member.incarnation {
            return Err(Refusal::OldIncarnation { node, incarnation: member.incarnation });
        }
        if member.state == state {
            return Ok(Answer::Done);
        }
        let stays = member.leaving && state == MemberState::Up;
        if stays || !member.state.may_become(state) {
            return Err(Refusal::NoSuchStep { from: member.state, to: state });
        }
        member.state = state;
        self.map_changed();
        Ok(Answer::Done)
    }

    pub(super) fn remove(&mut self, node: NodeId) -> Ruling {
        self.state_of(node)?;
        let shards = self.shards_of(node);
        if self.members.len() == 1 {
            return Err(Refusal::LastMember);
        }
        if shards > 0 {
            return Err(Refusal::OwnsShards { node, shards });
        }
        for shard in self.shards.iter_mut().filter(|shard| shard.place == (Place::Moving { to: node })) {
            shard.place = Place::Stable;
        }
        self.map_changed();
        self.members.remove(&node);
        self.revoked.insert(node);
        Ok(Answer::Done)
    }
}
