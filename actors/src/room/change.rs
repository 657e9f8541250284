//! The rules for changing a message that is there: edit, delete, react, pin.

use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    event::EventBody,
    ids::UserId,
    limits::{PINS_MAX, REACTIONS_DISTINCT_MAX},
    message::MessageState,
    permissions::Permissions,
    text::{Mentions, Text},
};

use super::post::Change;

/// What should happen to a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Store this.
    Store(EventBody),
    /// It is so already.
    Repeat,
}

/// Judges `change` by `user`, who has `rights` in the room, of `message` as it stands.
/// `pins` is how many pins the room has.
///
/// # Errors
/// The refusals of the op; a deleted message is `not_found`.
pub fn decide(
    change: &Change,
    user: UserId,
    rights: Permissions,
    message: &MessageState,
    pins: usize,
) -> Result<Verdict, Refusal> {
    if message.deleted {
        return Err(Refusal::not_found("message"));
    }
    let target = message.seq;
    let need = |right: Permissions, what: &str| {
        if rights.has(right) { Ok(()) } else { Err(Refusal::forbidden(what)) }
    };
    let store = |body| Ok(Verdict::Store(body));
    match change {
        Change::Edit(text) => {
            if message.by != user {
                return Err(Refusal::new(ErrorCode::NotAuthor, "only its author may edit a message"));
            }
            need(Permissions::SEND, "send here")?;
            let text = Text::parse(text.clone())?.into_string();
            let mut mentions = Mentions::of(&text);
            mentions.everyone &= rights.has(Permissions::MENTION_EVERYONE);
            store(EventBody::MessageEdited { target, text, mentions })
        }
        Change::Delete(reason) => {
            if message.by != user {
                need(Permissions::MANAGE_MESSAGES, "delete messages of others")?;
            }
            store(EventBody::MessageDeleted { target, reason: reason.clone() })
        }
        Change::React(emoji) => {
            if message.has_reacted(emoji, user) {
                return Ok(Verdict::Repeat);
            }
            need(Permissions::REACT, "react here")?;
            let known = message.reactions.iter().any(|reacted| reacted.emoji == *emoji);
            if !known && message.reactions.len() >= REACTIONS_DISTINCT_MAX {
                let text = format!("a message has at most {REACTIONS_DISTINCT_MAX} different reactions");
                return Err(Refusal::new(ErrorCode::TooManyReactions, text));
            }
            store(EventBody::ReactionAdded { target, emoji: emoji.clone(), count: None })
        }
        Change::Unreact(emoji) if message.has_reacted(emoji, user) => {
            store(EventBody::ReactionRemoved { target, emoji: emoji.clone() })
        }
        Change::Pin => {
            need(Permissions::PIN, "pin messages")?;
            if message.pinned {
                return Ok(Verdict::Repeat);
            }
            if pins >= PINS_MAX {
                return Err(Refusal::new(ErrorCode::TooManyPins, format!("a room has at most {PINS_MAX} pins")));
            }
            store(EventBody::MessagePinned { target })
        }
        Change::Unpin => {
            need(Permissions::PIN, "pin messages")?;
            if message.pinned { store(EventBody::MessageUnpinned { target }) } else { Ok(Verdict::Repeat) }
        }
        Change::Unreact(_) => Ok(Verdict::Repeat),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubbub_protocol::{
        emoji::Emoji,
        event::{Created, Event},
        ids::{RoomId, Seq},
        message::Reacted,
        time::Timestamp,
    };

    const ADA: UserId = UserId::from_raw(1);
    const BOB: UserId = UserId::from_raw(2);

    fn message() -> MessageState {
        let created = Created { text: "hi".into(), ..Created::default() };
        let body = EventBody::MessageCreated(Box::new(created));
        let room = RoomId::from_raw(5);
        let event = Event { room, seq: Seq(1), ts: Timestamp(0), by: ADA, key: None, body };
        MessageState::begin(&event).expect("a message")
    }

    fn judge(change: Change, user: UserId, message: &MessageState) -> Result<Verdict, ErrorCode> {
        decide(&change, user, Permissions::MEMBER, message, 0).map_err(|refusal| refusal.code)
    }

    #[test]
    fn only_the_author_edits_and_others_need_a_right_to_delete() {
        let message = message();
        assert_eq!(judge(Change::Edit("x".into()), BOB, &message), Err(ErrorCode::NotAuthor));
        assert_eq!(judge(Change::Edit(" ".into()), ADA, &message), Err(ErrorCode::Empty));
        assert!(judge(Change::Edit("x".into()), ADA, &message).is_ok());
        assert_eq!(judge(Change::Delete(None), BOB, &message), Err(ErrorCode::Forbidden));
        assert!(judge(Change::Delete(None), ADA, &message).is_ok());
        let moderator = Permissions::MEMBER | Permissions::MANAGE_MESSAGES;
        assert!(decide(&Change::Delete(None), BOB, moderator, &message, 0).is_ok());
    }

    #[test]
    fn a_message_takes_twenty_different_reactions() {
        let mut message = message();
        let emoji = |n: usize| Emoji::from_archive(&format!("e{n}"));
        message.reactions = (0..20).map(|n| Reacted { emoji: emoji(n), users: vec![ADA], unnamed: 0 }).collect();
        assert_eq!(judge(Change::React(emoji(20)), BOB, &message), Err(ErrorCode::TooManyReactions));
        assert!(matches!(judge(Change::React(emoji(3)), BOB, &message), Ok(Verdict::Store(_))));
        assert_eq!(judge(Change::React(emoji(3)), ADA, &message), Ok(Verdict::Repeat));
        assert_eq!(judge(Change::Unreact(emoji(3)), BOB, &message), Ok(Verdict::Repeat));
    }

    #[test]
    fn pins_need_the_right_and_end_at_a_hundred() {
        let message = message();
        assert_eq!(judge(Change::Pin, ADA, &message), Err(ErrorCode::Forbidden));
        let rights = Permissions::MEMBER | Permissions::PIN;
        assert!(decide(&Change::Pin, ADA, rights, &message, 99).is_ok());
        let full = decide(&Change::Pin, ADA, rights, &message, 100).expect_err("full");
        assert_eq!(full.code, ErrorCode::TooManyPins);
        assert_eq!(decide(&Change::Unpin, ADA, rights, &message, 1), Ok(Verdict::Repeat));
    }

    #[test]
    fn a_deleted_message_is_not_found() {
        let gone = MessageState { deleted: true, ..message() };
        assert_eq!(judge(Change::React(Emoji::from_archive("a")), ADA, &gone), Err(ErrorCode::NotFound));
    }
}
