//! A cluster of two members whose control plane is one value in memory: a leader, and a worker beside it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use hubbub_cluster::{
    control::{Answer, Command, Control, NewMember, Request, Role, VersionRange},
    identity::{Authority, Credentials, NodeKey, Trust},
    join::{Council, Desk, DeskInbox, DeskParts, SealingKey, cluster_id},
    transport::{QuicConfig, QuicTransport, Transport as _},
};
use hubbub_protocol::{ids::NodeId, peer::PeerBus, ports::Clock, time::Timestamp};
use parking_lot::Mutex;
use time::OffsetDateTime;

use super::support::{Heard, PATIENCE};

/// The time as it is.
#[derive(Debug)]
struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        let ms = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        Timestamp(i64::try_from(ms).unwrap())
    }
}

/// What all members agree on.
#[derive(Debug, Default)]
pub(crate) struct Agreed(Mutex<(Control, u64, Option<NodeId>)>);

impl Agreed {
    pub(crate) fn set_leader(&self, leader: Option<NodeId>) {
        self.0.lock().2 = leader;
    }

    pub(crate) fn forget(&self, node: NodeId) {
        self.0.lock().0.members.remove(&node);
    }

    fn apply(&self, command: Command) -> Answer {
        let mut agreed = self.0.lock();
        agreed.1 += 1;
        let index = agreed.1;
        agreed.0.apply(index, vec![Request { id: None, command }]).remove(0)
    }
}

/// One node's view of it.
#[derive(Debug)]
struct Seat(Arc<Agreed>);

#[async_trait]
impl Council for Seat {
    fn leader(&self) -> Option<NodeId> {
        self.0.0.lock().2
    }

    async fn confirm(&self) -> bool {
        self.leader().is_some()
    }

    fn look(&self, look: &mut dyn FnMut(&Control)) {
        look(&self.0.0.lock().0);
    }

    fn roots(&self) -> Vec<Vec<u8>> {
        self.0.0.lock().0.ca.roots.clone()
    }

    fn map_version(&self) -> u64 {
        self.0.0.lock().0.map_version
    }

    async fn propose(&self, command: Command) -> Result<Answer, String> {
        if self.leader().is_none() {
            return Err("nobody leads".to_owned());
        }
        Ok(self.0.apply(command))
    }
}

/// A member.
pub(crate) struct Member {
    pub(crate) node: NodeId,
    pub(crate) key: NodeKey,
    pub(crate) desk: Arc<Desk>,
    pub(crate) address: SocketAddr,
    pub(crate) transport: Arc<QuicTransport>,
    pub(crate) heard: Arc<Heard>,
}

/// The number of every cluster made here.
pub(crate) const CLUSTER: u128 = 77;

/// The cluster.
pub(crate) struct World {
    pub(crate) cluster: u128,
    pub(crate) agreed: Arc<Agreed>,
    pub(crate) sealing: SealingKey,
    pub(crate) authority: Authority,
    pub(crate) leader: Member,
    pub(crate) worker: Member,
}

fn about(name: &str, key: &NodeKey, data_dir: u128, role: Role) -> NewMember {
    NewMember {
        name: name.to_owned(),
        addresses: vec!["127.0.0.1:1".to_owned()],
        zone: String::new(),
        region: String::new(),
        capacity: 1,
        role,
        versions: VersionRange { min: 1, max: 1 },
        key_sha256: key.sha256(),
        data_dir,
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let cluster = CLUSTER;
        let authority = Authority::new(cluster_id(cluster), OffsetDateTime::now_utc()).unwrap();
        let (sealing, agreed) = (SealingKey::random(), Arc::new(Agreed::default()));
        let (founder, worker) = (NodeKey::new().unwrap(), NodeKey::new().unwrap());
        let found = Command::Found {
            cluster,
            shard_bits: 4,
            version: 1,
            ca: sealing.seal_authority(&authority),
            founder: about("founder", &founder, 1, Role::Voter),
        };
        assert!(matches!(agreed.apply(found), Answer::Joined { .. }));
        let hash = [5; 32];
        let pass = hubbub_cluster::control::Token {
            secret_sha256: hash,
            role: Role::Worker,
            uses_left: 1,
            expires_ms: u64::MAX,
        };
        let id = hubbub_cluster::control::TokenId(5);
        agreed.apply(Command::CreateToken { id, token: pass, now_ms: 0 });
        let joins = Command::Join { token: id, node: about("worker", &worker, 2, Role::Worker), now_ms: 1 };
        let Answer::Joined { node, .. } = agreed.apply(joins) else { unreachable!("the worker joins") };
        agreed.apply(Command::DropToken { id });
        agreed.set_leader(Some(NodeId(1)));
        let leader = member(NodeId(1), founder, &authority, &agreed, Some(sealing.clone()));
        let worker = member(node, worker, &authority, &agreed, None);
        worker.transport.know(NodeId(1), vec![leader.address]);
        assert!(worker.transport.linked(NodeId(1), PATIENCE).await, "the members link");
        Self { cluster, agreed, sealing, authority, leader, worker }
    }

    pub(crate) fn members(&self) -> usize {
        self.agreed.0.lock().0.members.len()
    }
}

fn member(
    node: NodeId,
    key: NodeKey,
    authority: &Authority,
    agreed: &Arc<Agreed>,
    sealing: Option<SealingKey>,
) -> Member {
    let trust = Trust::new(authority.cluster().clone(), &[authority.root().clone()]).unwrap();
    let certificate = authority.sign_request(node, &key.request().unwrap(), OffsetDateTime::now_utc()).unwrap();
    let credentials = Credentials { certificate, key: key.for_tls() };
    let heard = Arc::new(Heard::default());
    let inbox = DeskInbox::over(heard.clone());
    let listen = ([127, 0, 0, 1], 0).into();
    let config = QuicConfig { listen, credentials, trust, incarnation: rand::random() };
    let transport = Arc::new(QuicTransport::start(config, inbox.clone()).unwrap());
    let bus: Arc<dyn PeerBus> = transport.clone();
    let desk = Desk::new(DeskParts { council: Arc::new(Seat(agreed.clone())), bus, sealing, clock: Arc::new(Now) });
    inbox.set_desk(&desk);
    transport.open_door(&desk).unwrap();
    let address = transport.local_addr().unwrap();
    Member { node, key, desk, address, transport, heard }
}
