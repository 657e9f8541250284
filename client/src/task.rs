//! The task behind a client: connect, identify or resume, pass on, heal, come back.
//!
//! # Failure
//!
//! A lost connection fails what was asked and not answered ([`RequestError::Disconnected`]) and is
//! made again after a jittered wait. What the room got to meanwhile comes by resume, or is fetched.

mod heal;

use std::{collections::HashMap, pin::pin, time::Duration};

use bytes::Bytes;
use hubbub_protocol::{
    error::{CloseCode, Refusal},
    ids::{RoomId, Seq},
    op::{Mode, Op},
    push::{Push, Resumed},
};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use self::heal::Healed;
use crate::{
    backoff,
    handle::{Config, RequestError, Update},
    rest::Rest,
    socket::{Socket, SocketError},
    track::Track,
};

/// Pages of healed events that may wait for the task.
const HEALED_MAX: usize = 4;
/// How long a node may take for its first words.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);

type Reply = oneshot::Sender<Result<Value, RequestError>>;

/// What a handle asks of the task.
#[derive(Debug)]
pub(crate) enum Command {
    Ask(Op, Reply),
    Follow { room: RoomId, after: Option<Seq>, mode: Mode, reply: Reply },
}

enum Waiting {
    Plain(Reply),
    Follow { room: RoomId, after: Option<Seq>, mode: Mode, reply: Option<Reply> },
}

struct Task {
    config: Config,
    rest: Rest,
    updates: mpsc::Sender<Update>,
    identified: watch::Sender<Option<Value>>,
    session: Option<String>,
    tracks: HashMap<RoomId, Track>,
    unread: Vec<RoomId>,
    healing: HashMap<RoomId, ()>,
    waiting: HashMap<u32, Waiting>,
    last_id: u32,
    token: String,
    /// What `reconnect` asked for.
    come_back_after: Option<Duration>,
}

/// Why one connection is over.
enum Over {
    /// The handles are gone.
    Dropped,
    /// The node refused for good.
    Ended(u16),
    /// To be made again; `true` when it had begun.
    Lost(bool),
}

/// Runs a client until its handles are gone or the node refuses it for good.
pub(crate) async fn run(
    config: Config,
    rest: Rest,
    mut commands: mpsc::Receiver<Command>,
    updates: mpsc::Sender<Update>,
    identified: watch::Sender<Option<Value>>,
) {
    let mut task = Task {
        config,
        rest,
        updates,
        identified,
        session: None,
        tracks: HashMap::new(),
        unread: Vec::new(),
        healing: HashMap::new(),
        waiting: HashMap::new(),
        last_id: 0,
        token: String::new(),
        come_back_after: None,
    };
    let mut failures = 0;
    loop {
        let over = task.connection(&mut commands).await;
        task.waiting.clear();
        task.healing.clear();
        match over {
            Over::Dropped => return,
            Over::Ended(code) => {
                // An application that does not listen any more need not be told.
                let _ = task.updates.send(Update::Ended(code)).await;
                return;
            }
            Over::Lost(begun) => failures = if begun { 0 } else { failures + 1 },
        }
        let wait = task.come_back_after.take().unwrap_or_else(|| backoff::wait(failures, rand::random()));
        tokio::time::sleep(wait).await;
        if commands.is_closed() && commands.is_empty() {
            return;
        }
    }
}

impl Task {
    async fn connection(&mut self, commands: &mut mpsc::Receiver<Command>) -> Over {
        match self.config.token.token().await {
            Ok(token) => self.token = token,
            Err(error) => {
                tracing::warn!(%error, "no access token");
                return Over::Lost(false);
            }
        }
        let mut socket = match Socket::connect(&self.config.url, self.config.format).await {
            Ok(socket) => socket,
            Err(error) => {
                tracing::debug!(%error, "could not connect");
                return Over::Lost(false);
            }
        };
        let heartbeat = match tokio::time::timeout(BEGIN_WITHIN, self.begin(&mut socket)).await {
            Ok(Ok(heartbeat)) => heartbeat,
            Ok(Err(error)) => return self.over(&error, false),
            Err(_) => return Over::Lost(false),
        };
        if self.updates.send(Update::Connected).await.is_err() && commands.is_closed() {
            return Over::Dropped;
        }
        let over = self.serve(&mut socket, commands, heartbeat).await;
        if let Over::Lost(_) = over {
            // Likewise.
            let _ = self.updates.send(Update::Disconnected).await;
        }
        socket.close().await;
        over
    }

    fn over(&mut self, error: &SocketError, begun: bool) -> Over {
        let SocketError::Closed(code) = error else { return Over::Lost(begun) };
        let is = |known: CloseCode| *code == known.code();
        if is(CloseCode::SessionUnknown) {
            self.session = None;
        }
        if is(CloseCode::TokenRefused) || is(CloseCode::SignedOut) || is(CloseCode::TakenUp) {
            return Over::Ended(*code);
        }
        Over::Lost(begun)
    }

    fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    /// Says the first words; returns how often to beat.
    async fn begin(&mut self, socket: &mut Socket) -> Result<Duration, SocketError> {
        let (hello, _) = socket.next().await?;
        let heartbeat = Duration::from_millis(hello["heartbeat_ms"].as_u64().unwrap_or(30_000));
        let (id, token) = (self.next_id(), self.token.clone());
        let op = match self.session.clone() {
            Some(session) => {
                let cursors = self.tracks.iter().map(|(room, track)| (*room, track.seen())).collect();
                Op::Resume { token, session, cursors }
            }
            None => Op::Identify { token, device: self.config.device.clone(), intents: self.config.intents },
        };
        socket.send(id, &op).await?;
        let answer = loop {
            let (frame, _) = socket.next().await?;
            if frame["re"] == id {
                break frame;
            }
        };
        let ok = answer.get("ok").cloned().ok_or(SocketError::Unreadable)?;
        let resumed = self.session.is_some();
        self.session = ok["session"].as_str().map(str::to_owned);
        if resumed {
            let rooms: Resumed = serde_json::from_value(ok).map_err(|_| SocketError::Unreadable)?;
            for (room, state) in rooms.rooms {
                if let Some(track) = self.tracks.get_mut(&room) {
                    track.head(state.head);
                }
                if state.gap {
                    self.mark_gap(room);
                }
            }
        } else {
            self.identified.send_replace(Some(ok));
            let rooms: Vec<_> = self.tracks.iter().map(|(room, track)| (*room, Some(track.seen()))).collect();
            for (room, after) in rooms {
                self.follow(socket, room, after, Mode::Live, None).await?;
            }
            for room in self.unread.clone() {
                self.follow(socket, room, None, Mode::Unread, None).await?;
            }
        }
        Ok(heartbeat)
    }

    async fn follow(
        &mut self,
        socket: &mut Socket,
        room: RoomId,
        after: Option<Seq>,
        mode: Mode,
        reply: Option<Reply>,
    ) -> Result<(), SocketError> {
        let id = self.next_id();
        self.waiting.insert(id, Waiting::Follow { room, after, mode, reply });
        socket.send(id, &Op::Subscribe { room, after, mode }).await
    }

    async fn serve(
        &mut self,
        socket: &mut Socket,
        commands: &mut mpsc::Receiver<Command>,
        heartbeat: Duration,
    ) -> Over {
        let (heal, mut healed) = mpsc::channel(HEALED_MAX);
        let first = heartbeat.mul_f64(rand::random());
        let mut beat = pin!(tokio::time::sleep(first));
        let mut heard = Instant::now();
        let behind: Vec<RoomId> = self.tracks.keys().copied().collect();
        behind.into_iter().for_each(|room| self.heal_if_gap(room, &heal));
        loop {
            let done = tokio::select! {
                frame = socket.next() => match frame {
                    Ok((value, json)) => {
                        heard = Instant::now();
                        self.frame(&value, json, &heal).await
                    }
                    Err(error) => return self.over(&error, true),
                },
                command = commands.recv() => match command {
                    Some(Command::Ask(op, reply)) => {
                        let id = self.next_id();
                        self.waiting.insert(id, Waiting::Plain(reply));
                        socket.send(id, &op).await
                    }
                    Some(Command::Follow { room, after, mode, reply }) => {
                        self.follow(socket, room, after, mode, Some(reply)).await
                    }
                    None => return Over::Dropped,
                },
                Some(page) = healed.recv() => self.healed(page, &heal).await,
                () = &mut beat => {
                    // Each heartbeat is answered: a node that says nothing for two is not there.
                    if heard.elapsed() > heartbeat * 2 {
                        return Over::Lost(true);
                    }
                    beat.as_mut().reset(Instant::now() + heartbeat.mul_f64(0.9));
                    let id = self.next_id();
                    socket.send(id, &Op::Heartbeat).await
                }
            };
            if let Err(error) = done {
                return self.over(&error, true);
            }
        }
    }

    async fn frame(
        &mut self,
        value: &Value,
        json: Vec<u8>,
        heal: &mpsc::Sender<Healed>,
    ) -> Result<(), SocketError> {
        if let Some(id) = value.get("re").and_then(Value::as_u64) {
            self.answer(u32::try_from(id).unwrap_or(0), value, heal);
            return Ok(());
        }
        if value["ev"] == "room" {
            match heal::read(Bytes::from(json)).ok_or(SocketError::Unreadable)? {
                heal::Read::Known(came) => self.event(came, heal).await,
                heal::Read::Later(room, seq) => self.skip(room, seq, heal).await,
            }
            return Ok(());
        }
        // A push of a later version is no fault.
        let Ok(push) = serde_json::from_value::<Push>(value.clone()) else { return Ok(()) };
        match &push {
            Push::Gap { room, to, .. } => {
                if let Some(track) = self.tracks.get_mut(room) {
                    track.head(*to);
                }
                self.heal(*room, heal);
            }
            Push::Reconnect { after_ms } => self.come_back_after = Some(Duration::from_millis(*after_ms)),
            Push::Hello { .. }
            | Push::Typing { .. }
            | Push::Presence { .. }
            | Push::Unread { .. }
            | Push::Read { .. }
            | Push::User { .. }
            | Push::Community { .. }
            | Push::Notify { .. }
            | Push::Resumed => {}
        }
        self.tell(Update::Push(push)).await;
        Ok(())
    }

    async fn tell(&self, update: Update) {
        // An application that only asks may have dropped its updates.
        let _ = self.updates.send(update).await;
    }

    fn answer(&mut self, id: u32, value: &Value, heal: &mpsc::Sender<Healed>) {
        let answer = match (value.get("ok"), value.get("error")) {
            (Some(ok), _) => Ok(ok.clone()),
            (_, Some(error)) => serde_json::from_value::<Refusal>(error.clone())
                .map_or(Err(RequestError::Unreadable), |refusal| Err(RequestError::Refused(refusal))),
            _ => Err(RequestError::Unreadable),
        };
        match self.waiting.remove(&id) {
            Some(Waiting::Plain(reply)) => drop(reply.send(answer)),
            Some(Waiting::Follow { room, after, mode, reply }) => {
                if let Ok(ok) = &answer {
                    let head = Seq(ok["head"].as_u64().unwrap_or(0));
                    self.begin_room(room, after, mode, head);
                    if ok["gap"] == true {
                        self.heal(room, heal);
                    }
                }
                if let Some(reply) = reply {
                    // Who asked may have stopped waiting.
                    let _ = reply.send(answer);
                }
            }
            None => {}
        }
    }
}
