//! Reads the parts of a node into a [`Page`], at each scrape.
//!
//! Nothing here waits: all of it is counters, and sums over what is in memory.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use hubbub_actors::Hub;
use hubbub_cluster::{
    control::MemberState,
    runtime::ClusterStatus,
    transport::{PeerStatus, Transport},
};
use hubbub_protocol::{peer::Class, time::Timestamp};

use super::{
    catalog::{self as name, PEERS_MAX},
    ops::{EdgeMeters, LEFT_OUT, code_names, op_names},
    page::{Page, number, seconds},
    routes::{CLASSES, Routes},
};
use crate::{edge::shared::Edge, member::Member, net::Seats, state::App};

/// The parts of a node that are measured.
#[derive(Debug)]
pub struct Parts {
    /// The node's parts, as handlers see them.
    pub app: App,
    /// The sockets.
    pub edge: Arc<Edge>,
    /// The public listener.
    pub seats: Arc<Seats>,
    /// When the process started.
    pub started: Timestamp,
}

impl Parts {
    /// Everything there is to tell.
    #[must_use]
    pub fn page(&self) -> Page {
        let mut page = Page::default();
        page.count(name::CONNECTIONS, &[], self.edge.connections.len() as u64);
        page.count(name::CONNECTIONS_PUBLIC, &[], self.seats.taken());
        page.count(name::CONNECTIONS_MAX, &[], self.seats.max());
        page.count(name::CONNECTIONS_REFUSED, &[], self.seats.refused());
        actors(&mut page, &self.app.hub);
        requests(&mut page, &self.edge.meters);
        routes(&mut page, &self.app.routes);
        pools(&mut page, &self.app);
        redis(&mut page, &self.app.hub);
        if let Some(member) = self.app.member.get() {
            cluster(&mut page, member);
        }
        page.count(name::UPTIME, &[], self.app.now().ms_since(self.started) / 1_000);
        page.count(name::INFO, &[&self.app.settings.version], 1);
        page
    }
}

fn told(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn actors(page: &mut Page, hub: &Hub) {
    let status = hub.observe();
    page.size(name::SESSIONS, status.sessions);
    page.count(name::SESSIONS_BEGUN, &[], status.sessions_begun);
    page.count(name::SESSIONS_RESUMED, &[], status.sessions_resumed);
    page.count(name::SUBSCRIPTIONS, &[], status.subscriptions);
    page.size(name::USERS_ACTIVE, status.users);
    page.size(name::ROOMS_ACTIVE, status.rooms_active);
    page.size(name::RELAYS, status.relays);
    page.count(name::SHARDS_OWNED, &[], u64::from(status.shards));
    page.size(name::ROOMS_QUEUED, status.rooms_queued);
    page.size(name::LANES_QUEUED, status.lanes_queued);
    page.size(name::GATES_HELD, status.gates_held);
    page.count(name::EVENTS_APPENDED, &[], status.appended);
    page.count(name::APPEND_BATCHES, &[], status.batches);
    page.count(name::EVENTS_DELIVERED, &[], status.delivered);
    page.count(name::ACTORS_FAILED, &[], status.actors_failed);
    page.count(name::ACTORS_PASSIVATED, &[], status.passivated);
    for cache in hub.directory().caches() {
        page.count(name::CACHE_HITS, &[cache.name], cache.hits);
        page.count(name::CACHE_MISSES, &[cache.name], cache.misses);
        page.count(name::CACHE_ENTRIES, &[cache.name], cache.entries);
    }
    let meters = hub.meters();
    if meters.is_on() {
        page.times(name::BATCH_TOOK, &[], &meters.batch);
        page.times(name::ACK_TOOK, &["queue"], &meters.queue);
        page.times(name::ACK_TOOK, &["append"], &meters.append);
        page.times(name::ACK_TOOK, &["fan_out"], &meters.fan_out);
        page.times(name::DELIVERY_TOOK, &[], &meters.delivery);
    }
}

/// Requests on sockets: ops that were asked, and codes that were given.
fn requests(page: &mut Page, meters: &EdgeMeters) {
    for (op, meter) in op_names().zip(&meters.ops).filter(|(_, meter)| told(&meter.asked) > 0) {
        page.count(name::OPS_ASKED, &[op], told(&meter.asked));
        page.times(name::OPS_TOOK, &[op], &meter.took);
        for (code, refused) in code_names().zip(&meter.refused).filter(|(_, refused)| told(refused) > 0) {
            page.count(name::OPS_REFUSED, &[op, code], told(refused));
        }
    }
    for (class, frames) in LEFT_OUT.iter().zip(&meters.left_out) {
        page.count(name::LEFT_OUT_TOTAL, &[class], told(frames));
    }
}

/// Routes that were asked.
fn routes(page: &mut Page, routes: &Routes) {
    for row in routes.rows().iter().filter(|row| row.answered.iter().any(|answers| told(answers) > 0)) {
        page.times(name::HTTP_TOOK, &[&row.path, &row.method], &row.took);
        for (class, answers) in CLASSES.iter().zip(&row.answered).filter(|(_, answers)| told(answers) > 0) {
            page.count(name::HTTP_ASKED, &[&row.path, &row.method, class], told(answers));
        }
    }
}

fn redis(page: &mut Page, hub: &Hub) {
    let cache = hub.cache().status();
    page.count(name::REDIS_CONFIGURED, &[], u64::from(cache.there));
    page.count(name::REDIS_LEFT_ALONE, &[], u64::from(cache.open));
    page.count(name::REDIS_HITS, &[], cache.hits);
    page.count(name::REDIS_MISSES, &[], cache.misses);
    page.count(name::REDIS_UNFIT, &[], cache.unfit);
    page.count(name::REDIS_FAILURES, &[], cache.failures);
    page.count(name::REDIS_SKIPPED, &[], cache.skipped);
}

fn pools(page: &mut Page, app: &App) {
    for pool in app.store.pools() {
        let labels = &[pool.name];
        page.count(name::STORE_CONNECTIONS, labels, pool.open as u64);
        page.count(name::STORE_CONNECTIONS_MAX, labels, pool.max as u64);
        page.count(name::STORE_CONNECTIONS_IDLE, labels, pool.idle as u64);
        page.count(name::STORE_CONNECTIONS_LOST, labels, pool.lost);
        page.count(name::STORE_WAITS, labels, pool.waits);
        page.put(name::STORE_WAITED, labels, number(pool.waited_ms) / 1e3);
    }
}

/// The cluster, as a member knows it.
pub(crate) fn cluster(page: &mut Page, member: &Member) {
    let status = member.cluster.status();
    let states = [
        ("joining", MemberState::Joining),
        ("up", MemberState::Up),
        ("draining", MemberState::Draining),
        ("down", MemberState::Down),
    ];
    for (state, of) in states {
        let members = status.members.iter().filter(|known| known.member.state == of).count();
        page.count(name::MEMBERS, &[state], members as u64);
    }
    raft(page, &status);
    for peer in status.peers.iter().filter(|peer| peer.node != status.node).take(PEERS_MAX) {
        link(page, peer);
    }
    for (class, refused) in CLASS_NAMES.iter().zip(member.transport.refused()) {
        page.count(name::PEER_REFUSED, &[class], refused);
    }
}

fn raft(page: &mut Page, status: &ClusterStatus) {
    page.flag(name::COASTING, &[], status.coasting);
    page.count(name::MAP_VERSION, &[], status.map_version);
    page.count(name::RAFT_TERM, &[], status.term);
    page.flag(name::RAFT_LEADER, &[], status.leader == Some(status.node));
    page.flag(name::RAFT_LEADER_KNOWN, &[], status.leader.is_some());
    page.count(name::RAFT_LAG, &[], status.last_index.saturating_sub(status.applied_index));
    page.count(name::RAFT_PROPOSALS, &[], status.proposals);
    page.count(name::RAFT_PROPOSALS_FAILED, &[], status.proposals_failed);
}

/// The names of the classes, in the order of [`Class::ALL`].
const CLASS_NAMES: [&str; Class::ALL.len()] = ["raft", "control", "append", "deliver", "bulk"];

fn link(page: &mut Page, peer: &PeerStatus) {
    let node = peer.node.to_string();
    page.flag(name::PEER_LINKED, &[&node], peer.linked);
    if let Some(rtt) = peer.carried.rtt {
        page.put(name::PEER_RTT, &[&node], seconds(u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)));
    }
    page.count(name::PEER_SENT, &[&node], peer.carried.sent_bytes);
    page.count(name::PEER_RECEIVED, &[&node], peer.carried.received_bytes);
    page.count(name::PEER_LOST, &[&node], peer.carried.lost_packets);
    for (class, bytes) in CLASS_NAMES.iter().zip(peer.waiting_by_class) {
        page.count(name::PEER_QUEUED, &[&node, class], bytes as u64);
    }
}
