//! Pieces of a map bring any older map up to date.

use hubbub_protocol::{ids::Epoch, peer::Envelope};
use proptest::prelude::*;

use super::*;
use crate::{
    control::{
        Command,
        samples::{self, apply},
    },
    runtime::{keeper::Keeper, keeper::Taken},
};

fn pieces(keeper: &Keeper, from: u64) -> Vec<Piece> {
    let (mut at, mut pieces) = (Cursor::default(), Vec::new());
    loop {
        let piece = keeper.piece(from, at);
        let next = piece.next;
        pieces.push(piece);
        match next {
            Some(next) => at = next,
            None => return pieces,
        }
    }
}

fn any_change() -> impl Strategy<Value = Command> {
    let node = || prop::sample::select(vec![1_u64, 22, 23, 24]);
    prop_oneof![
        3 => (0_u32..8, 1_u64..5, node()).prop_map(|(shard, epoch, to)| Command::Assign { moves: vec![samples::to(shard, epoch, to)] }),
        2 => (0_u32..8, 1_u64..5, node()).prop_map(|(shard, epoch, to)| Command::BeginMoves { moves: vec![samples::to(shard, epoch, to)] }),
        1 => node().prop_map(|node| Command::Remove { node: NodeId(node) }),
        1 => (node(), any::<bool>()).prop_map(|(node, leaving)| Command::Leave { node: NodeId(node), leaving }),
        1 => node().prop_map(samples::up),
    ]
}

proptest! {
    #[test]
    fn a_follower_that_hears_of_some_changes_ends_with_the_leaders_map(
        changes in prop::collection::vec((any_change(), 0_u8..4), 1..40),
    ) {
        let mut control = Control::default();
        apply(&mut control, 10, samples::found());
        apply(&mut control, 11, samples::create_token(5, 9));
        for number in 2..=4 {
            apply(&mut control, 20 + number, samples::join(5, u8::try_from(number).expect("small")));
        }
        let (leader, follower) = (Keeper::new(NodeId(1)), Keeper::new(NodeId(22)));
        for (index, (change, hears)) in (30..).zip(changes) {
            let before = leader.version();
            apply(&mut control, index, change);
            leader.offer(Map::of(&control));
            let pushed = leader.piece(before, Cursor::default());
            let heard = match hears {
                0 => false,
                1 => true,
                _ => before < leader.version() && follower.push(pushed) != Taken::Gap,
            };
            if hears == 1 || (hears > 1 && !heard) {
                follower.merge(pieces(&leader, follower.version()));
            }
            if hears > 0 {
                prop_assert_eq!(&*leader.map(), &*follower.map());
            }
        }
    }
}

#[test]
fn a_large_map_goes_in_pieces_that_fit_a_message_and_a_push_of_one_alone_is_a_gap() {
    let mut control = Control::default();
    apply(&mut control, 10, samples::found());
    let member = control.members[&NodeId(1)].clone();
    let about = crate::control::NewMember {
        name: "n".repeat(64),
        zone: "z".repeat(64),
        region: "r".repeat(64),
        addresses: vec!["a".repeat(260); 8],
        ..member.about.clone()
    };
    let widest = Member { about, ..member };
    control.members = (1..=1_000).map(|node| (NodeId(node), widest.clone())).collect();
    control.revoked = (2_000..40_000).map(NodeId).collect();
    control.shard_bits = 16;
    let place = ShardPlace { place: Place::Moving { to: NodeId(2) }, ..control.shards[0] };
    control.shards = vec![place; 65_536];
    control.ca.roots = vec![vec![7; 4_096]; 2];
    let (leader, follower) = (Keeper::new(NodeId(1)), Keeper::new(NodeId(2)));
    leader.offer(Map::of(&control));
    let pieces = pieces(&leader, 0);
    assert_eq!(pieces.len(), 8);
    for piece in &pieces {
        Envelope::pack(1, piece).expect("it fits");
    }
    assert_eq!(follower.push(pieces[0].clone()), Taken::Gap);
    follower.merge(pieces);
    assert_eq!(*follower.map(), *leader.map());
}

#[test]
fn a_part_that_is_ahead_of_its_version_is_not_taken_back() {
    let mut control = Control::default();
    apply(&mut control, 10, samples::found());
    let (leader, follower) = (Keeper::new(NodeId(1)), Keeper::new(NodeId(2)));
    leader.offer(Map::of(&control));
    let mut piece = leader.piece(0, Cursor::default());
    piece.shards[0].1.epoch = Epoch(9);
    follower.merge(vec![piece]);
    apply(&mut control, 11, Command::Renew { node: NodeId(1), shards: vec![samples::renewal(0, 1, 3)] });
    follower.offer(Map::of(&control));
    assert_eq!(follower.map().shards[0].epoch, Epoch(9));
}
