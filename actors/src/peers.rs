//! The other nodes, as the actors of this one speak to them.
//!
//! * [`wire`] what is sent, with its numbers.
//! * [`inbox`] takes what others send, and hears of links that break.
//! * [`forward`] what is asked of rooms that another node orders, in order, through moves and failures.
//! * [`following`] a relay here and the room's owner there.
//! * [`tree`] who sends events on to whom, when very many nodes follow a room.
//! * [`facts`] what must be forgotten, and who must be let go of, on every node before the change is answered.
//! * [`homes`] where each user has a home, and which nodes have sessions of whom.
//! * [`reports`] what homes and the nodes that have their users tell each other.
//! * [`people`] what is sent to users, wherever they are.
//!
//! # Invariants
//!
//! * Nothing here is needed for the truth: the log and the facts are in the store, and whoever missed a message of
//!   another node's reads them there.

pub mod facts;
pub mod following;
pub mod forward;
pub mod homes;
pub mod inbox;
pub mod people;
pub mod reports;
#[cfg(any(test, feature = "probe"))]
pub mod samples;
pub mod tree;
pub mod wire;

use std::{sync::Arc, time::Duration};

use hubbub_protocol::{
    ids::NodeId,
    peer::{Class, Envelope, Lane, PeerBus, PeerMessage},
    ports::Placement,
};

pub use self::{facts::Fact, inbox::HubInbox};

/// How long a question to every node waits for the slowest. A node that is gone is known as down after about 2 s; one
/// that is cut off lets go of what it knows by itself (see [`facts`]).
const TOLD_WITHIN: Duration = Duration::from_millis(1_500);

/// The lane for everything that concerns no single room.
pub(crate) const CONTROL: Lane = Class::Control.lane(0);

/// Speaks to the other nodes.
#[derive(Debug, Clone)]
pub struct Peers {
    bus: Arc<dyn PeerBus>,
    placement: Arc<dyn Placement>,
}

impl Peers {
    pub(crate) fn new(bus: Arc<dyn PeerBus>, placement: Arc<dyn Placement>) -> Self {
        Self { bus, placement }
    }

    pub(crate) fn bus(&self) -> &dyn PeerBus {
        &*self.bus
    }

    /// The version of the shard map here.
    pub(crate) fn map_version(&self) -> u64 {
        self.placement.map_version()
    }

    /// The other members that are not down.
    pub(crate) fn others(&self) -> Arc<[NodeId]> {
        self.placement.others()
    }

    /// `message` as it is sent; `None` for one that is too large, which is told in the log.
    pub(crate) fn pack(&self, message: &impl PeerMessage) -> Option<Envelope> {
        Envelope::pack(self.placement.map_version(), message)
            .inspect_err(|error| tracing::error!(%error, "a message to another node could not be packed"))
            .ok()
    }

    /// Sends `message` to every other node that can be reached now.
    pub(crate) fn tell_all(&self, message: &impl PeerMessage) {
        let others = self.others();
        if others.is_empty() {
            return;
        }
        let Some(envelope) = self.pack(message) else { return };
        for node in others.iter() {
            if let Err(error) = self.bus.cast(*node, CONTROL, envelope.clone()) {
                tracing::debug!(node.id = %node, %error, "could not tell a node");
            }
        }
    }

    /// Asks every other node, and waits up to [`TOLD_WITHIN`] for their answers; those that give none are left out.
    pub(crate) async fn ask_all<A: PeerMessage>(&self, question: &impl PeerMessage) -> Vec<(NodeId, A)> {
        let others = self.others();
        if others.is_empty() {
            return Vec::new();
        }
        let Some(envelope) = self.pack(question) else { return Vec::new() };
        let asks = others.iter().map(|node| {
            let asked = self.bus.ask(*node, CONTROL, envelope.clone(), TOLD_WITHIN);
            let node = *node;
            async move {
                match asked.await {
                    Ok(answer) => answer.open::<A>().ok().map(|answer| (node, answer)),
                    Err(error) => {
                        tracing::warn!(node.id = %node, %error, "a node did not answer");
                        None
                    }
                }
            }
        });
        futures_util::future::join_all(asks).await.into_iter().flatten().collect()
    }
}
