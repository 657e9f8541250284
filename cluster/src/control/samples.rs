//! Made-up facts for tests: a cluster of 8 shards founded by ada's node, and one of each command.

use hubbub_protocol::{
    ids::{Epoch, NodeId},
    shard::ShardId,
};

use super::{
    Command, Control, MemberState, NewMember, Renewal, Request, RequestId, Role, ShardMove, Token, TokenId,
    VersionRange, state::CaFacts,
};

pub(crate) const NOON: u64 = 1_800_000_000_000;

pub(crate) fn request_id(n: u64) -> RequestId {
    RequestId { proposer: 7, n }
}

pub(crate) fn member(number: u8) -> NewMember {
    NewMember {
        name: format!("node-{number}"),
        addresses: vec![format!("10.0.0.{number}:7400")],
        zone: format!("zone-{}", number % 3),
        region: String::new(),
        capacity: 1,
        role: Role::Voter,
        versions: VersionRange { min: 1, max: 2 },
        key_sha256: [number; 32],
        data_dir: u128::from(number),
    }
}

pub(crate) fn ca() -> CaFacts {
    CaFacts { roots: vec![vec![0x30, 1]], sealed_key: vec![9, 9] }
}

pub(crate) fn found() -> Command {
    Command::Found { cluster: 0xC1, shard_bits: 3, version: 1, ca: ca(), founder: member(1) }
}

pub(crate) fn token(uses_left: u32) -> Token {
    Token { secret_sha256: [3; 32], role: Role::Voter, uses_left, expires_ms: NOON + 3_600_000 }
}

pub(crate) fn create_token(id: u128, uses: u32) -> Command {
    Command::CreateToken { id: TokenId(id), token: token(uses), now_ms: NOON }
}

pub(crate) fn join(token: u128, number: u8) -> Command {
    Command::Join { token: TokenId(token), node: member(number), now_ms: NOON }
}

pub(crate) fn up(node: u64) -> Command {
    Command::SetState { node: NodeId(node), incarnation: 1, state: MemberState::Up }
}

pub(crate) fn finalize(version: u32) -> Command {
    Command::Finalize { version }
}

pub(crate) fn to(shard: u32, epoch: u64, to: u64) -> ShardMove {
    ShardMove { shard: ShardId(shard), epoch: Epoch(epoch), to: NodeId(to) }
}

pub(crate) fn renewal(shard: u32, epoch: u64, floor: u64) -> Renewal {
    Renewal { shard: ShardId(shard), epoch: Epoch(epoch), floor: Epoch(floor) }
}

/// One of each, in an order in which all but the last are carried out.
pub(crate) fn every_command() -> Vec<(&'static str, Command)> {
    let versions = VersionRange { min: 1, max: 3 };
    vec![
        ("found", found()),
        ("create_token", create_token(5, 3)),
        ("join", join(5, 2)),
        ("set_state", up(12)),
        (
            "register",
            Command::Register { node: NodeId(12), incarnation: 2, addresses: vec!["b:1".into()], versions },
        ),
        ("assign", Command::Assign { moves: vec![to(0, 1, 12)] }),
        ("begin_moves", Command::BeginMoves { moves: vec![to(1, 1, 12), to(2, 1, 12)] }),
        ("finish_move", Command::FinishMove { shard: ShardId(1), epoch: Epoch(1) }),
        ("cancel_move", Command::CancelMove { shard: ShardId(2), epoch: Epoch(1) }),
        (
            "configure",
            Command::Configure { version: 0, changes: [("a".into(), Some("b".into())), ("c".into(), None)].into() },
        ),
        ("set_cell", Command::SetCell { cell: 0, reference: "main".into(), generation: 4 }),
        ("finalize", finalize(2)),
        ("drop_token", Command::DropToken { id: TokenId(6) }),
        ("renew", Command::Renew { node: NodeId(12), shards: vec![renewal(0, 2, 9)] }),
        ("finish_moves", Command::FinishMoves { shards: vec![(ShardId(3), Epoch(1))] }),
        ("leave", Command::Leave { node: NodeId(12), leaving: true }),
        ("remove", Command::Remove { node: NodeId(99) }),
    ]
}

pub(crate) fn apply(control: &mut Control, index: u64, command: Command) -> super::Answer {
    control.apply(index, vec![Request { id: None, command }]).remove(0)
}

/// Each command at its own index, from 10 on.
pub(crate) fn control_after_every_command() -> Control {
    let mut control = Control::default();
    for (index, (_, command)) in (10..).zip(every_command()) {
        let id = Some(request_id(index));
        control.apply(index, vec![Request { id, command }]);
    }
    control
}
