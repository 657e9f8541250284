//! What `/readyz` says of a node that is not all there.

use std::{collections::BTreeSet, path::PathBuf};

use hubbub_protocol::ids::NodeId;

use super::*;

fn status() -> ClusterStatus {
    ClusterStatus {
        node: NodeId(1),
        incarnation: 1,
        superseded: false,
        leader: Some(NodeId(2)),
        term: 3,
        voters: BTreeSet::from([NodeId(1), NodeId(2), NodeId(3)]),
        voters_changing: false,
        learners: BTreeSet::new(),
        last_index: 9,
        applied_index: 9,
        last_contact: None,
        coasting: false,
        proposals: 0,
        proposals_failed: 0,
        map_version: 7,
        shards: 64,
        moving: 0,
        members: Vec::new(),
        peers: Vec::new(),
    }
}

fn found(status: &ClusterStatus) -> (Vec<String>, Vec<String>) {
    let mut found = Findings::default();
    of_cluster(&mut found, status);
    (found.reasons, found.warnings)
}

#[test]
fn a_node_that_lost_its_cluster_serves_and_says_so() {
    assert_eq!(found(&status()), (vec![], vec![]));
    let (reasons, warnings) = found(&ClusterStatus { leader: None, coasting: true, ..status() });
    assert_eq!((reasons.len(), warnings.len()), (0, 2), "{warnings:?}");
    assert!(warnings[0].contains("majority") && warnings[1].contains("fence"), "{warnings:?}");
}

#[test]
fn a_node_that_the_cluster_has_given_up_does_not_serve() {
    let (reasons, _) = found(&ClusterStatus { superseded: true, map_version: 0, ..status() });
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("join anew") && reasons[1].contains("map"), "{reasons:?}");
}

#[tokio::test]
async fn a_node_that_starts_says_what_it_waits_for_and_one_that_stops_that_it_does() {
    let readiness = Readiness::starting(Disk { path: PathBuf::from("/"), space_min_bytes: 0 });
    assert_eq!(readiness.findings().await.reasons, [STARTING]);
    readiness.stop();
    assert_eq!(readiness.findings().await.reasons.len(), 2);
    let answer = metrics(State(readiness)).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}
