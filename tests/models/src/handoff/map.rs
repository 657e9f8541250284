//! The map of [`super::Handoff`], changed by the product's own rules.

use hubbub_cluster::control::{
    Answer, Command, Control, MemberState, NewMember, Place, Request, Role, ShardMove, ShardPlace, Token, TokenId,
    VersionRange, state::CaFacts,
};
use hubbub_protocol::{
    ids::{Epoch, NodeId},
    shard::ShardId,
};

use super::Placed;

const SHARD: ShardId = ShardId(0);
const SECOND: NodeId = NodeId(12);
const NODES: [NodeId; 2] = [NodeId(1), SECOND];

/// A change of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A move to the other node begins.
    Begin,
    /// The move at this epoch ends.
    Finish(u8),
    /// The move is taken back.
    Cancel,
}

/// A cluster of two nodes that are up, and one shard.
pub(super) fn founded() -> Control {
    let mut control = Control::default();
    let ca = CaFacts { roots: vec![vec![0x30]], sealed_key: vec![9] };
    let token = Token { secret_sha256: [3; 32], role: Role::Voter, uses_left: 1, expires_ms: 1 };
    let up = Command::SetState { node: SECOND, incarnation: 1, state: MemberState::Up };
    for (index, command) in [
        (10, Command::Found { cluster: 0xC1, shard_bits: 0, version: 1, ca, founder: member(1) }),
        (11, Command::CreateToken { id: TokenId(1), token, now_ms: 0 }),
        (SECOND.0, Command::Join { token: TokenId(1), node: member(2), now_ms: 0 }),
        (13, up),
    ] {
        let answers = control.apply(index, vec![Request { id: None, command }]);
        assert!(!matches!(answers.as_slice(), [Answer::Refused(_)]), "the cluster is founded: {answers:?}");
    }
    control
}

/// Where the shard is after `change`; as before where the rules refuse it.
pub(super) fn changed(founded: &Control, place: Placed, change: Change) -> Placed {
    let mut control = founded.clone();
    let other = NODES[usize::from(1 - place.owner)];
    control.shards[0] = ShardPlace {
        owner: NODES[usize::from(place.owner)],
        epoch: Epoch(u64::from(place.epoch)),
        place: if place.moving { Place::Moving { to: other } } else { Place::Stable },
        cell: 0,
    };
    let epoch = Epoch(u64::from(place.epoch));
    let command = match change {
        Change::Begin => Command::BeginMoves { moves: vec![ShardMove { shard: SHARD, epoch, to: other }] },
        Change::Finish(at) => Command::FinishMoves { shards: vec![(SHARD, Epoch(u64::from(at)))] },
        Change::Cancel => Command::CancelMove { shard: SHARD, epoch },
    };
    control.apply(20, vec![Request { id: None, command }]);
    let ShardPlace { owner, epoch, place, .. } = control.shards[0];
    Placed {
        owner: u8::from(owner == SECOND),
        epoch: u8::try_from(epoch.0).unwrap_or(u8::MAX),
        moving: place != Place::Stable,
    }
}

fn member(number: u8) -> NewMember {
    NewMember {
        name: format!("node-{number}"),
        addresses: vec!["10.0.0.1:7400".into()],
        zone: String::new(),
        region: String::new(),
        capacity: 1,
        role: Role::Voter,
        versions: VersionRange { min: 1, max: 1 },
        key_sha256: [number; 32],
        data_dir: u128::from(number),
    }
}
