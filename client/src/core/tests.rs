//! What the rules say, asked without a socket.

use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    event::{Event, EventBody},
    ids::UserId,
    time::Timestamp,
};
use serde_json::json;

use super::*;

const ROOM: RoomId = RoomId::from_raw(1);
const NOTHING: [u64; 0] = [];

fn came(room: RoomId, seq: u64) -> Came {
    let (by, body) = (UserId::from_raw(1), EventBody::MemberJoined { user: UserId::from_raw(1) });
    Came::read(Event { room, seq: Seq(seq), ts: Timestamp(0), by, key: None, body }.encode()).expect("our own form")
}

fn subscribed(head: u64, gap: bool) -> Value {
    json!({"head": head, "read": 0, "permissions": "0", "members": 1, "online": 1, "gap": gap})
}

fn identified(core: &mut Core) -> Vec<Effect> {
    core.forget_session();
    core.begun(&json!({"re": 1, "ok": {"session": "s", "rooms": []}})).expect("readable")
}

/// A core that follows `rooms` from the beginning.
fn following(rooms: impl IntoIterator<Item = RoomId>) -> Core {
    let mut core = Core::new(Intents::ALL);
    identified(&mut core);
    for room in rooms {
        let id = core.next_id();
        core.ask(id, Op::Subscribe { room, after: Some(Seq(0)), mode: Mode::Live });
        core.answer(&json!({"re": id, "ok": subscribed(0, false)}));
    }
    core
}

/// Rooms asked for, with the seq after which.
fn subscribes(effects: &[Effect]) -> Vec<(u32, RoomId, Option<Seq>)> {
    let each = |effect: &Effect| match effect {
        Effect::Send(id, Op::Subscribe { room, after, .. }) => Some((*id, *room, *after)),
        _ => None,
    };
    effects.iter().filter_map(each).collect()
}

fn fetches(effects: &[Effect]) -> Vec<(RoomId, Seq, u32)> {
    let each = |effect: &Effect| match effect {
        Effect::Fetch { room, after, tries } => Some((*room, *after, *tries)),
        _ => None,
    };
    effects.iter().filter_map(each).collect()
}

fn seqs(effects: &[Effect]) -> Vec<u64> {
    let each = |effect: &Effect| match effect {
        Effect::Tell(Update::Event(event, _)) => Some(event.seq.0),
        _ => None,
    };
    effects.iter().filter_map(each).collect()
}

#[test]
fn a_new_session_follows_every_room_again_and_no_more_at_a_time_than_are_answered() {
    let rooms: Vec<RoomId> = (1..=200).map(RoomId::from_raw).collect();
    let mut core = following(rooms.clone());
    core.event(came(ROOM, 1));
    core.lost();
    let mut open = subscribes(&identified(&mut core));
    assert_eq!(open[0].2, Some(Seq(1)));
    let mut asked: Vec<RoomId> = Vec::new();
    while let Some((id, room, _)) = open.pop() {
        assert!(open.len() < IN_FLIGHT_MAX);
        asked.push(room);
        open.extend(subscribes(&core.answer(&json!({"re": id, "ok": subscribed(1, false)}))));
    }
    asked.sort_unstable();
    assert_eq!(asked, rooms);
}

#[test]
fn a_room_refused_for_now_is_asked_for_again_and_one_refused_for_good_is_told() {
    let mut core = following([ROOM, RoomId::from_raw(2)]);
    core.lost();
    let open = subscribes(&identified(&mut core));
    let busy = Refusal::new(ErrorCode::RateLimited, "slow down").after_ms(70);
    let effects = core.answer(&json!({"re": open[0].0, "error": busy}));
    assert_eq!(effects, [Effect::Again(Duration::from_millis(70))]);
    let gone = Refusal::new(ErrorCode::NotMember, "no");
    let effects = core.answer(&json!({"re": open[1].0, "error": gone}));
    assert_eq!(effects, [Effect::Tell(Update::Unfollowed { room: open[1].1, refusal: gone })]);
    let again = subscribes(&core.again());
    assert_eq!(again.iter().map(|(_, room, _)| *room).collect::<Vec<_>>(), [open[0].1]);
}

#[test]
fn resume_names_every_live_room_and_what_the_node_left_out_is_asked_for() {
    let other = RoomId::from_raw(2);
    let mut core = following([ROOM, other]);
    core.event(came(ROOM, 1));
    core.lost();
    let Op::Resume { cursors, session, .. } = core.first("t".into(), "d".into()) else { panic!("no resume") };
    assert_eq!((&*session, cursors), ("s", vec![(ROOM, Seq(1)), (other, Seq(0))]));
    let rooms = json!({ROOM.to_string(): {"head": 1, "replay": 0}});
    let effects = core.begun(&json!({"re": 1, "ok": {"session": "s", "rooms": rooms}})).expect("readable");
    let asked = subscribes(&effects);
    assert_eq!((asked.len(), asked[0].1), (1, other));
}

#[test]
fn a_room_that_was_let_go_is_not_resumed() {
    let mut core = following([ROOM]);
    let id = core.next_id();
    core.ask(id, Op::Unsubscribe { room: ROOM });
    assert!(core.event(came(ROOM, 1)).is_empty());
    core.lost();
    let Op::Resume { cursors, .. } = core.first("t".into(), "d".into()) else { panic!("no resume") };
    assert!(cursors.is_empty());
}

#[test]
fn what_a_resume_promised_and_did_not_send_is_fetched() {
    let mut core = following([ROOM]);
    core.lost();
    let rooms = json!({ROOM.to_string(): {"head": 3, "replay": 3}});
    let effects = core.begun(&json!({"re": 1, "ok": {"session": "s", "rooms": rooms}})).expect("readable");
    assert!(fetches(&effects).is_empty());
    assert_eq!(seqs(&core.event(came(ROOM, 1))), [1]);
    assert_eq!(fetches(&core.push(Push::Resumed)), [(ROOM, Seq(1), 0)]);
    assert_eq!(seqs(&core.fetched(ROOM, Seq(1), Ok(vec![came(ROOM, 2), came(ROOM, 3)]))), [2, 3]);
}

/// A live event may overtake `resumed`; the head promised before it is then no news, and no log that went back.
#[test]
fn a_room_that_got_beyond_what_a_resume_promised_goes_on_from_there() {
    let mut core = following([ROOM]);
    core.lost();
    let rooms = json!({ROOM.to_string(): {"head": 1, "replay": 1}});
    core.begun(&json!({"re": 1, "ok": {"session": "s", "rooms": rooms}})).expect("readable");
    assert_eq!(seqs(&core.event(came(ROOM, 1))), [1]);
    assert_eq!(seqs(&core.event(came(ROOM, 2))), [2]);
    assert_eq!(core.push(Push::Resumed), [Effect::Tell(Update::Push(Push::Resumed))]);
    assert_eq!(seqs(&core.event(came(ROOM, 2))), NOTHING);
}

#[test]
fn one_hole_is_fetched_once_until_it_is_filled() {
    let mut core = following([ROOM]);
    assert_eq!(fetches(&core.event(came(ROOM, 4))), [(ROOM, Seq(0), 0)]);
    assert!(core.event(came(ROOM, 6)).is_empty());
    let failed = core.fetched(ROOM, Seq(0), Err(RequestError::Disconnected));
    assert_eq!(fetches(&failed), [(ROOM, Seq(0), 1)]);
    let filled = core.fetched(ROOM, Seq(0), Ok((1..=3).map(|seq| came(ROOM, seq)).collect()));
    assert_eq!(seqs(&filled), [1, 2, 3, 4]);
    assert_eq!(fetches(&filled), [(ROOM, Seq(4), 0)]);
    assert_eq!(seqs(&core.fetched(ROOM, Seq(4), Ok(vec![came(ROOM, 5)]))), [5, 6]);
}

#[test]
fn what_the_node_says_it_left_out_is_fetched_though_nothing_follows() {
    let mut core = following([ROOM]);
    let effects = core.push(Push::Gap { room: ROOM, from: Seq(1), to: Seq(2) });
    assert_eq!(fetches(&effects), [(ROOM, Seq(0), 0)]);
    assert_eq!(seqs(&core.fetched(ROOM, Seq(0), Ok(vec![came(ROOM, 1), came(ROOM, 2)]))), [1, 2]);
}

#[test]
fn few_rooms_are_healed_at_once_and_all_of_them_in_the_end() {
    let rooms: Vec<RoomId> = (1..=20).map(RoomId::from_raw).collect();
    let mut core = following(rooms.clone());
    let mut open: Vec<_> = rooms.iter().flat_map(|room| fetches(&core.event(came(*room, 2)))).collect();
    let mut healed = Vec::new();
    while let Some((room, after, _)) = open.pop() {
        assert!(open.len() < 4);
        let effects = core.fetched(room, after, Ok(vec![came(room, 1)]));
        assert_eq!(seqs(&effects), [1, 2]);
        healed.push(room);
        open.extend(fetches(&effects));
    }
    healed.sort_unstable();
    assert_eq!(healed, rooms);
}

#[test]
fn a_log_that_does_not_hold_what_is_owed_is_believed_after_five_tries() {
    let mut core = following([ROOM]);
    core.event(came(ROOM, 3));
    for tries in 1..5 {
        assert_eq!(fetches(&core.fetched(ROOM, Seq(0), Ok(Vec::new()))), [(ROOM, Seq(0), tries)]);
    }
    let effects = core.fetched(ROOM, Seq(0), Ok(Vec::new()));
    assert_eq!(effects[0], Effect::Tell(Update::Lost { room: ROOM, from: Seq(1), to: Seq(2) }));
    assert_eq!((seqs(&effects), fetches(&effects)), (vec![3], vec![]));
}

#[test]
fn a_room_whose_log_is_refused_is_let_go_and_told() {
    let mut core = following([ROOM]);
    core.event(came(ROOM, 3));
    let refusal = Refusal::not_found("room");
    let effects = core.fetched(ROOM, Seq(0), Err(RequestError::Refused(refusal.clone())));
    assert_eq!(effects, [Effect::Tell(Update::Unfollowed { room: ROOM, refusal })]);
    assert!(core.event(came(ROOM, 4)).is_empty());
}

#[test]
fn a_page_of_a_room_that_was_followed_anew_meanwhile_is_not_taken_for_a_loss() {
    let mut core = following([ROOM]);
    core.event(came(ROOM, 1));
    assert_eq!(fetches(&core.event(came(ROOM, 3))), [(ROOM, Seq(1), 0)]);
    let id = core.next_id();
    core.ask(id, Op::Unsubscribe { room: ROOM });
    let id = core.next_id();
    core.ask(id, Op::Subscribe { room: ROOM, after: Some(Seq(0)), mode: Mode::Live });
    core.answer(&json!({"re": id, "ok": subscribed(3, true)}));
    let effects = core.fetched(ROOM, Seq(1), Ok(vec![came(ROOM, 2), came(ROOM, 3)]));
    assert_eq!((seqs(&effects), fetches(&effects)), (vec![], vec![(ROOM, Seq(0), 0)]));
}

#[test]
fn a_head_before_what_was_seen_is_told_as_a_log_that_went_back() {
    let mut core = following([ROOM]);
    (1..=5).for_each(|seq| drop(core.event(came(ROOM, seq))));
    core.lost();
    let rooms = json!({ROOM.to_string(): {"head": 2, "gap": true}});
    let effects = core.begun(&json!({"re": 1, "ok": {"session": "s", "rooms": rooms}})).expect("readable");
    assert!(effects.contains(&Effect::Tell(Update::Rewound { room: ROOM, head: Seq(2) })));
    assert_eq!(seqs(&core.event(came(ROOM, 3))), [3]);
}

#[test]
fn classes_that_were_left_out_make_no_holes_and_are_not_told_when_healed() {
    let mut core = Core::new(Intents::MESSAGES);
    identified(&mut core);
    let id = core.next_id();
    core.ask(id, Op::Subscribe { room: ROOM, after: Some(Seq(0)), mode: Mode::Live });
    core.answer(&json!({"re": id, "ok": subscribed(4, true)}));
    let effects = core.fetched(ROOM, Seq(0), Ok((1..=4).map(|seq| came(ROOM, seq)).collect()));
    assert_eq!((seqs(&effects), fetches(&effects)), (vec![], vec![]));
    let body = EventBody::MessagePinned { target: Seq(1) };
    let pinned = Event { room: ROOM, seq: Seq(9), ts: Timestamp(0), by: UserId::from_raw(1), key: None, body };
    let effects = core.event(Came::read(pinned.encode()).expect("our own form"));
    assert_eq!((seqs(&effects), fetches(&effects)), (vec![9], vec![]));
}

#[test]
fn an_answer_to_nothing_is_ignored() {
    let mut core = following([]);
    assert!(core.answer(&json!({"re": 77, "ok": {}})).is_empty());
    assert!(core.answer(&json!({"re": "x"})).is_empty());
}
