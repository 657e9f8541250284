//! The wire between two nodes in memory: two links for each purpose, and the tasks that carry frames across.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::{
    super::{
        frame,
        incoming::{Incoming, Violation},
        limits::{WHISPER_BUFFER_BYTES, WHISPER_BYTES_MAX},
        link::{Link, Origin, Wire},
        links::Links,
        queue::Outgoing,
        track::{Purpose, Track},
    },
    Network,
    node::Node,
    pair,
};

/// Datagrams on their way, as many as the buffer of a socket holds of the largest.
const WHISPERS_MAX: usize = WHISPER_BUFFER_BYTES / WHISPER_BYTES_MAX;

#[derive(Debug)]
struct Datagrams {
    network: Arc<Network>,
    out: mpsc::Sender<Bytes>,
}

impl Wire for Datagrams {
    fn whisper(&self, datagram: Bytes) {
        if !self.network.loses_a_whisper() {
            drop(self.out.try_send(datagram));
        }
    }
}

/// One end: its link, what its peer's link puts out, and the whispers for it.
struct End {
    links: Arc<Links>,
    link: Arc<Link>,
    arriving: Vec<(Track, Outgoing)>,
    whispers: mpsc::Receiver<Bytes>,
    network: Arc<Network>,
}

/// Links `dialler` and `dialled` until one of the links is over. The network counts them as paired until then.
pub(super) fn link(network: Arc<Network>, dialler: Arc<Node>, dialled: Arc<Node>) {
    let key = pair(dialler.me, dialled.me);
    let ends: Vec<End> =
        Purpose::ALL.into_iter().flat_map(|purpose| ends(&network, &dialler, &dialled, purpose)).collect();
    tokio::spawn(async move {
        let links: Vec<Arc<Link>> = ends.iter().map(|end| end.link.clone()).collect();
        let served = ends.into_iter().map(|end| {
            let links = links.clone();
            async move {
                end.serve().await;
                links.iter().for_each(|link| link.over.cancel());
            }
        });
        join_all(served).await;
        network.state.lock().paired.remove(&key);
        network.changed();
    });
}

fn ends(network: &Arc<Network>, dialler: &Node, dialled: &Node, purpose: Purpose) -> [End; 2] {
    let one_way = |from: &Node, to: &Node| {
        let (out, whispers) = mpsc::channel(WHISPERS_MAX);
        let origin = Origin { dialled_by: dialler.me, incarnation: to.incarnation };
        let wire = Box::new(Datagrams { network: network.clone(), out });
        (Arc::new(Link::new(to.me, purpose, origin, wire)), whispers, from.links.clone())
    };
    let (there, heard_there, links_here) = one_way(dialler, dialled);
    let (back, heard_here, links_there) = one_way(dialled, dialler);
    let (arriving_here, arriving_there) = (back.take_outgoing(), there.take_outgoing());
    let end = |links, link, arriving, whispers| End { links, link, arriving, whispers, network: network.clone() };
    [end(links_here, there, arriving_here, heard_here), end(links_there, back, arriving_there, heard_there)]
}

impl End {
    async fn serve(self) {
        let Self { links, link, arriving, mut whispers, network } = self;
        let Ok(place) = links.admit(link.clone()).await else { return };
        let incoming = Incoming::new(link.clone(), links.inbox.clone());
        let tracks = arriving.into_iter().map(|(track, outgoing)| carry(track, outgoing, &incoming, &network));
        let hears = async {
            while let Some(datagram) = whispers.recv().await {
                incoming.whisper(&datagram)?;
            }
            Ok::<(), Violation>(())
        };
        let work = async {
            let ends = futures_util::future::join(join_all(tracks), hears);
            if let (_, Err(violation)) = ends.await {
                tracing::warn!(node.id = %link.peer, %violation, "closed a link");
            }
        };
        place.hold(work).await;
    }
}

/// Carries what one track puts out to the other end, batch by batch.
async fn carry(track: Track, mut outgoing: Outgoing, incoming: &Incoming, network: &Network) {
    while let Some(mut batch) = outgoing.batch().await {
        let latency = network.latency();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        while let Ok(Some(frame)) = frame::take(&mut batch) {
            if let Err(violation) = incoming.take(track, frame).await {
                tracing::error!(%violation, "our own link broke its rules");
                return;
            }
        }
    }
}
