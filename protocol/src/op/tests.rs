//! Requests read and refused.

use super::*;
use crate::error::ErrorCode;

fn decode(json: &str) -> Result<Request, Unanswerable> {
    Request::decode(json.as_bytes(), Format::Json)
}

#[test]
fn a_frame_without_id_or_op_cannot_be_answered() {
    for json in ["", "[]", "{", r#"{"op":"send"}"#, r#"{"id":1}"#, r#"{"id":-1,"op":"send"}"#, r#"{"id":1,"op":2}"#]
    {
        assert_eq!(decode(json), Err(Unanswerable), "{json}");
    }
    assert_eq!(decode(r#"{"id":4294967296,"op":"heartbeat"}"#), Err(Unanswerable));
    assert_eq!(decode(r#"{"id":1,"op":"send","text":"\ud800"}"#), Err(Unanswerable));
    assert_eq!(Request::decode(b"\xff\xfe", Format::Json), Err(Unanswerable));
}

#[test]
fn an_unknown_op_is_answered() {
    let request = decode(r#"{"id":7,"op":"dance"}"#).expect("answerable");
    assert_eq!(request.id, 7);
    assert_eq!(request.op.expect_err("unknown").code, ErrorCode::BadRequest);
}

#[test]
fn every_op_reads_back_in_both_formats() {
    let (room, seq) = (RoomId::from_raw(5), Seq(9));
    let thumb = Emoji::parse("👍").expect("an emoji");
    let ops = [
        Op::Identify { token: "t".into(), device: "d".into(), intents: Intents::TYPING },
        Op::Resume { token: "t".into(), session: "s".into(), cursors: vec![(room, seq)] },
        Op::Heartbeat,
        Op::Reauth { token: "t".into() },
        Op::Subscribe { room, after: Some(Seq(0)), mode: Mode::Unread },
        Op::Unsubscribe { room },
        Op::Send {
            room,
            key: MessageKey(uuid::Uuid::from_u128(7)),
            text: "hi".into(),
            reply_to: Some(seq),
            files: vec!["f".into()],
            retry: true,
        },
        Op::Edit { room, seq, text: "x".into() },
        Op::Delete { room, seq, reason: Some("spam".into()) },
        Op::React { room, seq, emoji: thumb.clone() },
        Op::Unreact { room, seq, emoji: thumb },
        Op::Pin { room, seq },
        Op::Unpin { room, seq },
        Op::History { room, page: Page::Around(seq), limit: 20 },
        Op::Thread { room, seq, title: Some("t".into()) },
        Op::Typing { room },
        Op::Read { room, seq },
        Op::Presence { status: Status::Dnd, text: Some("busy".into()), emoji: None },
        Op::Watch(Watched::Users(vec![UserId::from_raw(3)])),
        Op::Watch(Watched::Members { room, from: 0, to: 100 }),
    ];
    for op in ops {
        for format in [Format::Json, Format::MessagePack] {
            let payload = format.write(&op.to_json(3));
            assert_eq!(op.to_json(3)["op"], op.kind().as_str());
            assert_eq!(Request::decode(&payload, format), Ok(Request { id: 3, op: Ok(op.clone()) }));
        }
    }
}

#[test]
fn two_windows_at_once_are_refused() {
    let request = decode(r#"{"id":1,"op":"history","room":"0000000000001","before":1,"after":2}"#);
    assert_eq!(request.expect("answerable").op.expect_err("two").code, ErrorCode::BadRequest);
}
