//! Keeping this node's map, and the links that follow from it.
//!
//! The map comes from the node's own state machine where it takes part in Raft, from what the leader pushes at once, and
//! from whichever peer mentions a newer version in a ping: a node that is cut off from the leader alone stays informed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use hubbub_protocol::{
    ids::NodeId,
    peer::{Class, Envelope, Lane},
};
use tokio::task::JoinSet;

use super::{
    core::Core,
    map::{Cursor, Map, Piece},
    propose::CONTROL,
    wire::MapWanted,
};

/// How long a peer may take for one part of the map.
const PART_WITHIN: Duration = Duration::from_secs(2);
/// Parts of a whole map: 65,536 shards make 8, 10,000 members 79, and 100,000 removed nodes 7.
const PARTS_MAX: usize = 128;
/// How often names of peers without a link are looked up again.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);
/// How long one name may take.
const RESOLVE_WITHIN: Duration = Duration::from_secs(3);

impl Core {
    /// Takes the map from the facts of our own Raft, whenever they grow.
    pub(super) async fn follow_facts(self: Arc<Self>) {
        let mut changes = self.raft.facts().changes();
        loop {
            changes.borrow_and_update();
            let known = self.keeper.version();
            let newer = self.raft.facts().read(|control| (control.map_version > known).then(|| Map::of(control)));
            if let Some(map) = newer {
                self.keeper.offer(map);
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Asks for the map where it is newer.
    pub(super) async fn fetch_maps(self: Arc<Self>) {
        loop {
            self.map_wanted.notified().await;
            let Some((peer, version)) = self.newer_map.lock().take() else { continue };
            if version > self.keeper.version()
                && let Some(pieces) = self.fetch_map(peer).await
            {
                self.keeper.merge(pieces);
            }
        }
    }

    async fn fetch_map(&self, peer: NodeId) -> Option<Vec<Piece>> {
        let (from, mut at, mut pieces) = (self.keeper.version(), Cursor::default(), Vec::new());
        while pieces.len() < PARTS_MAX {
            let wanted = Envelope::pack(from, &MapWanted { from, at }).ok()?;
            let piece: Piece = self.transport.ask(peer, CONTROL, wanted, PART_WITHIN).await.ok()?.open().ok()?;
            let next = piece.next;
            pieces.push(piece);
            match next {
                Some(next) => at = next,
                None => return Some(pieces),
            }
        }
        None
    }

    /// While this node leads, tells everyone at once what changed in the map.
    pub(super) async fn push_maps(self: Arc<Self>) {
        let mut versions = self.keeper.versions();
        let mut pushed = *versions.borrow_and_update();
        while versions.changed().await.is_ok() {
            let version = *versions.borrow_and_update();
            let from = std::mem::replace(&mut pushed, version);
            if !self.is_leader() {
                continue;
            }
            let piece = self.keeper.piece(from, Cursor::default());
            // A first part of several tells that there is something to ask for.
            let Ok(envelope) = Envelope::pack(version, &piece) else { continue };
            for node in self.keeper.others().iter() {
                let _ = self.transport.cast(*node, Lane { class: Class::Control, number: 0 }, envelope.clone());
            }
        }
    }

    /// Keeps links to all members and refuses those that were removed, until the end.
    pub(super) async fn keep_links(self: Arc<Self>, seeds: BTreeMap<NodeId, Vec<String>>) {
        let mut versions = self.keeper.versions();
        let (mut known, mut revoked) = (BTreeMap::<NodeId, Vec<String>>::new(), BTreeSet::new());
        let mut wanted = seeds;
        loop {
            let map = self.keeper.map();
            if map.version > 0 {
                wanted = map.members.iter().map(|(node, member)| (*node, member.about.addresses.clone())).collect();
            }
            wanted.remove(&self.me);
            for node in map.revoked.difference(&revoked) {
                self.transport.revoke(*node);
            }
            revoked.clone_from(&map.revoked);
            for node in known.keys().filter(|node| !wanted.contains_key(node)) {
                self.transport.forget(*node);
            }
            let linked: BTreeSet<NodeId> =
                self.transport.peers().into_iter().filter(|peer| peer.linked).map(|peer| peer.node).collect();
            let mut lookups = JoinSet::new();
            for (node, addresses) in &wanted {
                if known.get(node) != Some(addresses) || !linked.contains(node) {
                    let (node, addresses) = (*node, addresses.clone());
                    lookups.spawn(async move { (node, resolve(&addresses).await) });
                }
            }
            for (node, addresses) in lookups.join_all().await {
                self.transport.know(node, addresses);
            }
            known.clone_from(&wanted);
            self.listen();
            let changed = tokio::time::timeout(RESOLVE_EVERY, versions.changed()).await;
            if matches!(changed, Ok(Err(_))) {
                return;
            }
        }
    }
}

/// The socket addresses behind `addresses`, in their order. A name that is not known now is left out.
async fn resolve(addresses: &[String]) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for address in addresses {
        match tokio::time::timeout(RESOLVE_WITHIN, tokio::net::lookup_host(address)).await {
            Ok(Ok(sockets)) => found.extend(sockets),
            Ok(Err(error)) => tracing::debug!(%address, %error, "an address of a peer cannot be looked up"),
            Err(_) => tracing::debug!(%address, "looking up an address of a peer takes too long"),
        }
    }
    found
}
