//! A cluster of three over QUIC on loopback: the same stories as in memory are told in `runtime.rs`; this one shows that
//! links, certificates and sizes are right.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it must be")]

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hubbub_cluster::{
    control::{
        Answer, Command, MemberState, NewMember, Role, Token, TokenId, VersionRange, member::FOUNDER,
        state::CaFacts,
    },
    raft::Timing,
    runtime::{Cluster, Founding, RuntimeInbox, RuntimeTiming, Start},
    transport::{QuicTransport, Transport as _},
};
use hubbub_protocol::ids::NodeId;
use support::{PATIENCE, Quic, World as _};

const VERSIONS: VersionRange = VersionRange { min: 1, max: 1 };
/// A snapshot every few entries, so that who joins gets one.
const RAFT: Timing = Timing {
    heartbeat_ms: 60,
    election_ms_min: 400,
    election_step_ms: 120,
    snapshot_every_entries: 10,
    kept_entries: 2,
};

type Node = (Arc<Cluster>, Arc<QuicTransport>);

async fn start(
    world: &Quic,
    directory: &std::path::Path,
    node: NodeId,
    slot: u8,
    seeds: &BTreeMap<NodeId, Node>,
) -> Node {
    let inbox = RuntimeInbox::new();
    let transport = Arc::new(world.start(node, inbox.clone()));
    let directory = directory.join(node.to_string());
    std::fs::create_dir_all(&directory).unwrap();
    let address = |transport: &QuicTransport| vec![transport.local_addr().unwrap().to_string()];
    let cluster = Cluster::start(Start {
        node,
        election_slot: slot,
        directory,
        addresses: address(&transport),
        versions: VERSIONS,
        seeds: seeds.iter().map(|(node, (_, transport))| (*node, address(transport))).collect(),
        raft: RAFT,
        timing: RuntimeTiming::for_tests(),
        transport: transport.clone(),
        inbox,
    });
    (cluster.await.unwrap(), transport)
}

fn member(number: u8) -> NewMember {
    NewMember {
        name: format!("node-{number}"),
        addresses: vec!["127.0.0.1:1".into()],
        zone: String::new(),
        region: String::new(),
        capacity: 1,
        role: Role::Voter,
        versions: VERSIONS,
        key_sha256: [number; 32],
        data_dir: u128::from(number),
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_form_a_cluster_over_quic_and_two_go_on_without_the_third() {
    let (world, directory) = (Quic::new(), tempfile::tempdir().unwrap());
    let mut nodes: BTreeMap<NodeId, Node> = BTreeMap::new();
    let founder = start(&world, directory.path(), FOUNDER, 0, &nodes).await;
    nodes.insert(FOUNDER, founder);
    let lead = nodes[&FOUNDER].0.clone();
    let ca = CaFacts { roots: vec![vec![1]], sealed_key: vec![2] };
    // 4,096 shards: a snapshot of 130 KB, a map in one piece, orphans in three commands.
    lead.found(Founding { cluster: 7, shard_bits: 12, version: 1, ca, founder: member(1) }).await.unwrap();
    let token = Token { secret_sha256: [1; 32], role: Role::Voter, uses_left: 9, expires_ms: u64::MAX };
    let made = lead.propose(Command::CreateToken { id: TokenId(1), token, now_ms: 0 }).await;
    assert_eq!(made, Ok(Answer::Done));
    for number in [2, 3] {
        let join = Command::Join { token: TokenId(1), node: member(number), now_ms: 0 };
        let Ok(Answer::Joined { node, election_slot }) = lead.propose(join).await else { panic!("it joins") };
        let joined = start(&world, directory.path(), node, election_slot, &nodes).await;
        nodes.insert(node, joined);
    }
    let all = |is: &dyn Fn(&Cluster) -> bool| nodes.values().all(|(cluster, _)| is(cluster));
    until("all three are up, vote, and have shards", || {
        all(&|cluster| {
            let status = cluster.status();
            let serve = status.members.iter().all(|member| member.is_up() && member.shards > 100);
            serve && status.voters.len() == 3 && !status.voters_changing && !status.coasting
        })
    })
    .await;

    let lost = *nodes.keys().next_back().unwrap();
    let (cluster, transport) = nodes.remove(&lost).unwrap();
    transport.close().await;
    cluster.shut_down().await;
    let left = nodes.values().next().unwrap().0.clone();
    until("the others have its shards", || {
        let map = left.map();
        map.members[&lost].state == MemberState::Down && map.shards_of(lost) == 0
    })
    .await;
    for (cluster, transport) in nodes.values() {
        transport.close().await;
        cluster.shut_down().await;
    }
}
