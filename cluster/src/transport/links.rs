//! The links of this node, by peer; the [`PeerBus`] over them.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hubbub_protocol::{
    ids::NodeId,
    peer::{AskError, Class, Envelope, Eventually, Lane, PeerBus, PeerChange, PeerInbox, SendError},
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::{Carried, PeerStatus, limits::ASK_TIMEOUT_MAX, link::Link, track::Purpose};

type Key = (NodeId, Purpose);

/// How soon a link is ended that was made while all others were.
const END_AGAIN: Duration = Duration::from_millis(20);

/// The table of links. A link stands in it from before its `Up` until after its `Down`, so the next link to the same
/// peer begins when the last is wholly over.
#[derive(Debug)]
pub(super) struct Links {
    me: NodeId,
    pub(super) inbox: Arc<dyn PeerInbox>,
    table: RwLock<BTreeMap<Key, Arc<Link>>>,
    changes: watch::Sender<u64>,
    /// What links have carried that are over, by peer.
    carried: Mutex<BTreeMap<NodeId, Carried>>,
    /// How often a class was full.
    refused: [AtomicU64; Class::ALL.len()],
}

/// Another link to the same peer is kept instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OtherKept;

/// A link's place in the table; leaving it ends the link.
#[derive(Debug)]
pub(super) struct Place {
    links: Arc<Links>,
    link: Arc<Link>,
    announced: bool,
}

impl Links {
    pub(super) fn new(me: NodeId, inbox: Arc<dyn PeerInbox>) -> Arc<Self> {
        Arc::new(Self {
            me,
            inbox,
            table: RwLock::default(),
            changes: watch::Sender::new(0),
            carried: Mutex::default(),
            refused: Default::default(),
        })
    }

    /// Takes `link` in, when the peer has no link or a lesser one; waits until that one is over.
    pub(super) async fn admit(self: &Arc<Self>, link: Arc<Link>) -> Result<Place, OtherKept> {
        let mut changes = self.changes.subscribe();
        loop {
            {
                let mut table = self.table.write();
                match table.get(&(link.peer, link.purpose)) {
                    None => {
                        table.insert((link.peer, link.purpose), link.clone());
                        return Ok(Place { links: self.clone(), link, announced: false });
                    }
                    Some(older) if link.replaces(older, self.me) => older.over.cancel(),
                    Some(_) => return Err(OtherKept),
                }
            }
            changes.changed().await.map_err(|_| OtherKept)?;
        }
    }

    pub(super) fn link(&self, peer: NodeId, purpose: Purpose) -> Option<Arc<Link>> {
        let link = self.table.read().get(&(peer, purpose)).cloned();
        link.filter(|link| !link.over.is_cancelled())
    }

    /// Whether both connections to `peer` stand.
    pub(super) fn is_linked(&self, peer: NodeId) -> bool {
        Purpose::ALL.into_iter().all(|purpose| self.link(peer, purpose).is_some())
    }

    /// Hears of every link that comes or goes.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Ends the links to `peer`.
    pub(super) fn end(&self, peer: NodeId) {
        Purpose::ALL.into_iter().filter_map(|purpose| self.link(peer, purpose)).for_each(|link| link.over.cancel());
    }

    /// Ends all links.
    pub(super) fn end_all(&self) {
        self.table.read().values().for_each(|link| link.over.cancel());
    }

    /// Waits until [`is_linked`](Self::is_linked); `false` when it is not within `timeout`.
    pub(super) async fn wait_linked(&self, peer: NodeId, timeout: Duration) -> bool {
        let mut changes = self.changes();
        let linked = changes.wait_for(|_| self.is_linked(peer));
        tokio::time::timeout(timeout, linked).await.is_ok_and(|changed| changed.is_ok())
    }

    /// Ends all links and waits until none is left, those too that were just being made.
    pub(super) async fn end_and_wait(&self) {
        loop {
            self.end_all();
            let mut changes = self.changes();
            let empty = changes.wait_for(|_| self.table.read().is_empty());
            if tokio::time::timeout(END_AGAIN, empty).await.is_ok() {
                return;
            }
        }
    }

    /// The peers that have a link.
    pub(super) fn peers(&self) -> BTreeSet<NodeId> {
        self.table.read().keys().map(|(peer, _)| *peer).collect()
    }

    /// How `node` stands; `fault` is told only while it is not linked.
    pub(super) fn status(&self, node: NodeId, fault: Option<String>) -> PeerStatus {
        let waiting = |class| self.link(node, Purpose::of(class)).map_or(0, |link| link.waiting_bytes(class));
        let linked = self.is_linked(node);
        let waiting_by_class = Class::ALL.map(waiting);
        let before = self.carried.lock().get(&node).copied().unwrap_or_default();
        let links = Purpose::ALL.into_iter().filter_map(|purpose| self.link(node, purpose));
        PeerStatus {
            node,
            linked,
            waiting_bytes: waiting_by_class.iter().sum(),
            waiting_by_class,
            carried: links.fold(before, |sum, link| sum.and(link.carried())),
            fault: fault.filter(|_| !linked),
        }
    }

    /// How often a class was full.
    pub(super) fn refused(&self) -> [u64; Class::ALL.len()] {
        std::array::from_fn(|class| self.refused[class].load(Ordering::Relaxed))
    }

    /// Counts a message that was not taken because its class was full.
    fn count(&self, class: Class, refused: &SendError) {
        if let (SendError::Busy { .. }, Some(at)) = (refused, Class::ALL.iter().position(|known| *known == class)) {
            self.refused[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets what was carried to and from a peer that is no member any more.
    pub(super) fn forget(&self, peer: NodeId) {
        self.carried.lock().remove(&peer);
    }

    fn way(&self, to: NodeId, class: Class) -> Result<Arc<Link>, SendError> {
        self.link(to, Purpose::of(class)).ok_or(SendError::Unreachable { node: to })
    }
}

impl Place {
    /// Tells the inbox, does `work` until it is done or the link is over, and tells the inbox again.
    pub(super) async fn hold(mut self, work: impl Future<Output = ()> + Send) {
        if self.link.purpose == Purpose::Main {
            self.links.inbox.changed(self.link.peer, PeerChange::Up);
            self.announced = true;
        }
        self.links.changes.send_modify(|changes| *changes += 1);
        tokio::select! {
            () = work => {}
            () = self.link.over.cancelled() => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.link.over.cancel();
        self.link.asks.end();
        let carried = Carried { rtt: None, ..self.link.carried() };
        let mut before = self.links.carried.lock();
        let sum = before.entry(self.link.peer).or_default();
        *sum = sum.and(carried);
        drop(before);
        if self.announced {
            self.links.inbox.changed(self.link.peer, PeerChange::Down);
        }
        self.links.table.write().remove(&(self.link.peer, self.link.purpose));
        self.links.changes.send_modify(|changes| *changes += 1);
    }
}

impl PeerBus for Links {
    fn this_node(&self) -> NodeId {
        self.me
    }

    fn cast(&self, to: NodeId, lane: Lane, envelope: Envelope) -> Result<(), SendError> {
        self.way(to, lane.class)?.cast(lane, envelope).inspect_err(|refused| self.count(lane.class, refused))
    }

    fn ask(
        &self,
        to: NodeId,
        lane: Lane,
        envelope: Envelope,
        timeout: Duration,
    ) -> Eventually<Result<Envelope, AskError>> {
        let waited = timeout.min(ASK_TIMEOUT_MAX);
        let begun = self.way(to, lane.class).and_then(|link| link.ask(lane, envelope, waited));
        let begun = begun.inspect_err(|refused| self.count(lane.class, refused));
        Box::pin(async move {
            let mut waiting = begun?;
            match tokio::time::timeout(waited, waiting.answer()).await {
                Ok(Some(answer)) => Ok(answer?),
                Ok(None) => Err(AskError::Lost { node: to }),
                Err(_) => Err(AskError::TimedOut { node: to, waited }),
            }
        })
    }

    fn whisper(&self, to: NodeId, envelope: Envelope) -> Result<(), SendError> {
        self.way(to, Class::Control)?.whisper(envelope)
    }
}
