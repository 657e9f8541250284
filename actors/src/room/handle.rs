//! [`Rooms`]: what the edge and the sessions hold. Finds a room's actor, activates it when needed,
//! and checks the caller's rights before anything is asked.

mod carrying_out;
mod watching;

use std::{collections::BTreeSet, sync::Arc};

use hubbub_protocol::{
    emoji::Emoji,
    error::{ErrorCode, Refusal},
    event::EventBody,
    ids::{NodeId, RoomId, Seq, UserId},
    limits::NAME_CHARS_MAX,
    permissions::Permissions,
    push::Push,
    rest::{Changed, Sent, Thread},
    room::{Parent, RoomKind},
};
use hubbub_storage::{
    Effect,
    facts::{self},
};
use ractor::{ActorRef, ActorRuntime};
use tokio::sync::oneshot;

pub(crate) use self::{
    carrying_out::carry_out,
    watching::{follow, unwatch_from, wake, watch, watch_from},
};
use super::{
    RoomMessage,
    actor::{Ask, Build, RoomActor, RoomArguments},
    post::{Archived, Change, NewPost},
};
use crate::{
    answer::{Answer, busy, unavailable},
    caller::Caller,
    context::Context,
    directory::Access,
    peers::Fact,
    relay::RelayMessage,
};

/// The rooms of this installation.
#[derive(Debug, Clone)]
pub struct Rooms {
    pub(crate) context: Arc<Context>,
}

fn spawn(
    context: &Arc<Context>,
    room: RoomId,
    relay: Option<ActorRef<RelayMessage>>,
    watchers: BTreeSet<NodeId>,
) -> ActorRef<RoomMessage> {
    let arguments = RoomArguments { context: context.clone(), room, relay, watchers };
    let spawned = ActorRuntime::spawn_linked_instant(None, RoomActor, arguments, context.supervisor(room));
    spawned.expect("an actor without a name can always be spawned").0
}

/// Asks a room, wherever it is, activating it first when needed.
pub(crate) fn ask(context: &Arc<Context>, room: RoomId, ask: Ask) {
    if context.forwards.has(room) || !context.is_here(room) {
        context.forwards.push(context, room, ask);
    } else {
        ask_here(context, room, ask);
    }
}

/// Asks a room that this node orders.
fn ask_here(context: &Arc<Context>, room: RoomId, ask: Ask) {
    if context.quarantined(room) {
        // Dropping the ask answers `unavailable`.
        return drop(ask);
    }
    let mut asked = Some(ask);
    let sent = context.slots.to_room(
        room,
        |relay, watchers| spawn(context, room, relay, watchers),
        |permit| RoomMessage::Ask(permit.at(context.meters.stamp()), Box::new(asked.take().expect("called once"))),
    );
    if sent.is_err()
        && let Some(refused) = asked
    {
        refused.refuse(&busy());
    }
}

async fn answered<T>(wait: oneshot::Receiver<Result<T, Refusal>>) -> Result<T, Refusal> {
    wait.await.unwrap_or_else(|_| Err(unavailable()))
}

impl Rooms {
    pub(crate) const fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    async fn access(&self, caller: Caller, room: RoomId) -> Result<Access, Refusal> {
        self.context.directory.access(caller.user, room).await
    }

    /// Sends a message; `answer` is given once it is on disk. Two calls that are awaited one after
    /// the other are committed in that order.
    pub async fn post_in_order(&self, caller: Caller, room: RoomId, post: NewPost, answer: Answer<Sent>) {
        match self.access(caller, room).await {
            Ok(access) => ask(&self.context, room, Ask::Post { caller, access, post, answer }),
            Err(refusal) => answer.give(Err(refusal)),
        }
    }

    /// Changes a message; `answer` is given once that is on disk.
    pub async fn change_in_order(
        &self,
        caller: Caller,
        room: RoomId,
        seq: Seq,
        change: Change,
        answer: Answer<Changed>,
    ) {
        match self.access(caller, room).await {
            Ok(access) => ask(&self.context, room, Ask::Change { caller, access, seq, change, answer }),
            Err(refusal) => answer.give(Err(refusal)),
        }
    }

    /// Sends a message and waits until it is on disk.
    ///
    /// # Errors
    /// The refusals of `send`.
    pub async fn post(&self, caller: Caller, room: RoomId, post: NewPost) -> Result<Sent, Refusal> {
        let (answer, wait) = Answer::awaited();
        self.post_in_order(caller, room, post, answer).await;
        answered(wait).await
    }

    async fn change(&self, caller: Caller, room: RoomId, seq: Seq, change: Change) -> Result<Changed, Refusal> {
        let (answer, wait) = Answer::awaited();
        self.change_in_order(caller, room, seq, change, answer).await;
        answered(wait).await
    }

    /// Changes the text of one's message.
    ///
    /// # Errors
    /// The refusals of `edit`.
    pub async fn edit(&self, caller: Caller, room: RoomId, seq: Seq, text: String) -> Result<Changed, Refusal> {
        self.change(caller, room, seq, Change::Edit(text)).await
    }

    /// Deletes a message.
    ///
    /// # Errors
    /// The refusals of `delete`.
    pub async fn delete(
        &self,
        caller: Caller,
        room: RoomId,
        seq: Seq,
        reason: Option<String>,
    ) -> Result<Changed, Refusal> {
        self.change(caller, room, seq, Change::Delete(reason)).await
    }

    /// Reacts.
    ///
    /// # Errors
    /// The refusals of `react`.
    pub async fn react(&self, caller: Caller, room: RoomId, seq: Seq, emoji: Emoji) -> Result<Changed, Refusal> {
        self.change(caller, room, seq, Change::React(emoji)).await
    }

    /// Takes a reaction back.
    ///
    /// # Errors
    /// The refusals of `unreact`.
    pub async fn unreact(&self, caller: Caller, room: RoomId, seq: Seq, emoji: Emoji) -> Result<Changed, Refusal> {
        self.change(caller, room, seq, Change::Unreact(emoji)).await
    }

    /// Pins a message.
    ///
    /// # Errors
    /// The refusals of `pin`.
    pub async fn pin(&self, caller: Caller, room: RoomId, seq: Seq) -> Result<Changed, Refusal> {
        self.change(caller, room, seq, Change::Pin).await
    }

    /// Unpins a message.
    ///
    /// # Errors
    /// The refusals of `unpin`.
    pub async fn unpin(&self, caller: Caller, room: RoomId, seq: Seq) -> Result<Changed, Refusal> {
        self.change(caller, room, seq, Change::Unpin).await
    }

    /// Begins the thread of a message, or finds it.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `bad_request` for a message in a thread or conversation.
    pub async fn thread(
        &self,
        caller: Caller,
        room: RoomId,
        seq: Seq,
        title: Option<String>,
    ) -> Result<Thread, Refusal> {
        let access = self.access(caller, room).await?;
        let Some(message) = self.context.directory.read(self.context.store.message(room, seq).await)? else {
            return Err(Refusal::not_found("message"));
        };
        if let Some((room, _)) = message.thread {
            return Ok(Thread { room, created: false });
        }
        if matches!(access.room.kind, RoomKind::Thread | RoomKind::Dm | RoomKind::Group | RoomKind::Community) {
            return Err(Refusal::field(
                "room",
                "threads begin in rooms of a community, not in threads or conversations",
            ));
        }
        if !access.permissions.has(Permissions::CREATE_THREAD) {
            return Err(Refusal::forbidden("begin threads here"));
        }
        let beginning =
            || message.text.lines().next().unwrap_or_default().trim().chars().take(NAME_CHARS_MAX).collect();
        let thread = self.new_thread(&access.room, seq, title.unwrap_or_else(beginning));
        let (answer, wait) = Answer::awaited();
        ask(&self.context, room, Ask::Thread { access, seq, thread: Box::new(thread), by: caller.user, answer });
        answered(wait).await
    }

    /// The facts of a thread that is about to grow out of message `seq` of `room`.
    #[must_use]
    pub fn new_thread(&self, room: &facts::Room, seq: Seq, title: String) -> facts::Room {
        facts::Room {
            id: RoomId::from_raw(self.context.next_id()),
            community: room.community,
            kind: RoomKind::Thread,
            name: title,
            topic: String::new(),
            private: false,
            parent: Some(Parent { room: room.id, seq }),
            category: None,
            position: 0,
            slow_mode_s: 0,
            archived: false,
            created_at: self.context.now(),
        }
    }

    /// Moves the caller's read marker forward, and tells the caller's other devices.
    ///
    /// # Errors
    /// The refusals of any request to a room.
    pub async fn read(&self, caller: Caller, room: RoomId, seq: Seq) -> Result<(), Refusal> {
        self.read_from(caller, room, seq, None).await
    }

    pub(crate) async fn read_from(
        &self,
        caller: Caller,
        room: RoomId,
        seq: Seq,
        from: Option<u64>,
    ) -> Result<(), Refusal> {
        self.access(caller, room).await?;
        let seq = seq.min(self.head(room).await?);
        if self.context.markers.read(caller.user, room, seq) {
            self.context.push_to(&[caller.user], &Push::Read { room, seq }, from);
        }
        Ok(())
    }

    /// The newest seq of a room, whoever asks.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn head(&self, room: RoomId) -> Result<Seq, Refusal> {
        Ok(self.context.directory.heads(&[room]).await?.first().copied().unwrap_or_default())
    }

    /// Stores one event that the caller has judged, and facts with it, all or nothing.
    ///
    /// # Errors
    /// `busy`, `unavailable`.
    pub async fn record(
        &self,
        room: RoomId,
        by: UserId,
        body: EventBody,
        effects: Vec<Effect>,
    ) -> Result<Seq, Refusal> {
        let (answer, wait) = Answer::awaited();
        ask(&self.context, room, Ask::Record { by, body: Box::new(body), effects, answer });
        answered(wait).await
    }

    /// Stores events of an archive with facts, all or nothing; `build` makes them from the seq that
    /// the first will have. Returns that seq.
    ///
    /// # Errors
    /// `busy`, `unavailable`.
    pub async fn archive(
        &self,
        room: RoomId,
        build: impl FnOnce(Seq) -> (Vec<Archived>, Vec<Effect>) + Send + 'static,
    ) -> Result<Seq, Refusal> {
        let (answer, wait) = Answer::awaited();
        ask(&self.context, room, Ask::Archive { build: Build(Box::new(build)), answer });
        answered(wait).await
    }

    /// To be called after a room's settings changed.
    pub async fn settings_changed(&self, room: &facts::Room) {
        let facts = Fact::Room { room: room.id, community: room.community };
        let rules = Fact::Rules { room: room.id, archived: room.archived, slow_mode_s: room.slow_mode_s };
        self.context.changed(vec![facts, rules]).await;
    }

    /// The people in a stretch of a room's member list, by id.
    pub(crate) async fn member_window(
        &self,
        caller: Caller,
        room: RoomId,
        from: u64,
        to: u64,
    ) -> Result<Vec<UserId>, Refusal> {
        let access = self.access(caller, room).await?;
        let (store, directory) = (&self.context.store, &self.context.directory);
        let limit = usize::try_from(to).map_err(|_| Refusal::field("window", "`window` is beyond any list"))?;
        if limit > MEMBER_WINDOW_MAX {
            let message = format!("only the first {MEMBER_WINDOW_MAX} members can be watched by place");
            return Err(Refusal::new(ErrorCode::TooLarge, message));
        }
        let users: Vec<UserId> = match (access.room.own_membership(), access.room.community) {
            (false, Some(community)) => {
                let members = directory.read(store.members(community, None, limit, None).await)?;
                members.into_iter().map(|(member, _)| member.user).collect()
            }
            _ => directory
                .read(store.room_members(room, None, limit, None).await)?
                .iter()
                .map(|user| user.id)
                .collect(),
        };
        let skipped = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(users.into_iter().skip(skipped).collect())
    }
}

/// Furthest place of a member list that can be watched: nobody scrolls beyond, and it is read whole.
const MEMBER_WINDOW_MAX: usize = 10_000;
