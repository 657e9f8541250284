//! What arrives from other nodes: the runtime's kinds are answered here, the others go to the actors.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock, Weak},
};

use hubbub_protocol::{
    ids::NodeId,
    peer::{Envelope, Eventually, Lane, PeerChange, PeerInbox, PeerMessage as _, Rejection},
};
use parking_lot::Mutex;

use super::{
    core::Core,
    keeper::Taken,
    map::Piece,
    wire::{Heartbeat, MapWanted, Ping, Propose, RAFT_CALL, RUNTIME_KINDS_END, ShardCosts},
};

/// When an asker should come back who came before this node was ready.
const NOT_READY_RETRY_MS: u32 = 200;

/// The inbox of a node: made first, since the transport wants it, and filled in as the node starts.
#[derive(Default)]
pub struct RuntimeInbox {
    core: OnceLock<Weak<Core>>,
    actors: OnceLock<Arc<dyn PeerInbox>>,
    /// Links that came before the actors.
    up: Mutex<BTreeSet<NodeId>>,
}

impl std::fmt::Debug for RuntimeInbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RuntimeInbox")
    }
}

const BUSY: Rejection = Rejection::Busy { retry_after_ms: NOT_READY_RETRY_MS };

impl RuntimeInbox {
    /// An inbox that takes nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Hands `actors` what is theirs from now on, first the links that stand. Once: a second call does nothing.
    pub fn set_actors_inbox(&self, actors: Arc<dyn PeerInbox>) {
        let up = self.up.lock();
        if self.actors.set(actors.clone()).is_ok() {
            up.iter().for_each(|node| actors.changed(*node, PeerChange::Up));
        }
    }

    pub(super) fn set_core(&self, core: &Arc<Core>) {
        let _ = self.core.set(Arc::downgrade(core));
    }

    fn core(&self) -> Option<Arc<Core>> {
        self.core.get().and_then(Weak::upgrade)
    }

    /// Any word from a peer is a sign of life.
    fn heard(&self, from: NodeId) -> Option<Arc<Core>> {
        self.core().inspect(|core| core.reach.heard(from))
    }
}

impl PeerInbox for RuntimeInbox {
    fn cast(&self, from: NodeId, lane: Lane, envelope: Envelope) -> Eventually<()> {
        let core = self.heard(from);
        if envelope.kind >= RUNTIME_KINDS_END {
            return match self.actors.get() {
                Some(actors) => actors.cast(from, lane, envelope),
                None => Box::pin(std::future::ready(())),
            };
        }
        if let Some(core) = core {
            core.take(from, &envelope);
        }
        Box::pin(std::future::ready(()))
    }

    fn ask(&self, from: NodeId, lane: Lane, envelope: Envelope) -> Eventually<Result<Envelope, Rejection>> {
        let core = self.heard(from);
        if envelope.kind >= RUNTIME_KINDS_END {
            return match self.actors.get() {
                Some(actors) => actors.ask(from, lane, envelope),
                None => Box::pin(std::future::ready(Err(BUSY))),
            };
        }
        match core {
            Some(core) => Box::pin(async move { core.answer(from, envelope).await }),
            None => Box::pin(std::future::ready(Err(BUSY))),
        }
    }

    fn whisper(&self, from: NodeId, envelope: Envelope) {
        let core = self.heard(from);
        if envelope.kind >= RUNTIME_KINDS_END {
            if let Some(actors) = self.actors.get() {
                actors.whisper(from, envelope);
            }
        } else if let (Some(core), Ok(ping)) = (core, envelope.open::<Ping>()) {
            core.hear_ping(from, ping);
        }
    }

    fn changed(&self, node: NodeId, change: PeerChange) {
        let mut up = self.up.lock();
        match change {
            PeerChange::Up => up.insert(node),
            PeerChange::Down => up.remove(&node),
        };
        if let Some(actors) = self.actors.get() {
            actors.changed(node, change);
        }
    }
}

fn pack<M: hubbub_protocol::peer::PeerMessage>(version: u64, message: &M) -> Result<Envelope, Rejection> {
    Envelope::pack(version, message).map_err(|_| Rejection::Malformed)
}

impl Core {
    /// Takes a cast of the runtime's.
    fn take(&self, from: NodeId, envelope: &Envelope) {
        if let Ok(piece) = envelope.open::<Piece>() {
            let version = piece.to;
            if self.keeper.push(piece) == Taken::Gap {
                self.wants_map(from, version);
            }
        } else if let Ok(ShardCosts { costs }) = envelope.open() {
            self.hear_costs(from, costs);
        }
    }

    /// Answers an ask of the runtime's.
    async fn answer(&self, from: NodeId, envelope: Envelope) -> Result<Envelope, Rejection> {
        let version = self.keeper.version();
        match envelope.kind {
            RAFT_CALL => self.hear_raft(from, envelope).await,
            Propose::KIND => pack(version, &self.carry_out(envelope.open::<Propose>()?.request).await),
            Heartbeat::KIND => pack(version, &self.hear_heartbeat(from, envelope.open::<Heartbeat>()?).await),
            MapWanted::KIND => {
                let MapWanted { from, at } = envelope.open()?;
                pack(version, &self.keeper.piece(from, at))
            }
            _ => Err(Rejection::UnknownKind),
        }
    }
}
