//! Takes what dials this node.

use std::{sync::Arc, time::Duration};

use hubbub_protocol::ids::NodeId;
use quinn::{Connection, Incoming, crypto::rustls::HandshakeData};
use rustls::pki_types::CertificateDer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::{
    limits::{CONNECT_TIMEOUT, HANDSHAKES_MAX},
    link::{Link, Origin},
    links::OtherKept,
    track::Purpose,
};
use super::{
    PeerFault, Shared, endpoint,
    fault::{CLOSE_NOT_WELCOME, CLOSE_OTHER_KEPT, CLOSE_VIOLATION},
    hello::{self, Hello, HelloRefusal},
    serve,
};
use crate::join;

/// How long the refused may take to read why; then the connection is closed.
const REASON_TIMEOUT: Duration = Duration::from_secs(1);

/// Takes connections until the transport closes.
pub(super) async fn accept_all(shared: Arc<Shared>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let incoming = tokio::select! {
            incoming = shared.endpoint.accept() => incoming,
            () = shared.closed.cancelled() => return,
        };
        let Some(incoming) = incoming else { return };
        if join::knocks(&incoming) {
            match shared.door.get() {
                Some(door) => door.take(incoming),
                None => incoming.refuse(),
            }
            continue;
        }
        let crowded = handshakes.available_permits() < HANDSHAKES_MAX / 2;
        if crowded && !incoming.remote_address_validated() && incoming.may_retry() {
            drop(incoming.retry());
            continue;
        }
        let Ok(permit) = handshakes.clone().try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        tokio::spawn(accept(shared.clone(), incoming, permit));
    }
}

async fn accept(shared: Arc<Shared>, incoming: Incoming, handshake: OwnedSemaphorePermit) {
    let from = incoming.remote_address();
    let greeted = tokio::time::timeout(CONNECT_TIMEOUT, greet(&shared, incoming));
    match greeted.await.unwrap_or(Err(PeerFault::Silent)) {
        Ok((connection, link, place)) => {
            drop(handshake);
            serve::serve(&shared.links, &connection, &link, place).await;
        }
        Err(PeerFault::NotWelcome(HelloRefusal::OtherKept)) => {}
        Err(fault) => tracing::warn!(port = from.port(), "refused a node that dialled: {fault}"),
    }
}

type Greeted = (Connection, Arc<Link>, super::super::links::Place);

async fn greet(shared: &Shared, incoming: Incoming) -> Result<Greeted, PeerFault> {
    let connection = incoming.await?;
    let purpose = purpose_of(&connection).ok_or(PeerFault::OtherProtocol)?;
    let peer = certified(shared, &connection).ok_or(PeerFault::OtherNode { ours: false })?;
    let (mut says, mut hears) = connection.accept_bi().await?;
    let heard = hello::hear::<Hello>(&mut hears).await;
    let theirs = heard.inspect_err(|fault| {
        connection.close(CLOSE_VIOLATION.into(), fault.to_string().as_bytes());
    })?;
    let ours = Hello::new(shared.trust.cluster().to_string(), shared.me, shared.incarnation);
    let admitted = match judge(shared, &ours, &theirs, peer) {
        Ok(()) => {
            let origin = Origin { dialled_by: peer, incarnation: theirs.incarnation };
            let link = Arc::new(Link::new(peer, purpose, origin, Box::new(connection.clone())));
            shared
                .links
                .admit(link.clone())
                .await
                .map(|place| (link, place))
                .map_err(|OtherKept| HelloRefusal::OtherKept)
        }
        Err(refusal) => Err(refusal),
    };
    match admitted {
        // Revoked since it was judged: its place is given up again, and nothing was told of it.
        Ok(_) if shared.trust.is_revoked(peer) => Err(HelloRefusal::Revoked.into()),
        Ok((link, place)) => {
            hello::say(&mut says, &Ok::<Hello, HelloRefusal>(ours)).await?;
            Ok((connection, link, place))
        }
        Err(refusal) => {
            hello::say(&mut says, &Err::<Hello, HelloRefusal>(refusal.clone())).await?;
            // Closing at once would overtake the reason.
            drop(tokio::time::timeout(REASON_TIMEOUT, says.stopped()).await);
            let kept = refusal == HelloRefusal::OtherKept;
            let code = if kept { CLOSE_OTHER_KEPT } else { CLOSE_NOT_WELCOME };
            connection.close(code.into(), refusal.to_string().as_bytes());
            Err(refusal.into())
        }
    }
}

fn judge(shared: &Shared, ours: &Hello, theirs: &Hello, peer: NodeId) -> Result<(), HelloRefusal> {
    // It may have been revoked since its certificate was looked at.
    if shared.trust.is_revoked(peer) {
        return Err(HelloRefusal::Revoked);
    }
    ours.judge(theirs, peer)
}

fn purpose_of(connection: &Connection) -> Option<Purpose> {
    let data = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    let protocol = data.protocol?;
    Purpose::ALL.into_iter().find(|purpose| endpoint::alpn(*purpose) == protocol)
}

/// The node that the peer's certificate names. TLS believed it already.
pub(super) fn certified(shared: &Shared, connection: &Connection) -> Option<NodeId> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    shared.trust.node_in(chain.first()?)
}
