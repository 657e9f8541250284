//! The bytes that runtimes of two releases exchange.

use hubbub_protocol::{ids::NodeId, peer::Envelope, shard::ShardId};

use super::*;
use crate::control::{Request, samples};

/// When this fails, nodes of two releases no longer understand each other.
#[test]
fn every_message_keeps_its_kind_and_its_bytes_for_ever() {
    let leads = Leads { term: 3, leader: Some(NodeId(1)) };
    let load = Load { sessions: 1, appends_per_s: 2, deliveries_per_s: 3 };
    let unreachable = vec![NodeId(9)];
    let beat = Heartbeat { incarnation: 2, map_version: 5, storage_ok: true, unreachable, load };
    let group = Group { voters: [NodeId(1)].into(), learners: [NodeId(2)].into() };
    let cursor = Cursor { shard: 1, member: 2, revoked: 3 };
    let piece = Piece {
        from: 1,
        to: 2,
        head: crate::runtime::Head { cluster: 7, shard_bits: 5, active_version: 1, roots: vec![vec![4]] },
        shards: Vec::new(),
        members: Vec::new(),
        revoked: vec![NodeId(9)],
        next: Some(cursor),
    };
    let request = Request { id: Some(samples::request_id(1)), command: samples::finalize(1) };
    let refused = Answer::Refused(crate::control::Refusal::LastMember);
    let envelopes = [
        Envelope::pack(0, &Propose { request }),
        Envelope::pack(0, &Proposed::Answered(refused)),
        Envelope::pack(0, &Proposed::NotLeader(leads)),
        Envelope::pack(0, &Proposed::Unknown),
        Envelope::pack(0, &Proposed::Busy),
        Envelope::pack(0, &Proposed::TooLarge),
        Envelope::pack(0, &Proposed::Stopped),
        Envelope::pack(0, &beat),
        Envelope::pack(0, &HeartbeatAnswer::Confirmed { map_version: 5, group }),
        Envelope::pack(0, &HeartbeatAnswer::NotLeader(leads)),
        Envelope::pack(0, &HeartbeatAnswer::OtherIncarnation { incarnation: 4 }),
        Envelope::pack(0, &HeartbeatAnswer::Stranger),
        Envelope::pack(0, &Ping { leads, map_version: 5 }),
        Envelope::pack(0, &piece),
        Envelope::pack(0, &MapWanted { from: 1, at: cursor }),
        Envelope::pack(0, &ShardCosts { costs: vec![(ShardId(3), 500)] }),
    ];
    let lines: Vec<String> = envelopes
        .into_iter()
        .map(|envelope| {
            let Envelope { kind, body, .. } = envelope.expect("small");
            let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{kind} {hex}")
        })
        .collect();
    let golden = include_str!("golden/messages.txt");
    assert_eq!(lines, golden.lines().collect::<Vec<_>>());
}
