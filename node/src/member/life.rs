//! A member at work: known to its cluster, linked to the actors, and leaving.

use std::{sync::Arc, time::Duration};

use hubbub_actors::Hub;
use hubbub_cluster::{
    runtime::{Cluster, Load, Report},
    transport::Transport,
};
use hubbub_storage::ErrorChain;
use tokio_util::sync::CancellationToken;

use super::Member;

/// How often the node says how it is.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// How often it says what its shards cost, in times of saying how it is: every 5 s, of numbers that are of 30 s or more.
const COSTS_EVERY: u32 = 10;
/// How long the store may take to say that it is well.
const STORE_WITHIN: Duration = Duration::from_secs(2);
/// How often a node that waits for its cluster says so.
const WAITING_TOLD_EVERY: Duration = Duration::from_secs(5);
/// How long a stopping node takes to hand over what it orders: service managers kill after 60 s or more.
const LEAVE_WITHIN: Duration = Duration::from_secs(30);

impl Member {
    /// Waits until the cluster knows this start of the node, and says every few seconds that it waits.
    pub async fn until_known(&self) {
        while !self.cluster.ready(WAITING_TOLD_EVERY).await {
            let faults: Vec<String> = self.transport.peers().into_iter().filter_map(|peer| peer.fault).collect();
            let faults = if faults.is_empty() { "no link has failed".to_owned() } else { faults.join("; ") };
            tracing::warn!("waiting for the cluster: no leader knows of this start of the node yet; {faults}");
        }
    }

    /// Lets other nodes and the map speak to the actors, and tells the cluster how the node is, until `stopping`.
    pub fn serve(&self, hub: &Hub, stopping: CancellationToken) {
        self.inbox.set_actors_inbox(Arc::new(hub.inbox()));
        self.cluster.set_resident(Arc::new(hub.clone()));
        tokio::spawn(report(self.cluster.clone(), hub.clone(), stopping));
    }

    /// Hands over what the node orders, while it still serves its clients.
    pub async fn leave(&self) {
        if let Err(error) = self.cluster.leave(LEAVE_WITHIN).await {
            tracing::warn!(
                error = %ErrorChain(&error),
                "not everything was handed over; others take it once this node is gone"
            );
        }
    }
}

/// Tells the cluster how this node is.
async fn report(cluster: Arc<Cluster>, hub: Hub, stopping: CancellationToken) {
    let (mut appended, mut delivered) = (0, 0);
    for round in 0_u32.. {
        if round.is_multiple_of(COSTS_EVERY) {
            cluster.report_costs(hub.shard_costs());
        }
        let checked = tokio::time::timeout(STORE_WITHIN, hub.store().check_writes()).await;
        let status = hub.observe();
        let load = Load {
            sessions: u32::try_from(status.sessions).unwrap_or(u32::MAX),
            appends_per_s: per_s(status.appended, appended),
            deliveries_per_s: per_s(status.delivered, delivered),
        };
        (appended, delivered) = (status.appended, status.delivered);
        cluster.report(Report { storage_ok: checked.is_ok_and(|checked| checked.is_ok()), load });
        tokio::select! {
            () = tokio::time::sleep(REPORT_EVERY) => {}
            () = stopping.cancelled() => return,
        }
    }
}

fn per_s(now: u64, before: u64) -> u32 {
    let every_ms = u64::try_from(REPORT_EVERY.as_millis()).unwrap_or(1);
    u32::try_from(now.saturating_sub(before) * 1_000 / every_ms).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_told_by_the_second() {
        assert_eq!((per_s(600, 500), per_s(500, 600)), (200, 0));
    }
}
