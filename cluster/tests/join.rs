//! Joining: real QUIC on loopback, with joiners and tokens that are not what they should be.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it must be")]

mod council;
mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use council::{Agreed, CLUSTER, World};
use hubbub_cluster::{
    control::{NewMember, Role, VersionRange},
    identity::{NodeKey, validity},
    join::{Admitted, Applicant, JoinError, JoinRefusal, JoinToken, Renewal, cluster_id, join},
};
use hubbub_protocol::{ids::NodeId, peer::PeerChange};
use time::OffsetDateTime;

const HOUR: Duration = Duration::from_hours(1);

fn about(name: &str) -> NewMember {
    NewMember {
        name: name.to_owned(),
        addresses: vec!["127.0.0.1:9".to_owned()],
        zone: String::new(),
        region: String::new(),
        capacity: 1,
        role: Role::Worker,
        versions: VersionRange { min: 1, max: 1 },
        key_sha256: [0; 32],
        data_dir: u128::from_be_bytes(*b"0123456789abcdef") ^ u128::from(u64::from(name.as_bytes()[0])),
    }
}

fn applicant(name: &str) -> Applicant {
    Applicant { key: NodeKey::new().unwrap(), about: about(name), cluster: cluster_id(CLUSTER) }
}

async fn try_join(token: &JoinToken, seed: SocketAddr, applicant: &Applicant) -> Result<Admitted, JoinError> {
    join(token, &[seed.to_string()], applicant).await
}

async fn refused(token: &JoinToken, seed: SocketAddr, applicant: &Applicant) -> String {
    try_join(token, seed, applicant).await.unwrap_err().to_string()
}

const NOBODY: &str = "this token admits nobody: make a new one with `hubbub token create`";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_by_way_of_any_member_and_a_retry_gives_it_the_same_number() {
    let world = World::new().await;
    let token = world.leader.desk.create_token(Role::Voter, 1, HOUR).await.unwrap();
    let bob = applicant("bob");
    let first = try_join(&token, world.worker.address, &bob).await.unwrap();
    assert_eq!((first.welcome.role, first.welcome.cluster), (Role::Voter, world.cluster));
    assert_eq!(first.sealing.as_ref(), Some(&world.sealing), "a node that may vote can unseal the authority");
    assert_eq!(first.welcome.members[0].0, NodeId(1));
    let again = try_join(&token, world.leader.address, &bob).await.unwrap();
    assert_eq!(again.welcome.node, first.welcome.node, "the answer was lost; its number is not");
    assert_eq!(refused(&token, world.leader.address, &applicant("eve")).await, NOBODY, "it was used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_never_sent_the_key_that_unseals_the_authority() {
    let world = World::new().await;
    let token = world.leader.desk.create_token(Role::Worker, 2, HOUR).await.unwrap();
    let bob = applicant("bob");
    let joined = try_join(&token, world.leader.address, &bob).await.unwrap();
    assert_eq!(joined.welcome.role, Role::Worker);
    assert!(joined.sealing.is_none() && joined.welcome.wrapped_sealing_key.is_none());
    // Nor when it comes back with a token for voters.
    let voters = world.leader.desk.create_token(Role::Voter, 2, HOUR).await.unwrap();
    let again = try_join(&voters, world.leader.address, &bob).await.unwrap();
    assert!(again.welcome.wrapped_sealing_key.is_none() && again.welcome.role == Role::Worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_in_between_cannot_read_the_key_it_hands_on() {
    let world = World::new().await;
    let token = world.leader.desk.create_token(Role::Voter, 1, HOUR).await.unwrap();
    let joined = try_join(&token, world.worker.address, &applicant("bob")).await.unwrap();
    let wrapped = joined.welcome.wrapped_sealing_key.unwrap();
    let key = world.sealing.to_bytes();
    assert!(!wrapped.windows(8).any(|part| key.windows(8).any(|other| part == other)));
}

#[tokio::test(flavor = "multi_thread")]
async fn used_expired_forged_and_dropped_tokens_are_answered_alike() {
    let world = World::new().await;
    let desk = &world.leader.desk;
    let eve = applicant("eve");
    let expired = desk.create_token(Role::Worker, 1, Duration::ZERO).await.unwrap();
    assert_eq!(refused(&expired, world.leader.address, &eve).await, NOBODY);
    let dropped = desk.create_token(Role::Worker, 1, HOUR).await.unwrap();
    desk.drop_token(dropped.id()).await.unwrap();
    assert_eq!(refused(&dropped, world.leader.address, &eve).await, NOBODY);
    let forged = JoinToken::new(dropped.pin());
    assert_eq!(refused(&forged, world.leader.address, &eve).await, NOBODY);
    // The right id and pin, with another secret.
    let good = desk.create_token(Role::Worker, 1, HOUR).await.unwrap();
    let secret = forged.to_string().rsplit('.').next().unwrap().to_owned();
    let text = good.to_string();
    let mixed: JoinToken = format!("{}.{secret}", text.rsplit_once('.').unwrap().0).parse().unwrap();
    assert_eq!(mixed.id(), good.id());
    assert_eq!(refused(&mixed, world.leader.address, &eve).await, NOBODY);
    assert_eq!(world.members(), 2, "nobody was admitted");
    try_join(&good, world.leader.address, &eve).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_cluster_is_told_so_before_anything_is_sent() {
    let (ours, theirs) = (World::new().await, World::new().await);
    let token = theirs.leader.desk.create_token(Role::Worker, 1, HOUR).await.unwrap();
    let seed = ours.leader.address;
    let sentence = format!(
        "the node at {seed} belongs to another cluster than this token: use a token that its own cluster made, or \
         another --seed"
    );
    assert_eq!(refused(&token, seed, &applicant("bob")).await, sentence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_with_a_members_name_directory_or_key_is_refused() {
    let world = World::new().await;
    let token = world.leader.desk.create_token(Role::Worker, 9, HOUR).await.unwrap();
    let bob = applicant("bob");
    try_join(&token, world.leader.address, &bob).await.unwrap();
    let mut other = applicant("bob");
    other.about.data_dir += 1_000;
    let name = "a member has the name `bob` already: choose another one with --name";
    assert_eq!(refused(&token, world.leader.address, &other).await, name);
    let mut other = applicant("carol");
    other.about.data_dir = bob.about.data_dir;
    let copied = |what: &str| {
        format!(
            "a member has the same {what} already: this directory was copied or used before, choose an empty \
             --data-dir"
        )
    };
    assert_eq!(refused(&token, world.leader.address, &other).await, copied("data directory"));
    let key = NodeKey::from_pkcs8(&bob.key.to_pkcs8()).unwrap();
    let other = Applicant { key, ..applicant("carol") };
    assert_eq!(refused(&token, world.leader.address, &other).await, copied("key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_over_the_database_of_another_cluster_asks_for_nothing() {
    let world = World::new().await;
    let token = world.leader.desk.create_token(Role::Worker, 1, HOUR).await.unwrap();
    let seed = world.leader.address;
    let bob = Applicant { cluster: cluster_id(78), ..applicant("bob") };
    let sentence = format!(
        "the node at {seed} belongs to another cluster than this node's database, which is that of {}: set \
         `store.url` to the database that the node at {seed} has",
        bob.cluster
    );
    assert_eq!(refused(&token, seed, &bob).await, sentence);
    assert_eq!(world.members(), 2, "nobody became a member");
    let bob = Applicant { cluster: cluster_id(CLUSTER), ..bob };
    try_join(&token, seed, &bob).await.expect("the use was not taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_an_older_or_newer_version_is_told_which_one_to_install() {
    let world = World::new().await;
    let token = world.leader.desk.create_token(Role::Worker, 9, HOUR).await.unwrap();
    let mut newer = applicant("bob");
    newer.about.versions = VersionRange { min: 2, max: 3 };
    let sentence = "this program speaks the cluster's formats 2 to 3, and the cluster uses 1: install the release \
                    that the cluster runs";
    assert_eq!(refused(&token, world.leader.address, &newer).await, sentence);
    try_join(&token, world.leader.address, &applicant("bob")).await.expect("the use was not taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_says_of_itself_is_looked_at() {
    let world = World::new().await;
    let token = world.leader.desk.create_token(Role::Worker, 9, HOUR).await.unwrap();
    let mut strange = applicant("bob");
    strange.about.capacity = 0;
    let sentence = "the cluster cannot use what this node says of itself: its capacity is wrong";
    assert_eq!(refused(&token, world.leader.address, &strange).await, sentence);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_leader_a_joiner_waits_and_is_told_so() {
    let world = World::new().await;
    let token = world.leader.desk.create_token(Role::Worker, 1, HOUR).await.unwrap();
    world.agreed.set_leader(None);
    let agreed: Arc<Agreed> = world.agreed.clone();
    let back = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        agreed.set_leader(Some(NodeId(1)));
    });
    let joined = try_join(&token, world.worker.address, &applicant("bob")).await;
    back.await.unwrap();
    joined.expect("the election ended while it waited");
    world.agreed.set_leader(None);
    let fault = try_join(&token, world.worker.address, &applicant("eve")).await.unwrap_err();
    assert!(matches!(fault, JoinError::Refused(JoinRefusal::NoLeader)), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_listens_the_joiner_is_told_what_to_look_at() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let seed = silent.local_addr().unwrap();
    let sentence = format!(
        "nothing answers at {seed}: is the node running, is the port that of `cluster.listen`, is UDP let through?"
    );
    assert_eq!(refused(&JoinToken::new([1; 32]), seed, &applicant("bob")).await, sentence);
    let fault = join(&JoinToken::new([1; 32]), &["nowhere".to_owned()], &applicant("bob")).await.unwrap_err();
    let sentence = "`nowhere` is no address that can be found: write --seed as host:port, with the port of \
                    `cluster.listen`";
    assert_eq!(fault.to_string(), sentence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_for_the_key_of_its_member_alone() {
    let world = World::new().await;
    let key = &world.worker.key;
    let renewed = world.worker.desk.renew(&key.request().unwrap()).await.unwrap();
    assert!(!renewed.is_empty());
    let other = NodeKey::new().unwrap();
    let refused = world.worker.desk.renew(&other.request().unwrap()).await.unwrap_err();
    assert_eq!(refused, JoinRefusal::OtherKey);
    world.agreed.forget(world.worker.node);
    let refused = world.worker.desk.renew(&key.request().unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("is not a member"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_listed_at_any_member_without_their_secrets() {
    let world = World::new().await;
    let token = world.worker.desk.create_token(Role::Voter, 3, HOUR).await.unwrap();
    let listed = world.worker.desk.tokens().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].id, listed[0].role, listed[0].uses_left), (token.id(), Role::Voter, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_by_itself_and_the_links_stay() {
    let world = World::new().await;
    let worker = &world.worker;
    let now = OffsetDateTime::now_utc();
    let old = world.authority.issue_until(worker.node, now - HOUR * 24, now + HOUR).unwrap();
    let (tell, mut told) = tokio::sync::watch::channel(Vec::new());
    let renewal = Renewal {
        transport: worker.transport.clone(),
        desk: worker.desk.clone(),
        key: NodeKey::from_pkcs8(&worker.key.to_pkcs8()).unwrap(),
        keep: Box::new(move |certificate| {
            tell.send_modify(|kept| kept.push(certificate.to_vec()));
            Ok(())
        }),
        look_every: Duration::from_millis(20),
    };
    let keeping = tokio::spawn(renewal.keep_fresh(old.certificate));
    tokio::time::timeout(support::PATIENCE, told.wait_for(|kept| !kept.is_empty())).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    keeping.abort();
    let kept = told.borrow().clone();
    assert_eq!(kept.len(), 1, "a fresh one is left alone");
    let (_, end) = validity(&kept[0].clone().into()).unwrap();
    assert!(end > now + HOUR * 24 * 6, "{end}");
    assert_eq!(worker.heard.changes(NodeId(1)), [PeerChange::Up], "the link stands as it stood");
}
