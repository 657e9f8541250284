//! The product's transport: two nodes of one cluster, each with its certificate.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use hubbub_cluster::identity::{Authority, Trust};
use hubbub_cluster::transport::{QuicConfig, QuicTransport, Transport};
use hubbub_protocol::ids::NodeId;
use hubbub_protocol::peer::{
    Class, Envelope, Eventually, Lane, PeerBus, PeerChange, PeerInbox, Rejection, SendError,
};

use super::{ARRIVES_WITHIN, ASK_BYTES, Way, frame, number};

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
/// What clients send to a room's owner, and what it fans out.
const ASKS: Lane = Lane { class: Class::Append, number: 0 };
const EVENTS: Lane = Lane { class: Class::Deliver, number: 0 };
/// Pause when the lane is full; it holds thousands of frames.
const PAUSE: Duration = Duration::from_micros(500);

/// Echoes asks and counts the frames of the stream.
#[derive(Debug, Default)]
struct Inbox {
    next: AtomicU64,
    out_of_order: AtomicBool,
}

impl PeerInbox for Inbox {
    fn cast(&self, _: NodeId, _: Lane, envelope: Envelope) -> Eventually<()> {
        if number(&envelope.body) == Some(self.next.load(Ordering::Relaxed)) {
            self.next.fetch_add(1, Ordering::Relaxed);
        } else {
            self.out_of_order.store(true, Ordering::Relaxed);
        }
        Box::pin(std::future::ready(()))
    }

    fn ask(&self, _: NodeId, _: Lane, envelope: Envelope) -> Eventually<Result<Envelope, Rejection>> {
        Box::pin(std::future::ready(Ok(envelope)))
    }

    fn whisper(&self, _: NodeId, _: Envelope) {}

    fn changed(&self, _: NodeId, _: PeerChange) {}
}

/// Two nodes and what the second one hears.
#[derive(Debug)]
pub(super) struct Pair {
    a: QuicTransport,
    b: QuicTransport,
    heard: Arc<Inbox>,
}

impl Pair {
    pub(super) async fn linked() -> Result<Self> {
        let now = SystemTime::now().into();
        let authority = Authority::new("bench".parse()?, now)?;
        let start = |node, inbox: &Arc<Inbox>| -> Result<QuicTransport> {
            let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, crate::server::free_port()?));
            let trust = Trust::new(authority.cluster().clone(), &[authority.root().clone()])?;
            let credentials = authority.issue(node, now)?;
            Ok(QuicTransport::start(QuicConfig { listen, credentials, trust, incarnation: 1 }, inbox.clone())?)
        };
        let heard = Arc::new(Inbox::default());
        let (a, b) = (start(A, &Arc::default())?, start(B, &heard)?);
        a.know(B, vec![b.local_addr()?]);
        b.know(A, vec![a.local_addr()?]);
        let linked = a.linked(B, ARRIVES_WITHIN).await && b.linked(A, ARRIVES_WITHIN).await;
        ensure!(linked, "the two are not linked: {:?}", a.peers());
        Ok(Self { a, b, heard })
    }
}

fn envelope(body: Vec<u8>) -> Envelope {
    Envelope { kind: 1, map_version: 1, body: body.into() }
}

impl Way for Pair {
    const NAME: &'static str = "quic";

    async fn ask(&mut self) -> Result<()> {
        let answer = self.a.ask(B, ASKS, envelope(vec![1; ASK_BYTES]), ARRIVES_WITHIN).await?;
        ensure!(answer.body.len() == ASK_BYTES, "another answer than the ask");
        Ok(())
    }

    async fn stream(&mut self, end: Instant) -> Result<u64> {
        let mut sent = 0;
        while Instant::now() < end {
            match self.a.cast(B, EVENTS, envelope(frame(sent).to_vec())) {
                Ok(()) => sent += 1,
                Err(SendError::Busy { .. }) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error.into()),
            }
        }
        let begun = Instant::now();
        while self.heard.next.load(Ordering::Relaxed) < sent {
            ensure!(begun.elapsed() < ARRIVES_WITHIN, "the stream did not arrive");
            tokio::time::sleep(PAUSE).await;
        }
        ensure!(!self.heard.out_of_order.load(Ordering::Relaxed), "a frame came out of order");
        self.a.close().await;
        self.b.close().await;
        Ok(sent)
    }
}
