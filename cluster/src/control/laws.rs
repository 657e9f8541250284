//! The promises of the control plane, held against random commands.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_protocol::{
    ids::{Epoch, NodeId},
    shard::ShardId,
};
use proptest::prelude::*;

use super::{
    Answer, Command, Control, MemberState, Refusal, Request, RequestId, TokenId, VersionRange,
    samples::{self, NOON, apply},
    wire,
};

/// Commands over few nodes, shards, epochs and tokens, so that they meet.
fn any_command() -> impl Strategy<Value = Command> {
    let node = || (0_u64..24).prop_map(|n| NodeId(if n == 0 { 1 } else { n }));
    let shard_move =
        (0_u32..9, 1_u64..6, 0_u64..24).prop_map(|(shard, epoch, node)| samples::to(shard, epoch, node));
    let moves = prop::collection::vec(shard_move, 1..6);
    let state = prop::sample::select(vec![
        MemberState::Up,
        MemberState::Up,
        MemberState::Draining,
        MemberState::Down,
        MemberState::Joining,
    ]);
    let shard = || (0_u32..9, 1_u64..6).prop_map(|(shard, epoch)| (ShardId(shard), Epoch(epoch)));
    prop_oneof![
        2 => (0_u128..4, 1_u32..3).prop_map(|(id, uses)| samples::create_token(id, uses)),
        1 => (0_u128..4).prop_map(|id| Command::DropToken { id: TokenId(id) }),
        4 => (0_u128..4, 2_u8..9, 0_u64..2).prop_map(|(token, number, late)| Command::Join {
            token: TokenId(token),
            node: samples::member(number),
            now_ms: NOON + late * 3_600_000,
        }),
        6 => (node(), 1_u64..3, state).prop_map(|(node, incarnation, state)| Command::SetState { node, incarnation, state }),
        2 => (node(), 1_u64..3).prop_map(|(node, incarnation)| Command::Register {
            node,
            incarnation,
            addresses: vec!["a:1".into()],
            versions: VersionRange { min: 1, max: 2 },
        }),
        1 => node().prop_map(|node| Command::Remove { node }),
        4 => moves.clone().prop_map(|moves| Command::Assign { moves }),
        4 => moves.prop_map(|moves| Command::BeginMoves { moves }),
        4 => shard().prop_map(|(shard, epoch)| Command::FinishMove { shard, epoch }),
        1 => shard().prop_map(|(shard, epoch)| Command::CancelMove { shard, epoch }),
        2 => (node(), 0_u32..9, 1_u64..6, 0_u64..9).prop_map(|(node, shard, epoch, floor)| Command::Renew {
            node,
            shards: vec![samples::renewal(shard, epoch, floor)],
        }),
        2 => prop::collection::vec(shard(), 1..4).prop_map(|shards| Command::FinishMoves { shards }),
        2 => (node(), any::<bool>()).prop_map(|(node, leaving)| Command::Leave { node, leaving }),
        1 => (0_u64..3).prop_map(|version| Command::Configure { version, changes: [("k".into(), Some("v".into()))].into() }),
        1 => (0_u32..4).prop_map(samples::finalize),
        1 => Just(samples::found()),
    ]
}

/// Random commands in entries of one to three, after the cluster is founded at index 2.
fn any_log() -> impl Strategy<Value = Vec<Vec<Request>>> {
    let id = prop::option::weighted(0.3, (1_u128..4, 1_u64..6).prop_map(|(proposer, n)| RequestId { proposer, n }));
    let request = (id, any_command()).prop_map(|(id, command)| Request { id, command });
    prop::collection::vec(prop::collection::vec(request, 1..4), 1..60)
}

fn founded() -> Control {
    let mut control = Control::default();
    assert!(matches!(apply(&mut control, 2, samples::found()), Answer::Joined { .. }));
    control
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn epochs_only_grow_and_an_owner_never_changes_without_one(log in any_log()) {
        let mut control = founded();
        let mut holders: BTreeMap<(usize, Epoch), NodeId> = BTreeMap::new();
        for (index, requests) in (3..).zip(log) {
            let before = control.clone();
            control.apply(index, requests);
            prop_assert_eq!(control.shards.len(), 8);
            for (shard, (old, new)) in before.shards.iter().zip(&control.shards).enumerate() {
                prop_assert!(new.epoch >= old.epoch);
                prop_assert!(control.members.contains_key(&new.owner), "shard {} has no owner", shard);
                let holder = holders.entry((shard, new.epoch)).or_insert(new.owner);
                prop_assert_eq!(*holder, new.owner, "two nodes held one shard at one epoch");
            }
            let known = |control: &Control| {
                (control.shards.clone(), control.members.clone(), control.revoked.clone(), control.active_version)
            };
            if known(&before) != known(&control) {
                prop_assert!(control.map_version > before.map_version);
            }
            for (node, member) in &control.members {
                let starts = before.members.get(node).is_some_and(|old| old.incarnation < member.incarnation);
                let kept = before.shards.iter().zip(&control.shards);
                let same = kept.filter(|(old, new)| new.owner == *node && old.epoch == new.epoch).count();
                prop_assert!(!starts || same == 0, "a process that started holds an epoch of the one before");
            }
        }
    }

    #[test]
    fn a_node_number_is_never_given_again_and_a_removed_node_stays_out(log in any_log()) {
        let mut control = founded();
        let mut keys: BTreeMap<NodeId, [u8; 32]> = BTreeMap::new();
        let mut revoked = BTreeSet::new();
        for (index, requests) in (3..).zip(log) {
            control.apply(index, requests);
            for (id, member) in &control.members {
                prop_assert_eq!(*keys.entry(*id).or_insert(member.about.key_sha256), member.about.key_sha256);
                prop_assert!(!control.revoked.contains(id));
            }
            prop_assert!(control.revoked.is_superset(&revoked));
            revoked.clone_from(&control.revoked);
            let names: BTreeSet<_> = control.members.values().map(|member| &member.about.name).collect();
            prop_assert_eq!(names.len(), control.members.len());
        }
    }

    #[test]
    fn a_token_admits_no_more_nodes_than_it_says(log in any_log()) {
        let mut control = founded();
        let mut permitted = 0_usize;
        for (index, requests) in (3..).zip(log) {
            let (tokens, nodes) = (control.tokens.clone(), control.members.len() + control.revoked.len());
            let uses = |tokens: &BTreeMap<TokenId, super::Token>| tokens.values().map(|token| token.uses_left).sum::<u32>();
            let only_joins = requests.iter().all(|request| matches!(request.command, Command::Join { .. }));
            let created: u32 = requests.iter().map(|request| match &request.command {
                Command::CreateToken { token, .. } => token.uses_left,
                _ => 0,
            }).sum();
            permitted += usize::try_from(created).expect("small");
            control.apply(index, requests);
            for (id, token) in &control.tokens {
                if let Some(old) = tokens.get(id).filter(|_| only_joins) {
                    prop_assert!(token.uses_left <= old.uses_left);
                }
            }
            let joined = control.members.len() + control.revoked.len() - nodes;
            if only_joins {
                prop_assert_eq!(u32::try_from(joined).expect("small"), uses(&tokens) - uses(&control.tokens));
            }
            prop_assert!(control.members.len() + control.revoked.len() - 1 <= permitted);
        }
    }

    #[test]
    fn a_snapshot_and_the_tail_make_the_same_bytes_as_the_whole_log(log in any_log(), cut in 0_usize..60) {
        let mut whole = founded();
        let mut restored = founded();
        for (at, (index, requests)) in (3..).zip(log).enumerate() {
            if at == cut {
                let bytes = wire::control_to_bytes(&restored).expect("small");
                restored = wire::control_from_bytes(&bytes).expect("as written");
            }
            let bytes = wire::requests_to_bytes(&requests).expect("small");
            let answers = whole.apply(index, requests);
            prop_assert_eq!(restored.apply(index, wire::requests_from_bytes(&bytes).expect("as written")), answers);
        }
        prop_assert_eq!(wire::control_to_bytes(&whole).expect("small"), wire::control_to_bytes(&restored).expect("small"));
    }

    #[test]
    fn a_refused_command_changes_nothing(log in any_log()) {
        let mut control = founded();
        for (index, requests) in (3..).zip(log) {
            for request in requests {
                let before = control.clone();
                let answer = control.apply(index, vec![Request { id: None, ..request }]).remove(0);
                if matches!(answer, Answer::Refused(_)) {
                    prop_assert_eq!(&control, &before);
                }
            }
        }
    }
}

#[test]
fn a_request_sent_twice_is_carried_out_once() {
    let mut control = founded();
    let create = Request { id: Some(RequestId { proposer: 9, n: 1 }), command: samples::create_token(1, 1) };
    let configure = Command::Configure { version: 0, changes: [("a".into(), Some("b".into()))].into() };
    let second = Request { id: Some(RequestId { proposer: 9, n: 2 }), command: configure };
    assert_eq!(control.apply(3, vec![create.clone(), create.clone()]), [Answer::Done, Answer::Done]);
    assert_eq!(control.apply(4, vec![second.clone(), second]), [Answer::Done, Answer::Done]);
    assert_eq!(control.settings.version, 1);
    assert_eq!(control.apply(5, vec![create]), [Answer::Refused(Refusal::OutOfDate)]);
}

#[test]
fn a_used_or_expired_token_admits_nobody_and_a_retry_with_the_same_key_gets_the_same_number() {
    let mut control = founded();
    apply(&mut control, 3, samples::create_token(1, 1));
    let joined = Answer::Joined { node: NodeId(4), election_slot: 1 };
    assert_eq!(apply(&mut control, 4, samples::join(1, 2)), joined);
    assert_eq!(apply(&mut control, 5, samples::join(1, 3)), Answer::Refused(Refusal::TokenRefused));
    assert_eq!(apply(&mut control, 6, samples::join(1, 2)), joined);

    apply(&mut control, 7, samples::create_token(2, 1));
    let late = Command::Join { token: TokenId(2), node: samples::member(4), now_ms: NOON + 3_600_000 };
    assert_eq!(apply(&mut control, 8, late), Answer::Refused(Refusal::TokenRefused));
}

#[test]
fn two_nodes_that_join_in_one_entry_do_not_get_one_number() {
    let mut control = founded();
    apply(&mut control, 3, samples::create_token(1, 9));
    let requests = [2, 3].map(|number| Request { id: None, command: samples::join(1, number) });
    let answers = control.apply(4, requests.into());
    assert_eq!(answers[0], Answer::Joined { node: NodeId(4), election_slot: 1 });
    assert_eq!(answers[1], Answer::Refused(Refusal::OneJoinAnEntry));
}

#[test]
fn a_report_about_an_earlier_start_of_a_node_is_not_believed() {
    let mut control = founded();
    let versions = VersionRange { min: 1, max: 2 };
    let start = Command::Register { node: NodeId(1), incarnation: 2, addresses: vec!["a:1".into()], versions };
    assert_eq!(apply(&mut control, 3, start), Answer::Done);
    let down = Command::SetState { node: NodeId(1), incarnation: 1, state: MemberState::Down };
    let old = Refusal::OldIncarnation { node: NodeId(1), incarnation: 2 };
    assert_eq!(apply(&mut control, 4, down), Answer::Refused(old));
}

#[test]
fn the_first_seven_nodes_have_election_windows_of_their_own() {
    let mut control = founded();
    apply(&mut control, 3, samples::create_token(1, 9));
    for number in 2..8 {
        apply(&mut control, 10 + u64::from(number), samples::join(1, number));
    }
    let slots: BTreeSet<u8> = control.members.values().map(|member| member.election_slot).collect();
    assert_eq!(slots, (0..7).collect());
}

#[test]
fn formats_change_only_when_every_node_speaks_the_new_one() {
    let mut control = founded();
    assert_eq!(apply(&mut control, 3, samples::finalize(3)), Answer::Refused(Refusal::Version(3)));
    assert_eq!(apply(&mut control, 4, samples::finalize(2)), Answer::Done);
    assert_eq!(apply(&mut control, 5, samples::finalize(1)), Answer::Refused(Refusal::Version(1)));
}
