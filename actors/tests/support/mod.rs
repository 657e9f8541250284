//! A node's actors over a store in memory, and clients that remember what they were sent.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use hubbub_actors::{Caller, Connection, Hub, HubConfig, Ports, room::NewPost, session::SessionTokens};
use hubbub_protocol::{
    error::CloseCode,
    frame::Frame,
    ids::{CommunityId, Epoch, MessageKey, NodeId, RoomId, Seq, SessionId, TsidGenerator, UserId},
    op::{Intents, Mode, Op},
    peer::{Alone, Eventually, PeerBus},
    ports::{Clock, Placed, Placement},
    rest,
    room::Room,
    shard::{ShardBits, ShardId},
    time::Timestamp,
};
use hubbub_storage::{HintCache, MetaStore, NoCache, facts, mem::MemStore};
use parking_lot::Mutex;
use serde_json::Value;

/// How long a state is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct TickingClock(AtomicI64);

impl Clock for TickingClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

#[derive(Debug)]
struct AllHere;

impl Placement for AllHere {
    fn this_node(&self) -> NodeId {
        NodeId(1)
    }
    fn shard_bits(&self) -> ShardBits {
        ShardBits::new(4)
    }
    fn place(&self, _: ShardId) -> Placed {
        Placed { owner: NodeId(1), epoch: Epoch(0), moving: false }
    }
    fn map_version(&self) -> u64 {
        1
    }
    fn others(&self) -> Arc<[NodeId]> {
        Arc::from([])
    }
    fn fresh_epoch(&self, _: ShardId, stored: Epoch) -> Eventually<Option<Epoch>> {
        Box::pin(std::future::ready(Some(stored.next())))
    }
}

#[derive(Debug)]
struct PlainTokens;

impl SessionTokens for PlainTokens {
    fn mint(&self, session: u64, user: UserId) -> String {
        format!("{session}.{}", user.raw())
    }
    fn open(&self, token: &str) -> Option<(u64, UserId)> {
        let (session, user) = token.split_once('.')?;
        Some((session.parse().ok()?, UserId::from_raw(user.parse().ok()?)))
    }
}

/// A node.
pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) store: Arc<MemStore>,
    clock: Arc<TickingClock>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(HubConfig::default()).await
    }

    pub(crate) async fn with(config: HubConfig) -> Self {
        Self::with_cache(config, Arc::new(MemStore::new()), Arc::new(NoCache)).await
    }

    /// A node over a store, with a cache.
    pub(crate) async fn with_cache(config: HubConfig, store: Arc<MemStore>, cache: Arc<dyn HintCache>) -> Self {
        let clock = Arc::new(TickingClock(AtomicI64::new(1_800_000_000_000)));
        let ports = Ports {
            clock: clock.clone(),
            placement: Arc::new(AllHere),
            bus: Arc::new(Alone(NodeId(1))),
            tokens: Arc::new(PlainTokens),
            ids: Arc::new(TsidGenerator::new(1)),
            cache,
        };
        let hub = Hub::start(store.clone(), ports, config).await.expect("a store in memory works");
        Self { hub, store, clock }
    }

    /// One of several nodes over one store.
    pub(crate) async fn beside(
        store: Arc<MemStore>,
        number: u16,
        placement: Arc<dyn Placement>,
        bus: Arc<dyn PeerBus>,
        config: HubConfig,
    ) -> Self {
        let clock = Arc::new(TickingClock(AtomicI64::new(1_800_000_000_000)));
        let ids = Arc::new(TsidGenerator::new(number));
        let ports = Ports {
            clock: clock.clone(),
            placement,
            bus,
            tokens: Arc::new(PlainTokens),
            ids,
            cache: Arc::new(NoCache),
        };
        let hub = Hub::start(store.clone(), ports, config).await.expect("a store in memory works");
        Self { hub, store, clock }
    }

    /// Moves the clock forward.
    pub(crate) fn advance(&self, by_ms: i64) {
        self.clock.0.fetch_add(by_ms, Ordering::SeqCst);
    }

    /// Once an append is held, gives everyone else the time to do what they can, then lets appends go on.
    pub(crate) async fn release_slowly(&self) {
        self.store.faults().until_held(1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.store.faults().release_appends();
    }

    /// Somebody new.
    pub(crate) async fn user(&self, name: &str) -> Caller {
        let id = UserId::from_raw(self.hub.next_id());
        let user = facts::User {
            id,
            name: name.to_owned(),
            display: name.to_owned(),
            email: None,
            avatar: None,
            owner: false,
            disabled: false,
            imported: false,
            created_at: self.hub.now(),
        };
        self.store.create_user(&user, None).await.expect("a free name");
        Caller { user: id, sid: SessionId::from_raw(self.hub.next_id()) }
    }

    /// A public community of `owner` that `others` have joined, and its room `general`.
    pub(crate) async fn community(&self, owner: Caller, others: &[Caller]) -> (CommunityId, RoomId) {
        let wanted = rest::CreateCommunity { name: "lab".into(), description: String::new(), public: true };
        let made = self.hub.communities().create(owner, wanted).await.expect("a community");
        for other in others {
            self.hub.communities().join(*other, made.id).await.expect("it is public");
        }
        let rooms = self.hub.communities().rooms(owner, made.id).await.expect("its rooms");
        assert_eq!(rooms.iter().map(|room| room.name.as_str()).collect::<Vec<_>>(), ["general"]);
        (made.id, rooms[0].id)
    }

    /// A private room of `owner`.
    pub(crate) async fn private_room(&self, owner: Caller, community: CommunityId) -> Room {
        let wanted = rest::CreateRoom {
            name: "cellar".into(),
            kind: None,
            topic: "secret topic".into(),
            private: true,
            category: None,
        };
        self.hub.communities().create_room(owner, community, wanted).await.expect("a room")
    }

    /// A room that every member of the community sees.
    pub(crate) async fn public_room(&self, owner: Caller, community: CommunityId, name: &str) -> RoomId {
        let wanted = rest::CreateRoom {
            name: name.into(),
            kind: None,
            topic: String::new(),
            private: false,
            category: None,
        };
        self.hub.communities().create_room(owner, community, wanted).await.expect("a room").id
    }

    /// Waits for a state.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let waited = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("not so: {what}"));
    }

    /// Sends a text.
    pub(crate) async fn say(&self, by: Caller, room: RoomId, text: &str) -> Seq {
        let key = MessageKey(uuid::Uuid::now_v7());
        let post = NewPost { key, text: text.to_owned(), reply_to: None, files: vec![], retry: false };
        self.hub.rooms().post(by, room, post).await.expect("a member may talk").seq
    }

    /// A connection of no session.
    pub(crate) fn recorder(&self) -> Arc<Recorder> {
        Arc::default()
    }

    /// Connects a device.
    pub(crate) async fn connect(&self, caller: Caller) -> Client {
        let sent = Arc::new(Recorder::default());
        let connection: Arc<dyn Connection> = sent.clone();
        let sessions = self.hub.sessions();
        let begun = sessions.identify(connection, 1, caller, "test".into(), Intents::ALL).await;
        let client = Client { handle: begun.expect("a session"), sent };
        client.until("identified", |frame| frame["re"] == 1).await;
        client
    }
}

/// A connection that remembers what it was sent.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    frames: Mutex<Vec<Value>>,
    closed: Mutex<Option<CloseCode>>,
}

impl Recorder {
    /// All that was sent so far.
    pub(crate) fn frames(&self) -> Vec<Value> {
        self.frames.lock().clone()
    }

    /// The code it was closed with, if it was.
    pub(crate) fn closed(&self) -> Option<CloseCode> {
        *self.closed.lock()
    }

    /// Waits for a frame.
    pub(crate) async fn until(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let waited = async {
            loop {
                if let Some(frame) = self.frames().into_iter().find(|frame| is_it(frame)) {
                    return frame;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waited).await;
        waited.unwrap_or_else(|_| panic!("not {what}; sent was {:#?}", self.frames()))
    }

    fn note(&self, frame: &Frame) {
        let value = serde_json::from_slice(frame.payload()).expect("frames are JSON");
        self.frames.lock().push(value);
    }
}

impl Connection for Recorder {
    fn reply(&self, frame: Frame) {
        self.note(&frame);
    }
    fn control(&self, frame: Frame) {
        self.note(&frame);
    }
    fn event(&self, _: RoomId, _: Seq, frame: &Arc<Frame>) {
        self.note(frame);
    }
    fn ephemeral(&self, frame: &Arc<Frame>) {
        self.note(frame);
    }
    fn close(&self, code: CloseCode) {
        *self.closed.lock() = Some(code);
    }
}

/// One connected device.
pub(crate) struct Client {
    handle: hubbub_actors::session::SessionHandle,
    sent: Arc<Recorder>,
}

impl Client {
    /// All that was sent so far.
    pub(crate) fn frames(&self) -> Vec<Value> {
        self.sent.frames()
    }

    /// The token by which the session is resumed, and its raw id.
    pub(crate) fn session(&self) -> (String, u64) {
        let frames = self.frames();
        let token = frames[0]["ok"]["session"].as_str().expect("identified").to_owned();
        let id = token.split('.').next().and_then(|id| id.parse().ok()).expect("a plain token");
        (token, id)
    }

    /// Loses the connection.
    pub(crate) fn disconnect(&self) {
        let connection: Arc<dyn Connection> = self.sent.clone();
        self.handle.disconnected(&connection);
    }

    /// Texts and types of the events of `room` so far, in order.
    pub(crate) fn events_of(&self, room: RoomId) -> Vec<String> {
        let room = room.to_string();
        let frames = self.frames();
        let events = frames.iter().filter(|frame| frame["ev"] == "room" && frame["room"] == room.as_str());
        let shown = |event: &Value| event["data"]["text"].as_str().or(event["type"].as_str()).map(str::to_owned);
        events.filter_map(shown).collect()
    }

    /// Waits for a frame.
    pub(crate) async fn until(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.sent.until(what, is_it).await
    }

    /// Asks, without waiting for the answer.
    pub(crate) fn request(&self, id: u32, op: Op) {
        self.handle.request(id, op);
    }

    /// Asks, and gives the answer.
    pub(crate) async fn ask(&self, id: u32, op: Op) -> Value {
        self.handle.request(id, op);
        self.until("answered", |frame| frame["re"] == id).await
    }

    /// Its connection.
    pub(crate) fn connection(&self) -> &Recorder {
        &self.sent
    }

    /// The code its connection was closed with, if it was.
    pub(crate) fn closed(&self) -> Option<CloseCode> {
        self.sent.closed()
    }

    /// Follows a room and gives the answer.
    pub(crate) async fn follow(&self, id: u32, room: RoomId) -> Value {
        self.handle.request(id, Op::Subscribe { room, after: None, mode: Mode::Live });
        self.until("answered", |frame| frame["re"] == id).await
    }

    /// Gives the session so much to do that what it is told next waits for a while.
    pub(crate) fn keep_busy(&self, from_id: u32) {
        let strangers: Vec<UserId> = (1..=200).map(UserId::from_raw).collect();
        for id in from_id..from_id + 200 {
            self.handle.request(id, Op::Watch(hubbub_protocol::op::Watched::Users(strangers.clone())));
        }
    }

    /// Asks for a page of presence, as something that is answered after all before.
    pub(crate) async fn settle(&self, id: u32) {
        self.handle.request(id, Op::Watch(hubbub_protocol::op::Watched::Users(Vec::new())));
        self.until("answered", |frame| frame["re"] == id).await;
    }
}
