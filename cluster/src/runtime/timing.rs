//! Every time and bound of the runtime, with the sums that gave them.
//!
//! The figure they serve: a node that owns a room is killed, and sends are accepted again within 3 s (5 s when it led
//! the Raft group too). Its last sign of life is at most one [`ping_every`](RuntimeTiming::ping_every) old when it
//! dies, so the leader has missed it for [`silent_early`](RuntimeTiming::silent_early) after 1.2 to 1.5 s; the peers
//! miss it after 0.7 to 1.0 s and say so at once. The leader looks every 100 ms, two commits bring the state and the
//! new owners, and the map is pushed: 1.7 s, and 1.3 s are left for the fence and a slow disk. When the dead node led,
//! an election comes first (2.8 s measured, ADR 0010); the silence runs meanwhile, and the new leader hears all peers
//! within one round trip of telling them that it leads.

use std::time::Duration;

/// All of them; tests use [`RuntimeTiming::for_tests`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeTiming {
    /// From one heartbeat to the leader to the next.
    pub heartbeat_every: Duration,
    /// How long the leader collects heartbeats before a majority confirms that it leads and it answers them.
    pub acks_every: Duration,
    /// How long after it was sent an answered heartbeat holds; then the node coasts.
    pub lease: Duration,
    /// From one ping to each peer to the next.
    pub ping_every: Duration,
    /// Silence after which a node reports a peer: three pings may be lost.
    pub peer_silent: Duration,
    /// Silence after which a node is down if enough peers report it too.
    pub silent_early: Duration,
    /// Silence after which a node is down whatever others say.
    pub silent: Duration,
    /// How long a node must be well before it may serve: longer than `peer_silent`, or nobody could report it.
    pub settle: Duration,
    /// How long a node may be unwell before its shards go elsewhere.
    pub unwell: Duration,
    /// How long a node must have been well before it votes; see [`autopilot`](crate::autopilot).
    pub stable: Duration,
    /// From one change of the voters to the next.
    pub rest: Duration,
    /// How often the leader looks at the members and the map.
    pub tick: Duration,
    /// How long an owner may take to let go of a shard, before it is taken from it.
    pub move_within: Duration,
    /// How long a shard stays after a move before balance may move it again: long enough that a node that comes and
    /// goes every few seconds does not pull shards about, short enough that one that was restarted gets its share. What is
    /// moved for its load is exchanged for another, so that counting never calls it back.
    pub shard_rest: Duration,
    /// How long a node must have had more than its part of the work before shards are exchanged, and again after each
    /// exchange: nodes tell of the last 30 to 60 s, so by then of the new places alone.
    pub uneven_for: Duration,
    /// How long a shard stays after it was exchanged.
    pub exchange_rest: Duration,
    /// How long a proposal is tried.
    pub propose_within: Duration,
    /// How long a fresh epoch is waited for.
    pub epoch_within: Duration,
    /// Moves that may begin in a second, drains and balance together.
    pub moves_per_second: u32,
    /// Moves that one owner may have under way.
    pub moves_per_owner: usize,
    /// Most voters.
    pub voters_max: usize,
}

impl Default for RuntimeTiming {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            heartbeat_every: ms(500),
            acks_every: ms(250),
            lease: ms(6_000),
            ping_every: ms(300),
            peer_silent: ms(1_000),
            silent_early: ms(1_500),
            silent: ms(6_000),
            settle: ms(1_200),
            unwell: ms(3_000),
            stable: crate::autopilot::STABLE_FOR,
            rest: crate::autopilot::REST,
            tick: ms(100),
            move_within: ms(5_000),
            shard_rest: ms(15_000),
            uneven_for: ms(60_000),
            exchange_rest: ms(300_000),
            propose_within: ms(5_000),
            epoch_within: ms(3_000),
            moves_per_second: 50,
            moves_per_owner: 8,
            voters_max: 5,
        }
    }
}

impl RuntimeTiming {
    /// The same, with the waits for people and slow disks taken out: a cluster of three forms in a second or two.
    #[must_use]
    pub fn for_tests() -> Self {
        let ms = Duration::from_millis;
        Self {
            heartbeat_every: ms(150),
            acks_every: ms(50),
            lease: ms(2_500),
            ping_every: ms(100),
            peer_silent: ms(600),
            silent_early: ms(900),
            silent: ms(3_000),
            settle: ms(700),
            unwell: ms(900),
            stable: ms(400),
            rest: ms(200),
            tick: ms(30),
            move_within: ms(1_500),
            shard_rest: ms(1_000),
            uneven_for: ms(300),
            exchange_rest: ms(1_000),
            moves_per_second: 1_000,
            ..Self::default()
        }
    }
}
