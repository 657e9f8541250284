//! [`Rooms`]: what the edge and the sessions hold. Finds a room's actor, activates it when needed,
//! and checks the caller's rights before anything is asked.

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

use super::{
    RoomMessage,
    actor::{Ask, Build, RoomActor, RoomArguments},
    asked::{self, Asked, Given},
    post::{Archived, Change, NewPost},
};
use crate::{
    answer::{Answer, busy, unavailable},
    caller::Caller,
    context::Context,
    directory::Access,
    peers::{Fact, following},
    relay::{Follower, RelayActor, RelayMessage, Reply},
    slots::Full,
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
        |permit| RoomMessage::Ask(permit, Box::new(asked.take().expect("called once"))),
    );
    if sent.is_err()
        && let Some(refused) = asked
    {
        refused.refuse(&busy());
    }
}

/// Makes `relay` the room's relay, activating the room first when needed. When another node orders the room, it is
/// asked to send to the relay that this node has for the room.
pub(crate) fn watch(context: &Arc<Context>, room: RoomId, relay: ActorRef<RelayMessage>) {
    if !context.is_here(room) {
        return following::begin(context, room);
    }
    // A full queue cannot keep a relay out: it would never learn where its stretch begins.
    let watching = context.slots.with_room(room, |actor| actor.cast(RoomMessage::Watch(relay.clone())).is_ok());
    if watching != Some(true) {
        let _ = context.slots.to_room(
            room,
            |_, watchers| spawn(context, room, Some(relay.clone()), watchers),
            |permit| {
                drop(permit);
                RoomMessage::Watch(relay.clone())
            },
        );
    }
}

/// Activates a room that somebody follows, so that they go on being served.
pub(crate) fn wake(context: &Arc<Context>, room: RoomId) {
    let relay = context.slots.with_relay(room, Clone::clone);
    if let Some(relay) = relay {
        watch(context, room, relay);
    } else if context.is_here(room) && !context.slots.watchers(room).is_empty() {
        let nothing = |permit| {
            drop(permit);
            RoomMessage::TellBehind
        };
        // A full queue belongs to a room that is active.
        let _ = context.slots.to_room(room, |relay, watchers| spawn(context, room, relay, watchers), nothing);
    }
}

/// Takes note that a relay of `node` follows the room, which this node orders; `reply` is told where its stretch
/// begins.
pub(crate) fn watch_from(context: &Arc<Context>, room: RoomId, node: NodeId, reply: oneshot::Sender<Seq>) {
    context.slots.add_watcher(room, node);
    let mut reply = Some(reply);
    let sent = context.slots.to_room(
        room,
        |relay, watchers| spawn(context, room, relay, watchers),
        |permit| {
            drop(permit);
            RoomMessage::WatchFrom { node, reply: reply.take().expect("called once") }
        },
    );
    if sent.is_err() {
        // A full queue is no answer; the relay asks again.
        context.slots.remove_watcher(room, node);
    }
}

/// Takes note that it does not any more.
pub(crate) fn unwatch_from(context: &Context, room: RoomId, node: NodeId) {
    context.slots.remove_watcher(room, node);
    context.slots.with_room(room, |actor| actor.cast(RoomMessage::UnwatchFrom { node }).is_ok());
}

/// Carries out what another node, or a queue of this one, asks of a room that is here; in order, each answered.
pub(crate) async fn carry_out(context: &Arc<Context>, room: RoomId, asks: Vec<Asked>) -> Vec<Given> {
    let mut given = Vec::with_capacity(asks.len());
    for asked in asks {
        given.push(begin(context, room, asked).await);
    }
    let given = given.into_iter().map(|given| async move {
        match given {
            Ok(given) => given.await,
            Err(refusal) => Given::refused(&refusal),
        }
    });
    futures_util::future::join_all(given).await
}

type Settling = futures_util::future::BoxFuture<'static, Given>;

/// Asks the room's actor; what it gives is awaited apart.
async fn begin(context: &Arc<Context>, room: RoomId, asked: Asked) -> Result<Settling, Refusal> {
    let rights = async |user| context.directory.access(user, room).await;
    Ok(match asked {
        Asked::Post { caller, post } => {
            let access = rights(caller.user).await?;
            let (answer, wait) = Answer::awaited();
            ask_here(context, room, Ask::Post { caller, access, post, answer });
            settling(wait, |Sent { seq, ts, repeat }| Given::Sent { seq, ts, repeat })
        }
        Asked::Change { caller, seq, change } => {
            let access = rights(caller.user).await?;
            let (answer, wait) = Answer::awaited();
            ask_here(context, room, Ask::Change { caller, access, seq, change, answer });
            settling(wait, |changed| match changed {
                Changed::Event { event_seq } => Given::Changed(Some(event_seq)),
                Changed::Repeat { .. } => Given::Changed(None),
            })
        }
        Asked::Thread { by, seq, thread } => {
            let access = rights(by).await?;
            let thread = asked::thread_facts(&thread)?;
            let (answer, wait) = Answer::awaited();
            ask_here(context, room, Ask::Thread { access, seq, thread, by, answer });
            settling(wait, |Thread { room, created }| Given::Thread { room, created })
        }
        Asked::Record { body, effects } => {
            let (by, body, effects) = asked::record_of(&body, &effects)?;
            let (answer, wait) = Answer::awaited();
            ask_here(context, room, Ask::Record { by, body, effects, answer });
            settling(wait, Given::Seq)
        }
        Asked::Archive { first, events, effects } => {
            let (events, effects) = asked::archive_of(&events, &effects)?;
            let (answer, wait) = Answer::awaited();
            ask_here(context, room, Ask::ArchiveAt { first, events, effects, answer });
            settling(wait, Given::Seq)
        }
    })
}

fn settling<T: Send + 'static>(
    wait: oneshot::Receiver<Result<T, Refusal>>,
    given: impl FnOnce(T) -> Given + Send + 'static,
) -> Settling {
    Box::pin(async move { answered(wait).await.map_or_else(|refusal| Given::refused(&refusal), given) })
}

/// Lets a session follow a room; `reply` is called ahead of the first event.
pub(crate) fn follow(
    context: &Arc<Context>,
    room: RoomId,
    follower: Box<Follower>,
    after: Option<Seq>,
    reply: Reply,
) -> Result<(), Full> {
    let spawn = || {
        let arguments = (context.clone(), room);
        let spawned = ActorRuntime::spawn_linked_instant(None, RelayActor, arguments, context.supervisor(room));
        spawned.expect("an actor without a name can always be spawned").0
    };
    context.slots.to_relay(room, spawn, |permit| RelayMessage::Follow(permit, follower, after, reply))
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
