//! A running member of a cluster: what its data directory says, brought up.
//!
//! # Order of effects
//!
//! Listen, take part, found the cluster if this is a founder's first start, open the door to joiners, keep the
//! certificate fresh. The actors come after: [`Member::inbox`] and [`Member::cluster`] are given them by whoever
//! starts them. At the end: [`Member::close`].

mod certificate;
mod life;

use std::{fmt, sync::Arc};

use hubbub_cluster::{
    control::{Answer, Command, Refusal},
    join::{Desk, DeskInbox, DeskParts, Renewal, renewal::LOOK_EVERY},
    raft,
    runtime::{Cluster, FoundError, Founding, RuntimeInbox, RuntimeTiming, Start},
    transport::{QuicConfig, QuicTransport, Transport},
};
use hubbub_protocol::ports::Clock;
use hubbub_storage::ErrorChain;
use tokio::task::JoinHandle;

use crate::{
    cli::failure::Failure,
    config::ClusterSettings,
    membership::{FORMATS, FoundingFile, Membership},
};

/// A member.
pub struct Member {
    /// The cluster, as this node takes part in it.
    pub cluster: Arc<Cluster>,
    /// Where tokens are made and joins are decided.
    pub desk: Arc<Desk>,
    /// The links to the others.
    pub transport: Arc<QuicTransport>,
    /// What is to be given the actors' inbox.
    pub inbox: Arc<RuntimeInbox>,
    /// What the data directory says.
    pub membership: Membership,
    renewing: JoinHandle<()>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member({:?})", self.cluster)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

impl Member {
    /// Brings `membership` up. Returns when the node listens and takes part; see [`Cluster::ready`] for the rest.
    ///
    /// # Errors
    /// One sentence with the remedy: the port is taken, a file is damaged, the cluster cannot be founded.
    pub async fn start(
        membership: Membership,
        config: &ClusterSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| Failure::Failed(ErrorChain(error).to_string());
        let inbox = RuntimeInbox::new();
        let desk_inbox = DeskInbox::over(inbox.clone());
        let quic = QuicConfig {
            listen: config.listen,
            credentials: membership.credentials(),
            trust: membership.trust()?,
            incarnation: rand::random(),
        };
        let transport = QuicTransport::start(quic, desk_inbox.clone()).map_err(|error| failed(&error))?;
        let transport = Arc::new(transport);
        let start = Start {
            node: membership.node,
            election_slot: membership.election_slot,
            directory: membership.raft_dir()?,
            addresses: membership.advertised(config),
            versions: FORMATS,
            seeds: membership.seeds.clone(),
            raft: raft::Timing::default(),
            timing: RuntimeTiming::default(),
            transport: transport.clone(),
            inbox: inbox.clone(),
        };
        let cluster = Cluster::start(start).await.map_err(|error| failed(&error))?;
        if let Some(founding) = &membership.founding
            && let Err(failure) = found(&cluster, &membership, founding).await
        {
            cluster.shut_down().await;
            transport.close().await;
            return Err(failure);
        }
        let desk = Desk::new(DeskParts {
            council: cluster.clone(),
            bus: transport.clone(),
            sealing: membership.sealing.clone(),
            clock: clock.clone(),
        });
        let certificate = match certificate::good(&membership, &*clock, &desk, &transport) {
            Ok(certificate) => certificate,
            Err(failure) => {
                cluster.shut_down().await;
                transport.close().await;
                return Err(failure);
            }
        };
        desk_inbox.set_desk(&desk);
        transport.open_door(&desk).map_err(|error| failed(&error))?;
        let renewal = Renewal {
            transport: transport.clone(),
            desk: desk.clone(),
            key: membership.key()?,
            keep: Box::new(membership.keeper()),
            look_every: LOOK_EVERY,
        };
        let renewing = tokio::spawn(renewal.keep_fresh(certificate));
        Ok(Self { cluster, desk, transport, inbox, membership, renewing })
    }

    /// Ends taking part, then the links. What was acknowledged is on disk already.
    pub async fn close(&self) {
        self.renewing.abort();
        self.cluster.shut_down().await;
        self.transport.close().await;
    }
}

/// Founds the cluster, or finds that an earlier start did; then makes the first token.
async fn found(cluster: &Cluster, membership: &Membership, founding: &FoundingFile) -> Result<(), Failure> {
    let failed = |what: &str, why: &dyn fmt::Display| Failure::Failed(format!("{what}: {why}"));
    let first = Founding {
        cluster: membership.cluster,
        shard_bits: membership.shard_bits,
        version: FORMATS.max,
        ca: founding.ca.clone(),
        founder: membership.about(),
    };
    match cluster.found(first.clone()).await {
        Ok(()) | Err(FoundError::Refused(Refusal::Founded)) => {}
        // A start that was cut off has begun the group; its first command may be missing, or not.
        Err(FoundError::Raft(_)) => found_again(cluster, first).await?,
        Err(error) => return Err(failed("the cluster cannot be founded", &error)),
    }
    match cluster.propose(founding.token.command()).await {
        Ok(Answer::Refused(Refusal::TokenExists) | Answer::Done) => membership.founded(),
        Ok(answer) => Err(failed("there is no first token", &format!("{answer:?}"))),
        Err(error) => Err(failed("there is no first token", &error)),
    }
}

async fn found_again(cluster: &Cluster, first: Founding) -> Result<(), Failure> {
    let Founding { cluster: number, shard_bits, version, ca, founder } = first;
    match cluster.propose(Command::Found { cluster: number, shard_bits, version, ca, founder }).await {
        Ok(Answer::Joined { .. } | Answer::Refused(Refusal::Founded)) => Ok(()),
        Ok(answer) => Err(Failure::Failed(format!("the cluster cannot be founded: {answer:?}"))),
        Err(error) => Err(Failure::Failed(format!("the cluster cannot be founded: {error}"))),
    }
}

#[cfg(test)]
mod tests;
