//! One of each message between actors, made up: what older nodes sent, for tests and for `fuzz/`.

use std::time::Duration;

use bytes::Bytes;
use hubbub_protocol::{
    emoji::Emoji,
    event::EventClass,
    ids::{CommunityId, Epoch, MessageKey, NodeId, RoomId, Seq, SessionId, UserId},
    peer::{Envelope, PeerMessage},
    push::Status,
    time::Timestamp,
};

use super::{facts::Fact, homes::Told, reports::Report, wire::*};
use crate::{
    caller::Caller,
    hot::{Cost, Counted, HotReport, Measure},
    room::{
        asked::{Asked, Given, Json},
        post::{Change, NewPost},
    },
    user::{Said, Share, Stand},
};

/// Every message, packed, in the order of their numbers; some in several forms.
///
/// # Panics
/// Never: they are small.
#[must_use]
pub fn envelopes() -> Vec<Envelope> {
    let (room, user, seq) = (RoomId::from_raw(5), UserId::from_raw(7), Seq(9));
    let json = || Json::of(&"x");
    let events = vec![Delivered {
        seq,
        class: EventClass::Members,
        gone: Some(user),
        calls_everyone: None,
        push: Bytes::from_static(b"{}"),
    }];
    let rooms = vec![Counted {
        room,
        cost: Cost { events: 1, deliveries: 2, bytes: 3, cpu_ns: 4, ordering_ns: 0 },
        unsure: 5,
    }];
    let report = HotReport { period: Duration::from_millis(1_500), total: Cost::default(), rooms };
    let given = vec![
        Given::Sent { seq, ts: Timestamp(3), repeat: true },
        Given::Changed(Some(seq)),
        Given::Thread { room, created: true },
        Given::Seq(seq),
        Given::Refused(json()),
    ];
    vec![
        packed(&RoomAsks { room, asks: asks() }),
        packed(&RoomAnswers { answers: Some(given) }),
        packed(&RoomAnswers { answers: None }),
        packed(&Watch { room, people: 3 }),
        packed(&Watching { head: Some(seq), elsewhere: 4 }),
        packed(&Unwatch { room }),
        packed(&Deliver { room, events }),
        packed(&Head { room, head: seq }),
        packed(&Changed { facts: facts() }),
        packed(&LetGo { users: vec![user], rooms: vec![room], community: Some(CommunityId::from_raw(2)) }),
        packed(&Done {}),
        packed(&WhoIsHere { community: None }),
        packed(&Here { users: vec![7, 8] }),
        packed(&ToUsers { users: vec![user], push: Bytes::from_static(b"{}"), except: Some(1) }),
        packed(&TakeUp { session: 1, user }),
        packed(&Held { saved: Some(Bytes::from_static(b"s")) }),
        packed(&Typing { room, user }),
        packed(&SignOut { sid: SessionId::from_raw(4) }),
        packed(&Mentioned { users: vec![user], room, seq }),
        packed(&UserReports { reports: reports() }),
        packed(&Reported { strangers: vec![user] }),
        packed(&ToHome { users: vec![user], told: Told::Push { push: Bytes::from_static(b"{}"), except: None } }),
        packed(&ToHome { users: vec![user], told: Told::Mention { room, seq } }),
        packed(&People { room, people: 2 }),
        packed(&Elsewhere { room, people: 2 }),
        packed(&HowHot { by: Measure::Bytes }),
        packed(&Hot { report }),
        packed(&HowAreYou {}),
        packed(&Standing { json: Bytes::from_static(b"{}") }),
        packed(&Spread { room, onward: vec![NodeId(3)], deliver: Bytes::from_static(b"d") }),
        packed(&Missed { room, nodes: vec![NodeId(3)] }),
    ]
}

fn packed(message: &impl PeerMessage) -> Envelope {
    Envelope::pack(0, message).expect("small")
}

fn asks() -> Vec<Asked> {
    let (user, seq) = (UserId::from_raw(7), Seq(9));
    let caller = Caller { user, sid: SessionId::from_raw(4) };
    let json = || Json::of(&"x");
    let post = NewPost {
        key: MessageKey(uuid::Uuid::from_u128(6)),
        text: "hé".into(),
        reply_to: Some(seq),
        files: vec!["f".into()],
        retry: true,
    };
    let changes = [
        Change::Edit("e".into()),
        Change::Delete(Some("d".into())),
        Change::React(thumb()),
        Change::Unreact(thumb()),
        Change::Pin,
        Change::Unpin,
    ];
    let mut asks = vec![Asked::Post { caller, post }];
    asks.extend(changes.into_iter().map(|change| Asked::Change { caller, seq, change }));
    asks.push(Asked::Thread { by: user, seq, thread: json() });
    asks.push(Asked::Record { body: json(), effects: json() });
    asks.push(Asked::Archive { first: seq, events: vec![json()], effects: json() });
    asks
}

fn thumb() -> Emoji {
    Emoji::parse("👍").expect("an emoji")
}

fn facts() -> Vec<Fact> {
    let (room, user, community) = (RoomId::from_raw(5), UserId::from_raw(7), CommunityId::from_raw(2));
    vec![
        Fact::Room { room, community: Some(community) },
        Fact::Rules { room, archived: true, slow_mode_s: 30 },
        Fact::Community(community),
        Fact::User(user),
        Fact::Member { community, user },
        Fact::RoomMember { room, user },
        Fact::RoomsOfMember { rooms: vec![room], user },
    ]
}

fn reports() -> Vec<(UserId, Report)> {
    let user = UserId::from_raw(7);
    let at = (Timestamp(3), NodeId(2));
    let said = Some(Said { status: Status::Idle, text: Some("away".into()), emoji: Some(thumb()), at });
    let share = Share { sessions: true, devices: false, away: true, watches: false, said: said.clone() };
    let stand = Stand { present: true, said, settled: false };
    vec![(user, Report::Share(share, Epoch(8))), (user, Report::Stand(stand))]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When this fails, nodes of two releases no longer understand each other.
    #[test]
    fn every_message_keeps_its_number_and_its_bytes_for_ever() {
        let lines = envelopes().into_iter().map(|Envelope { kind, body, .. }| {
            let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{kind} {hex}")
        });
        let golden = include_str!("golden/messages.txt");
        assert_eq!(lines.collect::<Vec<_>>(), golden.lines().collect::<Vec<_>>());
    }

    #[test]
    fn there_is_a_sample_of_every_message_and_each_is_read_as_it_was_written() {
        let mut numbers: Vec<u16> = envelopes().iter().map(|envelope| envelope.kind).collect();
        numbers.dedup();
        assert_eq!(numbers, KINDS.iter().map(|(number, _)| *number).collect::<Vec<_>>());
        for envelope in envelopes() {
            assert!(probe(&envelope), "{envelope:?}");
        }
    }
}
