//! Payloads that a client may send, JSON or MessagePack: the first byte says which.
//!
//! A finding is a panic, a request that says something else once it is written and read again, in either format, or an
//! answer that cannot be written.
#![no_main]

use hubbub_protocol::{
    emoji::Emoji,
    frame::{Format, Frame},
    ids::{MessageKey, RoomId, Seq, UserId},
    op::{Intents, Mode, Op, Page, Request, Watched},
    push::Status,
    text::{Mentions, Text},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: hubbub_fuzz::plant(seeds()), |bytes: &[u8]| {
    let Some((first, payload)) = bytes.split_first() else { return };
    let format = if first % 2 == 0 { Format::Json } else { Format::MessagePack };
    let Ok(request) = Request::decode(payload, format) else { return };
    match &request.op {
        Ok(op) => {
            for format in [Format::Json, Format::MessagePack] {
                let written = format.write(&op.to_json(request.id));
                assert_eq!(Request::decode(&written, format).as_ref(), Ok(&request), "in {format:?}");
            }
            if let Op::Send { text, .. } | Op::Edit { text, .. } = op
                && let Ok(text) = Text::parse(text.clone())
            {
                let _ = Mentions::of(text.as_str());
            }
        }
        Err(refusal) => {
            let frame = Frame::refused(request.id, refusal);
            assert!(!frame.wire(Format::Json).is_empty() && !frame.wire(Format::MessagePack).is_empty());
        }
    }
});

fn seeds() -> Vec<Vec<u8>> {
    let (room, seq) = (RoomId::from_raw(5), Seq(9));
    let thumb = || Emoji::parse("👍").expect("an emoji");
    let key = MessageKey("00000000-0000-7000-8000-000000000001".parse().expect("a UUID"));
    let send = Op::Send {
        room,
        key,
        text: "<@0000000000007> @everyone hé".into(),
        reply_to: Some(seq),
        files: vec!["f".into()],
        retry: true,
    };
    let ops = [
        Op::Identify { token: "t".into(), device: "d".into(), intents: Intents::TYPING },
        Op::Resume { token: "t".into(), session: "s".into(), cursors: vec![(room, seq)] },
        Op::Heartbeat,
        Op::Reauth { token: "t".into() },
        Op::Subscribe { room, after: Some(Seq(0)), mode: Mode::Unread },
        Op::Unsubscribe { room },
        send,
        Op::Edit { room, seq, text: "e".into() },
        Op::Delete { room, seq, reason: Some("r".into()) },
        Op::React { room, seq, emoji: thumb() },
        Op::Unreact { room, seq, emoji: thumb() },
        Op::Pin { room, seq },
        Op::Unpin { room, seq },
        Op::History { room, page: Page::Around(seq), limit: 50 },
        Op::Thread { room, seq, title: Some("t".into()) },
        Op::Typing { room },
        Op::Read { room, seq },
        Op::Presence { status: Status::Idle, text: Some("busy".into()), emoji: Some(thumb()) },
        Op::Watch(Watched::Users(vec![UserId::from_raw(3)])),
        Op::Watch(Watched::Members { room, from: 0, to: 100 }),
    ];
    let formats = [(0, Format::Json), (1, Format::MessagePack)];
    let in_both = |op: Op| {
        formats.map(|(first, format)| {
            let mut bytes = format.write(&op.to_json(3));
            bytes.insert(0, first);
            bytes
        })
    };
    ops.into_iter().flat_map(in_both).collect()
}
