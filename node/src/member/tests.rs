//! From one node to several, by the commands an operator types; without the parts that serve.

mod expired;

use std::{
    net::UdpSocket,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Parser as _;
use hubbub_cluster::{
    control::{MemberState, Role},
    join::JoinToken,
};
use hubbub_protocol::ids::NodeId;
use hubbub_tests::postgres::{database_of, fresh_database};
use time::OffsetDateTime;

use super::*;
use crate::{cli::Cli, clock::SystemClock, config::NodeConfig, datadir::DataDir, membership};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node's directory and configuration; it runs on a port of its own.
struct Seat {
    folder: tempfile::TempDir,
    address: String,
}

impl Seat {
    fn new(store: &str) -> Self {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("bound").to_string();
        let toml = format!("store.url = \"{store}\"\ncluster.listen = \"{address}\"\n");
        std::fs::write(folder.path().join("hubbub.toml"), toml).expect("written");
        Self { folder, address }
    }

    /// One over an empty database.
    fn member() -> Self {
        Self::new(&fresh_database())
    }

    /// One over the same database, with a port of its own.
    fn beside(&self) -> Self {
        Self::new(&self.store())
    }

    fn store(&self) -> String {
        self.config().store.url
    }

    fn config(&self) -> NodeConfig {
        NodeConfig::read(Some(&self.file())).expect("good")
    }

    /// Listens at another port from its next start on: tasks of the start before may hold the old one for a while.
    fn moves(&self) {
        let other = self.beside();
        std::fs::copy(other.file(), self.file()).expect("copied");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("hubbub.toml")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs `hubbub LINE` on it.
    async fn run(&self, line: &[&str]) -> Result<(), Failure> {
        let (data, file) = (self.data(), self.file());
        let text = |path: &Path| path.to_str().expect("plain").to_owned();
        let head = ["hubbub".to_owned(), "--data-dir".into(), text(&data), "--config".into(), text(&file)];
        let line = head.into_iter().chain(line.iter().map(|word| (*word).to_owned()));
        Cli::try_parse_from(line).expect("a command line").run().await
    }

    async fn refused(&self, line: &[&str]) -> (u8, String) {
        let failure = self.run(line).await.expect_err("refused");
        (failure.exit_code(), failure.to_string())
    }

    async fn serve(&self) -> Member {
        let data = DataDir::hold(&self.data()).expect("nobody holds it");
        let config = self.config();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut faults = std::collections::BTreeSet::new();
        let member = loop {
            let membership = Membership::load(&data).expect("whole").expect("a member's");
            match Member::start(membership, &config.cluster, Arc::new(SystemClock)).await {
                Ok(member) => break member,
                // Tasks of the one before, in the same process, hold the port until they have ended.
                Err(failure) => {
                    faults.insert(failure.to_string());
                    assert!(tokio::time::Instant::now() < deadline, "{faults:?}");
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(member.cluster.ready(PATIENCE).await, "{:?}", member.cluster.status());
        member
    }

    async fn join(&self, token: &JoinToken, seed: &Self, name: &str) -> Result<(), Failure> {
        self.run(&["join", "--token", &token.to_string(), "--seed", &seed.address, "--name", name]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_become_a_cluster_and_come_back_after_a_restart() {
    let ada = Seat::member();
    let (bob, eve) = (ada.beside(), ada.beside());
    ada.run(&["init", "--name", "ada"]).await.expect("a pristine directory");
    let first = ada.serve().await;
    assert!(first.cluster.facts(|control| control.is_founded()), "it was founded");
    assert_eq!(first.desk.tokens().await.expect("it leads").len(), 1, "the token that init printed");
    let token = first.desk.create_token(Role::Voter, 1, PATIENCE).await.expect("a leader");
    bob.join(&token, &ada, "bob").await.expect("admitted");
    let second = bob.serve().await;
    assert!(second.membership.sealing.is_some(), "it may vote, and sign when it leads");
    let token = second.desk.create_token(Role::Worker, 1, PATIENCE).await.expect("made at any member");
    eve.join(&token, &bob, "eve").await.expect("admitted by way of a member that does not lead");
    let third = eve.serve().await;
    assert!(third.membership.sealing.is_none(), "a worker never signs");
    assert!(!membership::directory(&eve.data()).join("sealing.key").exists());
    let up = |member: &Member| {
        let map = member.cluster.map();
        map.members.values().filter(|member| member.state == MemberState::Up).count() == 3
    };
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !up(&third) {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", third.cluster.status());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let slots: std::collections::BTreeSet<_> = [&first, &second, &third].map(|m| m.membership.id_slot).into();
    assert_eq!(slots.len(), 3, "ids do not collide");
    let (other, own) = (second.membership.node, third.membership.node);
    for node in [NodeId(1), other] {
        assert!(third.transport.linked(node, PATIENCE).await, "{node}: {:?}", third.transport.peers());
    }
    let told = crate::metrics::page::shown(|page| crate::metrics::collect::cluster(page, &third));
    for line in [
        "hubbub_cluster_members{state=\"up\"} 3",
        "hubbub_raft_leader_known 1",
        "hubbub_peer_linked{peer=\"1\"} 1",
        &format!("hubbub_peer_linked{{peer=\"{}\"}} 1", other.0),
        "hubbub_peer_queued_bytes{peer=\"1\",class=\"bulk\"} 0",
        "hubbub_peer_busy_total{class=\"append\"} 0",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} in {told}");
    }
    for name in ["hubbub_peer_rtt_seconds", "hubbub_peer_sent_bytes_total", "hubbub_peer_received_bytes_total"] {
        let row = told.lines().find_map(|line| line.strip_prefix(&format!("{name}{{peer=\"1\"}} ")));
        assert!(row.is_some_and(|value| value.parse::<f64>().is_ok_and(|value| value > 0.0)), "{name} in {told}");
    }
    assert!(!told.contains(&format!("peer=\"{}\"", own.0)), "a node has no link to itself: {told}");
    first.close().await;
    drop(first);
    ada.moves();
    let first = ada.serve().await;
    assert_eq!(first.membership.node, NodeId(1));
    assert!(first.membership.founding.is_none(), "it is founded once");
    for member in [first, second, third] {
        member.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_embedded_store_no_cluster_begins_and_the_way_out_is_named() {
    let seat = Seat::new("sqlite");
    let sentence = |what: &str| {
        format!(
            "a node with the embedded store cannot {what}, since nodes share one PostgreSQL database: move the data \
             with `hubbub --data-dir {} store migrate --from sqlite --to \
             postgres://USER:PASSWORD@HOST:PORT/DATABASE`, then set `store.url` to that",
            seat.data().display()
        )
    };
    assert_eq!(seat.refused(&["init"]).await, (4, sentence("found a cluster")));
    let token = JoinToken::new([1; 32]).to_string();
    let join = ["join", "--token", &token, "--seed", "127.0.0.1:9"];
    assert_eq!(seat.refused(&join).await, (4, sentence("join a cluster")));
    assert!(!seat.data().exists(), "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_one_members_for_good() {
    let seat = Seat::member();
    seat.run(&["init", "--name", "ada"]).await.expect("a pristine directory");
    let sentence = format!(
        "the data directory {} is that of a member (node 1 `ada`) already: `hubbub serve` runs it; choose an empty \
         --data-dir for another node",
        seat.data().display()
    );
    assert_eq!(seat.refused(&["init"]).await, (6, sentence.clone()));
    let token = JoinToken::new([1; 32]).to_string();
    let join = ["join", "--token", &token, "--seed", "127.0.0.1:9"];
    assert_eq!(seat.refused(&join).await, (6, sentence));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_joiner_got_wrong_is_told_before_anybody_is_asked() {
    let seat = Seat::member();
    let wrong = seat.refused(&["join", "--token", "hub1.abc", "--seed", "127.0.0.1:9"]).await;
    let sentence = "--token: this is no join token: copy the whole line that `hubbub token create` printed, it begins \
                    with `hub1.`";
    assert_eq!(wrong, (2, sentence.to_owned()));
    let toml = format!("store.url = \"{}\"\ncluster.listen = \"0.0.0.0:7400\"\n", seat.store());
    std::fs::write(seat.file(), toml).expect("written");
    let sentence = "`cluster.listen` is 0.0.0.0:7400, which no other node can dial: say where they reach this one with \
                    --advertise HOST:7400";
    assert_eq!(seat.refused(&["init"]).await, (2, sentence.to_owned()));
    seat.run(&["init", "--advertise", "chat-1.example:7400"]).await.expect("as the sentence says");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_one_clusters_until_somebody_names_that_cluster() {
    let ada = Seat::member();
    ada.run(&["init", "--name", "ada"]).await.expect("an empty database");
    let founded = member_of(&ada).cluster_id;
    let bob = ada.beside();
    let url = crate::store::shown(&ada.store());
    let sentence = format!(
        "{url} belongs to the cluster {founded} already, and a database is one cluster's: add this node to that \
         cluster with `hubbub join`, or set `store.url` to a database of its own; only if every node of {founded} is \
         gone for good, found its successor with `hubbub init --instead-of {founded}`"
    );
    assert_eq!(bob.refused(&["init"]).await, (6, sentence.clone()));
    assert_eq!(bob.refused(&["init", "--instead-of", "another"]).await, (6, sentence));
    assert!(Membership::load(&DataDir::hold(&bob.data()).expect("free")).expect("whole").is_none());
    // What was cut off before it had written everything is repeated.
    let node = membership::directory(&ada.data()).join("node.json");
    std::fs::remove_file(node).expect("it was there");
    ada.run(&["init", "--name", "ada"]).await.expect("the same cluster");
    assert_eq!(member_of(&ada).cluster_id, founded);
    bob.run(&["init", "--instead-of", &founded.to_string()]).await.expect("as the sentence says");
    let successor = member_of(&bob).cluster_id;
    assert_ne!(successor, founded);
    let (code, sentence) = ada.refused(&["serve"]).await;
    let told = format!(
        "{url} belongs to the cluster {successor}, and this is node 1 of the cluster {founded}: set `store.url` to \
         the database that the other members have; if {successor} took its place, join that one with an empty \
         --data-dir"
    );
    assert_eq!((code, sentence), (6, told));
    let alone = ada.beside();
    let (data, config) = (DataDir::hold(&alone.data()).expect("free"), alone.config());
    let store = crate::store::open(&data, &config.store).await.expect("it can be read");
    let refusal = crate::belonging::check(&*store, &config.store.url, None).await.expect_err("no member");
    let told = format!(
        "{url} belongs to the cluster {successor}, and this node is no member of it: add it with `hubbub join`, or \
         set `store.url` to a database of its own"
    );
    assert_eq!((refusal.exit_code(), refusal.to_string()), (6, told));
}

fn member_of(seat: &Seat) -> Membership {
    Membership::load(&DataDir::hold(&seat.data()).expect("nobody holds it")).expect("whole").expect("a member's")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_leaves_nothing_half_made() {
    let (wrong, gone) = (Seat::new("postgres://ada:no@127.0.0.1:1/chat"), fresh_database());
    let missing = Seat::new(&database_of(&gone, "missing"));
    let empty = Seat::new(&gone);
    let token = JoinToken::new([1; 32]).to_string();
    let join = ["join", "--token", &token, "--seed", "127.0.0.1:9"];
    for (seat, line, code, part) in [
        (&wrong, ["init"].as_slice(), 1, "cannot reach postgres://ada@127.0.0.1:1/chat: start the server"),
        (&wrong, &join, 1, "cannot reach postgres://ada@127.0.0.1:1/chat: start the server"),
        (&missing, &["init"], 1, "make it with `createdb missing`"),
        (&missing, &join, 1, "make it with `createdb missing`"),
        (&empty, &join, 6, "is the database of no cluster: set `store.url` to the one that the other members have"),
    ] {
        let (exit, sentence) = seat.refused(line).await;
        assert!(sentence.contains(part), "{sentence}");
        assert_eq!((exit, sentence.lines().count()), (code, 1), "{sentence}");
        assert!(!membership::directory(&seat.data()).exists(), "nothing of a member was written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_was_cut_off_while_founding_goes_on_where_it_was() {
    let seat = Seat::member();
    seat.run(&["init"]).await.expect("a pristine directory");
    let founding = membership::directory(&seat.data()).join("founding.json");
    let kept = std::fs::read(&founding).expect("not founded yet");
    let member = seat.serve().await;
    assert!(!founding.exists());
    member.close().await;
    drop(member);
    std::fs::write(&founding, kept).expect("as if it had been cut off");
    seat.moves();
    let member = seat.serve().await;
    assert_eq!(member.desk.tokens().await.expect("it leads").len(), 1, "one token, made once");
    assert!(!founding.exists());
    member.close().await;
}
