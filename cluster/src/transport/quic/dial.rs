//! Dials a known peer whenever it is not linked.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hubbub_protocol::ids::NodeId;
use quinn::Connection;
use rand::RngExt as _;

use super::super::{
    limits::{CONNECT_TIMEOUT, HIGHER_DIALS_AFTER, REDIAL_MAX, REDIAL_MIN},
    link::{Link, Origin},
    links::{OtherKept, Place},
    track::Purpose,
};
use super::{
    Known, PeerFault, Shared,
    accept::certified,
    fault::{CLOSE_NOT_WELCOME, CLOSE_OTHER_KEPT},
    hello::{self, Hello, HelloRefusal},
    serve,
};
use crate::identity::node_name;

/// Keeps both connections to `peer` until it is forgotten, or the transport closes.
pub(super) fn keep_linked(shared: &Arc<Shared>, peer: NodeId, known: &Arc<Known>) {
    for purpose in Purpose::ALL {
        let (shared, known) = (shared.clone(), known.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = keep(&shared, peer, purpose, &known) => {}
                () = known.forgotten.cancelled() => {}
                () = shared.closed.cancelled() => {}
            }
        });
    }
}

async fn keep(shared: &Arc<Shared>, peer: NodeId, purpose: Purpose, known: &Known) {
    let mut pause = REDIAL_MIN;
    let mut changes = shared.links.changes();
    let mut addresses = known.addresses.subscribe();
    loop {
        if peer < shared.me {
            // Its own dial would win over ours: let it.
            tokio::time::sleep(HIGHER_DIALS_AFTER).await;
        }
        // The sender lives as long as `shared`.
        drop(changes.wait_for(|_| shared.links.link(peer, purpose).is_none()).await);
        let targets = addresses.borrow_and_update().clone();
        match dial_any(shared, peer, purpose, &targets).await {
            Ok((connection, link, place)) => {
                *known.fault.lock() = None;
                pause = REDIAL_MIN;
                serve::serve(&shared.links, &connection, &link, place).await;
            }
            Err(PeerFault::NotWelcome(HelloRefusal::OtherKept)) => {}
            Err(fault) => shared.note(peer, &fault),
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(pause)) => pause = (pause * 2).min(REDIAL_MAX),
            _ = addresses.changed() => pause = REDIAL_MIN,
        }
    }
}

/// Between half of `pause` and all of it, so that nodes that lost one peer together do not dial it together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}

type Dialled = (Connection, Arc<Link>, Place);

/// Tries each address in turn; the last one's fault is told.
async fn dial_any(
    shared: &Arc<Shared>,
    peer: NodeId,
    purpose: Purpose,
    targets: &[SocketAddr],
) -> Result<Dialled, PeerFault> {
    let mut fault = PeerFault::NoAddress;
    for target in targets {
        let dialled = tokio::time::timeout(CONNECT_TIMEOUT, dial(shared, peer, purpose, *target));
        match dialled.await.unwrap_or(Err(PeerFault::Silent)) {
            Ok(dialled) => return Ok(dialled),
            Err(found) => fault = found,
        }
    }
    Err(fault)
}

async fn dial(
    shared: &Arc<Shared>,
    peer: NodeId,
    purpose: Purpose,
    target: SocketAddr,
) -> Result<Dialled, PeerFault> {
    let name = node_name(shared.trust.cluster(), peer);
    let connecting = shared.endpoint.connect_with(shared.clients.of(purpose), target, &name);
    let connection = connecting.map_err(|error| PeerFault::Broken(error.to_string()))?.await?;
    // TLS holds the name to the certificate already; this is the second lock on invariant 16.
    if certified(shared, &connection) != Some(peer) {
        return Err(PeerFault::OtherNode { ours: false });
    }
    let (mut says, mut hears) = connection.open_bi().await?;
    let ours = Hello::new(shared.trust.cluster().to_string(), shared.me, shared.incarnation);
    hello::say(&mut says, &ours).await?;
    let theirs = hello::hear::<Result<Hello, HelloRefusal>>(&mut hears).await??;
    ours.judge(&theirs, peer).inspect_err(|refusal| {
        connection.close(CLOSE_NOT_WELCOME.into(), refusal.to_string().as_bytes());
    })?;
    let origin = Origin { dialled_by: shared.me, incarnation: theirs.incarnation };
    let link = Arc::new(Link::new(peer, purpose, origin, Box::new(connection.clone())));
    match shared.links.admit(link.clone()).await {
        Ok(place) => Ok((connection, link, place)),
        Err(OtherKept) => {
            connection.close(CLOSE_OTHER_KEPT.into(), b"another link is kept");
            Err(HelloRefusal::OtherKept.into())
        }
    }
}
