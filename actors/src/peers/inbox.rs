//! Takes what the actors of other nodes send.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use hubbub_protocol::{
    frame::Frame,
    ids::NodeId,
    peer::{Envelope, Eventually, Lane, PeerChange, PeerInbox, PeerMessage, Rejection},
};
use tokio::sync::oneshot;

use super::{
    following, homes, reports, tree,
    wire::{
        Changed, Deliver, Done, Elsewhere, Head, Held, Here, Hot, HowAreYou, HowHot, LetGo, Mentioned, Missed,
        People, RoomAnswers, RoomAsks, SignOut, Spread, Standing, TakeUp, ToHome, ToUsers, Typing, Unwatch,
        UserReports, Watch, Watching, WhoIsHere,
    },
};
use crate::{context::Context, relay::RelayMessage, room::handle, session::SessionMessage};

/// The inbox of a node's actors. What it does not know, it leaves to the one behind it.
#[derive(Debug, Clone)]
pub struct HubInbox {
    context: Arc<Context>,
}

type Answer = Result<Envelope, Rejection>;

fn now(answer: Answer) -> Eventually<Answer> {
    Box::pin(std::future::ready(answer))
}

impl HubInbox {
    pub(crate) const fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    fn packed(&self, message: &impl PeerMessage) -> Answer {
        self.context.peers.pack(message).ok_or(Rejection::Malformed)
    }

    /// Asks of a room that this node orders, or not.
    fn room_asks(&self, RoomAsks { room, asks }: RoomAsks) -> Eventually<Answer> {
        if !self.context.is_here(room) {
            return now(self.packed(&RoomAnswers { answers: None }));
        }
        let inbox = self.clone();
        Box::pin(async move {
            let answers = handle::carry_out(&inbox.context, room, asks).await;
            inbox.packed(&RoomAnswers { answers: Some(answers) })
        })
    }

    fn watch(&self, from: NodeId, Watch { room, people }: Watch) -> Eventually<Answer> {
        if !self.context.is_here(room) {
            return now(self.packed(&Watching { head: None, elsewhere: 0 }));
        }
        let (reply, told) = oneshot::channel();
        // Done at once, so that whoever stops watching next is heard after this.
        handle::watch_from(&self.context, room, from, people, reply);
        let inbox = self.clone();
        Box::pin(async move {
            let head = told.await.ok();
            let elsewhere = inbox.context.slots.people_elsewhere(room, inbox.context.this_node(), from);
            inbox.packed(&Watching { head, elsewhere })
        })
    }

    fn try_ask(&self, from: NodeId, envelope: &Envelope) -> Result<Eventually<Answer>, Rejection> {
        let inbox = self.clone();
        Ok(match envelope.kind {
            RoomAsks::KIND => self.room_asks(envelope.open()?),
            Watch::KIND => self.watch(from, envelope.open()?),
            Changed::KIND => {
                self.context.forget(&envelope.open::<Changed>()?.facts);
                now(self.packed(&Done {}))
            }
            LetGo::KIND => {
                let told: LetGo = envelope.open()?;
                Box::pin(async move {
                    inbox.context.let_go_here(&told).await;
                    inbox.packed(&Done {})
                })
            }
            WhoIsHere::KIND => {
                let WhoIsHere { community } = envelope.open()?;
                Box::pin(async move {
                    let users = inbox.context.users_here(community).await;
                    inbox.packed(&Here { users: users.into_iter().map(|user| user.raw()).collect() })
                })
            }
            TakeUp::KIND => {
                let TakeUp { session, user } = envelope.open()?;
                Box::pin(async move {
                    let saved = inbox.context.give_up_session(session, user).await;
                    inbox.packed(&Held { saved: saved.map(|saved| Bytes::from(saved.encode())) })
                })
            }
            HowHot::KIND => {
                let HowHot { by } = envelope.open()?;
                now(self.packed(&Hot { report: self.context.hot_here(by) }))
            }
            HowAreYou::KIND => now(self.packed(&Standing { json: self.context.standing_here() })),
            UserReports::KIND => now(self.packed(&reports::take(&self.context, from, envelope.open()?))),
            _ => return Err(Rejection::UnknownKind),
        })
    }

    fn try_cast(&self, from: NodeId, envelope: &Envelope) -> Result<(), Rejection> {
        let context = &self.context;
        match envelope.kind {
            Deliver::KIND => following::delivered(context, envelope.open()?),
            Spread::KIND => tree::spread(context, envelope.open()?)?,
            Missed::KIND => tree::missed(context, envelope.open()?),
            Head::KIND => {
                let Head { room, head } = envelope.open()?;
                context.slots.with_relay(room, |relay| relay.cast(RelayMessage::Watched { head }).is_ok());
            }
            People::KIND => following::counted(context, from, &envelope.open()?),
            Elsewhere::KIND => {
                let Elsewhere { room, people } = envelope.open()?;
                let told = RelayMessage::Elsewhere { people, reported: None };
                context.slots.with_relay(room, |relay| relay.cast(told).is_ok());
            }
            Unwatch::KIND => handle::unwatch_from(context, envelope.open::<Unwatch>()?.room, from),
            ToUsers::KIND => {
                let ToUsers { users, push, except } = envelope.open()?;
                context.push_here(&users, &Arc::new(Frame::new(&push)), except);
            }
            Mentioned::KIND => {
                let Mentioned { users, room, seq } = envelope.open()?;
                context.mentioned_here(&users, room, seq);
            }
            ToHome::KIND => context.told_as_home(from, &envelope.open()?),
            SignOut::KIND => {
                let SignOut { sid } = envelope.open()?;
                if let Some(hear) = context.signed_out.get() {
                    hear(sid);
                }
                context.sessions.to_device(context, sid, || SessionMessage::SignOut);
            }
            Typing::KIND => {
                let Typing { room, user } = envelope.open()?;
                context.slots.with_relay(room, |relay| relay.cast(RelayMessage::Typing { user }).is_ok());
                following::typing(context, room, user, Some(from));
            }
            _ => return Err(Rejection::UnknownKind),
        }
        Ok(())
    }
}

fn unreadable(from: NodeId, envelope: &Envelope, error: Rejection) {
    tracing::warn!(node.id = %from, kind = envelope.kind, %error, "could not take what node {from} sent");
}

impl PeerInbox for HubInbox {
    fn cast(&self, from: NodeId, _lane: Lane, envelope: Envelope) -> Eventually<()> {
        if let Err(error) = self.try_cast(from, &envelope) {
            unreadable(from, &envelope, error);
        }
        Box::pin(std::future::ready(()))
    }

    fn ask(&self, from: NodeId, _lane: Lane, envelope: Envelope) -> Eventually<Answer> {
        self.try_ask(from, &envelope).unwrap_or_else(|error| {
            unreadable(from, &envelope, error);
            now(Err(error))
        })
    }

    fn whisper(&self, from: NodeId, envelope: Envelope) {
        if let Err(error) = self.try_cast(from, &envelope) {
            unreadable(from, &envelope, error);
        }
    }

    fn changed(&self, node: NodeId, change: PeerChange) {
        let context = &self.context;
        match change {
            PeerChange::Down => {
                for (room, actor) in context.slots.forget_watcher(node) {
                    tracing::debug!(room.id = %room, node.id = %node, "a node that followed is gone");
                    let _ = actor.cast(crate::room::RoomMessage::UnwatchFrom { node });
                    let others = context.slots.watchers(room);
                    if others.len() + 1 >= tree::FLAT_MAX {
                        // It may have had to send on to any of them.
                        let _ = actor.cast(crate::room::RoomMessage::TellBehind(others));
                    }
                }
                tree::link_is_down(context, node);
                context.cut_off.lock().insert(node);
                homes::link_is_down(context, node);
            }
            PeerChange::Up => {
                if context.cut_off.lock().remove(&node) {
                    // What it told of while it could not be reached was missed.
                    context.directory.forget_everything();
                }
                let theirs: BTreeSet<_> = context.slots.relays().into_iter().map(|(room, _)| room).collect();
                for room in theirs.into_iter().filter(|room| context.place_of(*room).owner == node) {
                    following::begin(context, room);
                }
                homes::link_is_up(context, node);
            }
        }
        super::facts::distrust_for_a_while(context);
        // A member that is down, or none any more, cuts nobody off.
        let others = context.peers.others();
        context.cut_off.lock().retain(|node| others.contains(node));
    }
}
