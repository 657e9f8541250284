//! What the rig asks of a cluster in order to aim, to wait and to measure: the owner of a room, the leader, CPU.

use std::{process::Stdio, time::Duration};

use anyhow::bail;
use hubbub_protocol::{ids::RoomId, shard::ShardBits};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::{ASKED_EVERY, COMMAND_WITHIN, Members};

/// How long the cluster may take until three vote: 10 s of good health, 10 s of rest, and a busy machine.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(90);
/// The default of `store.shard_bits`.
const SHARD_BITS: u8 = 6;

/// A field anywhere in `json`, the outermost first.
pub(super) fn field<'a>(json: &'a Value, name: &str) -> Option<&'a Value> {
    match json {
        Value::Object(fields) => fields
            .get(name)
            .filter(|value| !value.is_null())
            .or_else(|| fields.values().find_map(|value| field(value, name))),
        Value::Array(items) => items.iter().find_map(|value| field(value, name)),
        _ => None,
    }
}

pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim_start_matches('n').parse().ok())
}

impl Members {
    /// The node that orders `room`, by what the store's fence says; none while the database is away.
    pub async fn owner(&self, room: RoomId) -> Option<usize> {
        let shard = ShardBits::new(SHARD_BITS).shard_of(room);
        let sql = format!("SELECT owner FROM shard_fence WHERE shard_id = {shard}");
        let mut psql = tokio::process::Command::new("psql");
        psql.args([self.server.url(), "-Atqc", &sql]).stderr(Stdio::null()).kill_on_drop(true);
        let done = timeout(COMMAND_WITHIN, psql.output()).await.ok()?.ok()?;
        let number: u64 = String::from_utf8_lossy(&done.stdout).trim().parse().ok()?;
        self.numbers.iter().position(|known| *known == number)
    }

    /// What the first node that is well says of the cluster.
    async fn status(&self) -> Option<Value> {
        for node in 0..self.len() {
            if self.is_ready(node).await
                && let Ok(said) = self.tell(node, &["status", "--json"]).await
            {
                return serde_json::from_str(&said).ok();
            }
        }
        None
    }

    /// The node that leads.
    pub async fn leader(&self) -> Option<usize> {
        let status = self.status().await?;
        let leader = field(&status, "leader").and_then(number)?;
        self.numbers.iter().position(|known| *known == leader)
    }

    /// Waits until enough nodes vote that the loss of any is ridden out, and no shard is on its way: some 20 s after
    /// the last of three nodes has started.
    ///
    /// # Errors
    /// When that is not so in time.
    pub async fn established(&self) -> anyhow::Result<()> {
        let wanted = if self.len() < 3 { 1 } else { 3 };
        let until = Instant::now() + ESTABLISHED_WITHIN;
        let mut told = None;
        while Instant::now() < until {
            told = self.status().await;
            let voters = told.as_ref().and_then(|told| field(told, "voters")?.as_array()).map_or(0, Vec::len);
            let moving = told.as_ref().and_then(|told| field(told, "moving")).and_then(number);
            if voters >= wanted && moving == Some(0) {
                return Ok(());
            }
            sleep(ASKED_EVERY).await;
        }
        bail!("{} s after the nodes were ready, not {wanted} of them vote: {told:?}", ESTABLISHED_WITHIN.as_secs())
    }

    /// Seconds of CPU that a node's process has used.
    #[must_use]
    pub fn cpu_s(&self, node: usize) -> f64 {
        let read = || -> Option<f64> {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid(node)?)).ok()?;
            let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
            let ticks: u32 = fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
            // Linux counts a hundred of them in a second for every program.
            Some(f64::from(ticks) / 100.0)
        };
        read().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_found_wherever_the_answer_has_it() {
        let said = json!({"cluster": {"leader": null, "raft": [{"leader": "n3"}]}});
        assert_eq!(field(&said, "leader").and_then(number), Some(3));
        assert_eq!(field(&json!({"node": 2}), "node").and_then(number), Some(2));
        assert_eq!(field(&json!([]), "node"), None);
    }
}
