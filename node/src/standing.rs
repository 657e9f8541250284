//! How this node is, as it says itself when an operator asks any node: counts, what waits, what the process takes.
//!
//! Nodes tell each other this as JSON, so that a release may add to it: what an older one does not tell reads as 0.

use std::{fs, sync::Arc};

use hubbub_actors::lane::Lane;
use hubbub_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    edge::shared::Edge,
    state::{App, AppState},
};

/// Steps of the clock by which Linux tells a process's time, in milliseconds; it has been 100 a second for ever.
const TICK_MS: u64 = 10;

/// What a node says of itself. Counts are since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Standing {
    /// Its version.
    pub version: String,
    /// When it said so, by its own clock.
    pub at: Timestamp,
    /// How many shards it owns.
    pub shards: u32,
    /// WebSocket connections open.
    pub connections: u64,
    /// Client sessions in its memory, connected or not.
    pub sessions: u64,
    /// Rooms in its memory.
    pub rooms_active: u64,
    /// Events it appended.
    pub appended: u64,
    /// Events it handed to connections.
    pub delivered: u64,
    /// Appends that wait for the store.
    pub appends_waiting: u64,
    /// Actors of it that failed.
    pub actors_failed: u64,
    /// Memory of the process in use, in bytes; 0 where the system does not tell.
    pub memory_bytes: u64,
    /// Time that the process was at work on all cores, in milliseconds.
    pub cpu_ms: u64,
}

impl Standing {
    /// That of this node, which has so many connections.
    #[must_use]
    pub fn of(app: &AppState, connections: usize) -> Self {
        let observed = app.hub.observe();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        Self {
            version: app.settings.version.clone(),
            at: app.now(),
            shards: observed.shards,
            connections: count(connections),
            sessions: count(observed.sessions),
            rooms_active: count(observed.rooms_active),
            appended: observed.appended,
            delivered: observed.delivered,
            appends_waiting: count(app.hub.context().lanes.iter().map(Lane::waiting).sum()),
            actors_failed: observed.actors_failed,
            memory_bytes: memory_bytes(&read("/proc/self/status")).unwrap_or_default(),
            cpu_ms: cpu_ms(&read("/proc/self/stat")).unwrap_or_default(),
        }
    }

    /// Reads what a node said.
    #[must_use]
    pub fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

/// From now on other nodes are told, when they ask.
pub fn tell(app: &App, edge: Arc<Edge>) {
    // The actors hold what tells, and the parts of the node hold the actors.
    let parts = Arc::downgrade(app);
    app.hub.says_of_itself(Box::new(move || {
        let standing = parts.upgrade().map(|app| Standing::of(&app, edge.connections.len()));
        standing.and_then(|standing| serde_json::to_vec(&standing).ok()).unwrap_or_default().into()
    }));
}

/// Memory in use, of `/proc/PID/status`.
fn memory_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

/// Time at work, for programs and for the kernel on their behalf, of `/proc/PID/stat`.
fn cpu_ms(stat: &str) -> Option<u64> {
    // The name of the program stands in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) * TICK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[test]
    fn memory_and_time_are_read_as_linux_writes_them() {
        assert_eq!(memory_bytes("VmHWM:\t  999 kB\nVmRSS:\t   12340 kB\nThreads:\t4\n"), Some(12_636_160));
        let stat = "4242 (a (bad) name) S 1 2 3 0 -1 4194304 100 0 0 0 1234 66 0 0 20 0 4 0 12345 1 2 3";
        assert_eq!(cpu_ms(stat), Some(13_000));
        assert_eq!((memory_bytes(""), cpu_ms("no process")), (None, None));
    }

    #[tokio::test]
    async fn a_node_says_what_its_process_takes() {
        let world = World::new().await;
        let standing = Standing::of(&world.app, 7);
        assert_eq!((standing.connections, standing.shards), (7, 256));
        assert!(standing.memory_bytes > 1_000_000, "{standing:?}");
        let json = serde_json::to_vec(&standing).expect("JSON");
        assert_eq!(Standing::read(&json), Some(standing));
        assert_eq!(Standing::read(br#"{"shards": 3, "from a later release": 1}"#).map(|said| said.shards), Some(3));
        assert_eq!(Standing::read(b""), None);
    }
}
