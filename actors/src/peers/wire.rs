//! What the actors of one node send to those of another, and the numbers of it. A number is for ever; enums and
//! structs grow only with a new number, and the test below fails when somebody forgets.

use bytes::Bytes;
use hubbub_protocol::{
    event::EventClass,
    ids::{CommunityId, NodeId, RoomId, Seq, SessionId, UserId},
    peer::PeerMessage,
};
use serde::{Deserialize, Serialize};

use super::{facts::Fact, homes::Told, reports::Report};
use crate::{
    hot::{HotReport, Measure},
    room::asked::{Asked, Given},
};

macro_rules! messages {
    ($($(#[$doc:meta])* $number:literal $name:ident { $($(#[$field_doc:meta])* $field:ident: $of:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Serialize, Deserialize)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $of,)*
            }

            impl PeerMessage for $name {
                const KIND: u16 = $number;
            }
        )*

        /// Whether it is a well-formed message between actors, for tests and fuzzing.
        #[cfg(any(test, feature = "probe"))]
        #[must_use]
        pub fn probe(envelope: &hubbub_protocol::peer::Envelope) -> bool {
            match envelope.kind {
                $($number => envelope.probe::<$name>(),)*
                _ => false,
            }
        }

        /// Every number and what it stands for.
        pub const KINDS: &[(u16, &str)] = &[$(($number, stringify!($name))),*];
    };
}

messages! {
    /// To a room's owner: asks in the order in which they are to be taken. Answered by [`RoomAnswers`].
    100 RoomAsks {
        /// The room.
        room: RoomId,
        /// At most [`super::forward::BATCH_ASKS_MAX`].
        asks: Vec<Asked>,
    }
    /// One for each ask; none when the receiver does not order the room (now).
    101 RoomAnswers {
        /// In the order of the asks.
        answers: Option<Vec<Given>>,
    }
    /// To a room's owner: a relay of the sender's wants the room's events from now on. Answered by [`Watching`].
    102 Watch {
        /// The room.
        room: RoomId,
        /// How many people follow it there.
        people: u64,
    }
    /// The newest seq on disk; what comes after is sent. `None` when the receiver does not order the room (now).
    103 Watching {
        /// The seq.
        head: Option<Seq>,
        /// How many people follow the room on other nodes than the asker's.
        elsewhere: u64,
    }
    /// To a room's owner: the sender's relay has ended.
    104 Unwatch {
        /// The room.
        room: RoomId,
    }
    /// From a room's owner: events that are on disk, in order.
    105 Deliver {
        /// The room.
        room: RoomId,
        /// The events.
        events: Vec<Delivered>,
    }
    /// From a room's owner: the newest seq on disk, for a receiver that may have missed some.
    106 Head {
        /// The room.
        room: RoomId,
        /// The seq.
        head: Seq,
    }
    /// To every node: these facts have changed. Answered by [`Done`] once they are forgotten.
    107 Changed {
        /// The facts.
        facts: Vec<Fact>,
    }
    /// To every node: hand nothing more of these rooms to these users. Answered by [`Done`] once that is so.
    108 LetGo {
        /// The users.
        users: Vec<UserId>,
        /// The rooms.
        rooms: Vec<RoomId>,
        /// The community they were removed from, to be told of it.
        community: Option<CommunityId>,
    }
    /// It is so.
    109 Done {}
    /// To every node: who has a session there, and is a member of the community, if one is named. Answered by
    /// [`Here`].
    110 WhoIsHere {
        /// The community.
        community: Option<CommunityId>,
    }
    /// Raw user ids.
    111 Here {
        /// By number.
        users: Vec<u64>,
    }
    /// To a node that has devices of these users: a push for them. Usually from the users' home.
    112 ToUsers {
        /// The users.
        users: Vec<UserId>,
        /// The push, as JSON.
        push: Bytes,
        /// A session that is left out.
        except: Option<u64>,
    }
    /// To every node: the session's client is back, on the sender. Answered by [`Held`].
    113 TakeUp {
        /// The session's raw id.
        session: u64,
        /// Whose it is.
        user: UserId,
    }
    /// What the session followed, if the answering node had it; it has it no longer.
    114 Held {
        /// The saved form of a session.
        saved: Option<Bytes>,
    }
    /// A datagram to a room's owner, and from there to those who watch: somebody types.
    115 Typing {
        /// The room.
        room: RoomId,
        /// Who.
        user: UserId,
    }
    /// To every node: end the sessions of this device.
    116 SignOut {
        /// The device.
        sid: SessionId,
    }
    /// To a node that has sessions of these users: this message mentions them. Usually from the users' home.
    117 Mentioned {
        /// Who is mentioned.
        users: Vec<UserId>,
        /// The room.
        room: RoomId,
        /// The message.
        seq: Seq,
    }
    /// To the home of users, what the sender has of them; from the home, how they stand. Answered by [`Reported`].
    118 UserReports {
        /// Whole states; the newest one alone counts.
        reports: Vec<(UserId, Report)>,
    }
    /// The reports are taken.
    119 Reported {
        /// Users whose home the answering node is not: what was reported to it of them is not taken.
        strangers: Vec<UserId>,
    }
    /// To the home of users: send this on to the nodes that have them, except the sender.
    120 ToHome {
        /// The users.
        users: Vec<UserId>,
        /// What is for them.
        told: Told,
    }
    /// To a room's owner: so many people follow it on the sender now.
    121 People {
        /// The room.
        room: RoomId,
        /// How many.
        people: u64,
    }
    /// From a room's owner: so many people follow it on other nodes than the receiver.
    122 Elsewhere {
        /// The room.
        room: RoomId,
        /// How many.
        people: u64,
    }
    /// To every node: which rooms cost it most? Answered by [`Hot`].
    123 HowHot {
        /// By what.
        by: Measure,
    }
    /// Those rooms.
    124 Hot {
        /// What they cost.
        report: HotReport,
    }
    /// To every node, for an operator: how is it? Answered by [`Standing`].
    125 HowAreYou {}
    /// What it says of itself.
    126 Standing {
        /// As JSON, which each release may add to.
        json: Bytes,
    }
    /// From a room's owner, or who sends for it: events for the receiver, and for others that it sends them on to.
    127 Spread {
        /// The room.
        room: RoomId,
        /// The others.
        onward: Vec<NodeId>,
        /// The body of a [`Deliver`].
        deliver: Bytes,
    }
    /// To a room's owner: these nodes may have missed events that the sender should have sent on.
    128 Missed {
        /// The room.
        room: RoomId,
        /// The nodes.
        nodes: Vec<NodeId>,
    }
}

/// An event on its way to a relay of another node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Delivered {
    /// Its place.
    pub seq: Seq,
    /// Who wants it.
    pub class: EventClass,
    /// Who is no member of the room any more.
    pub gone: Option<UserId>,
    /// The author, when everyone is mentioned.
    pub calls_everyone: Option<UserId>,
    /// The push, as JSON.
    pub push: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that was ever sent stands for the same for ever.
    #[test]
    fn numbers_are_given_once() {
        let numbers: Vec<u16> = KINDS.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (100..129).collect::<Vec<_>>(), "{KINDS:?}");
    }
}
