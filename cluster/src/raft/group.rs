//! A Raft group for tests: nodes on a network in memory, with their logs on a real disk.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use hubbub_protocol::ids::NodeId;

use super::{Peer, RaftNode, Start, StartError, Timing, in_memory::Network};
use crate::{
    autopilot::Change,
    control::{Answer, Command, Control, Request, RequestId, member::FOUNDER, samples},
};

/// Shorter than in a cluster, long enough for a busy machine.
pub(super) const TIMING: Timing = Timing {
    heartbeat_ms: 80,
    election_ms_min: 600,
    election_step_ms: 160,
    snapshot_every_entries: 40,
    kept_entries: 5,
};
pub(super) const PATIENCE: Duration = Duration::from_secs(40);

pub(super) struct Group {
    pub(super) network: Network,
    directory: tempfile::TempDir,
    pub(super) nodes: BTreeMap<NodeId, Arc<RaftNode>>,
    pub(super) slots: BTreeMap<NodeId, u8>,
    sent: u64,
}

pub(super) fn peer(node: NodeId) -> Peer {
    Peer { addresses: vec![format!("node-{node}:7400")] }
}

pub(super) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let seen = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    seen.await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

impl Group {
    pub(super) fn path(&self, node: NodeId) -> PathBuf {
        self.directory.path().join(format!("node-{node}"))
    }

    pub(super) async fn try_start(&self, node: NodeId, election_slot: u8) -> Result<RaftNode, StartError> {
        let (directory, wire) = (self.path(node), self.network.wire(node));
        std::fs::create_dir_all(&directory).expect("a directory");
        RaftNode::start(Start { node, election_slot, directory, timing: TIMING, wire }).await
    }

    pub(super) async fn start(&mut self, node: NodeId, election_slot: u8) {
        let started = Arc::new(self.try_start(node, election_slot).await.expect("it starts"));
        self.network.plug(node, Arc::clone(&started) as Arc<_>);
        self.nodes.insert(node, started);
        self.slots.insert(node, election_slot);
    }

    pub(super) async fn stop(&mut self, node: NodeId) {
        self.network.unplug(node);
        self.nodes.remove(&node).expect("it runs").shut_down().await;
    }

    /// A founded cluster of one.
    pub(super) async fn of_one() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (nodes, slots) = (BTreeMap::new(), BTreeMap::new());
        let mut group = Self { network: Network::default(), directory, nodes, slots, sent: 0 };
        group.start(FOUNDER, 0).await;
        group.nodes[&FOUNDER].found(FOUNDER, peer(FOUNDER)).await.expect("a new group");
        assert!(matches!(group.write(samples::found()).await, Answer::Joined { node: FOUNDER, .. }));
        group
    }

    /// Three voters that joined as nodes do: by a token, at the log index of their join.
    pub(super) async fn of_three() -> Self {
        let mut group = Self::of_one().await;
        assert_eq!(group.write(samples::create_token(1, 9)).await, Answer::Done);
        for number in [2, 3] {
            group.join(number).await;
        }
        let voters = group.nodes.keys().copied().collect();
        group.nodes[&FOUNDER].change(Change::SetVoters { voters }).await.expect("three voters");
        group
    }

    pub(super) async fn join(&mut self, number: u8) -> NodeId {
        let Answer::Joined { node, election_slot } = self.write(samples::join(1, number)).await else {
            panic!("node {number} does not join")
        };
        self.start(node, election_slot).await;
        let leader = self.leader().await;
        self.nodes[&leader].change(Change::AddLearner { node, peer: peer(node) }).await.expect("it follows");
        node
    }

    /// The node that leads and can prove it.
    pub(super) async fn leader(&self) -> NodeId {
        until("there is a leader", async || {
            for (id, node) in &self.nodes {
                if node.standing().leader == Some(*id) && node.confirm().await.is_ok() {
                    return Some(*id);
                }
            }
            None
        })
        .await
    }

    pub(super) fn request(&mut self, command: Command) -> Request {
        self.sent += 1;
        Request { id: Some(RequestId { proposer: 42, n: self.sent }), command }
    }

    /// Proposes until it is answered, as a client does: the same request, at whoever leads.
    pub(super) async fn send(&self, request: &Request) -> Answer {
        until("the request is answered", async || {
            let leader = self.leader().await;
            self.nodes[&leader].propose(request.clone()).await.ok()
        })
        .await
    }

    pub(super) async fn write(&mut self, command: Command) -> Answer {
        let request = self.request(command);
        self.send(&request).await
    }

    /// Waits until every node has the facts of the leader.
    pub(super) async fn agree(&self) -> Control {
        let leader = self.leader().await;
        let facts = self.nodes[&leader].facts().read(Clone::clone);
        until("all nodes have the same facts", async || {
            let same = self.nodes.values().all(|node| node.facts().read(|control| *control == facts));
            same.then_some(())
        })
        .await;
        facts
    }

    pub(super) async fn end(self) {
        for node in self.nodes.values() {
            node.shut_down().await;
        }
    }
}
