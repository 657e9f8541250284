//! `GET /v1/admin/rooms/hot`: the rooms that cost the cluster most, by time at work, deliveries or bytes.
//!
//! Each node tells of the rooms that it orders or has followers of; what they cost is added up here. What the figures
//! mean, and how sure they are, is said in docs/operating.md, "Finding a hot room".

use std::{collections::HashMap, time::Duration};

use axum::{Json, extract::State};
use clap::ValueEnum;
use hubbub_actors::hot::{Cost, HotReport, Measure};
use hubbub_protocol::ids::{CommunityId, NodeId, RoomId};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::{ApiResult, ErrorBody},
    query::{ApiQuery, limit_of},
    signed_in::Operator,
};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(hot))
}

/// By what rooms are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HotBy {
    /// Time at work, as measured: actors, relays, and the writes to sockets.
    #[default]
    Cpu,
    /// Events times those they were handed to.
    Deliveries,
    /// Bytes handed to connections.
    Bytes,
}

impl HotBy {
    /// As it is written in a query.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Deliveries => "deliveries",
            Self::Bytes => "bytes",
        }
    }

    const fn measure(self) -> Measure {
        match self {
            Self::Cpu => Measure::Cpu,
            Self::Deliveries => Measure::Deliveries,
            Self::Bytes => Measure::Bytes,
        }
    }

    /// So much of this measure, in the unit that a client sees: milliseconds of time, else plain numbers.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people: 53 bits are enough")]
    fn shown(self, counted: u64) -> f64 {
        match self {
            Self::Cpu => counted as f64 / 1e6,
            Self::Deliveries | Self::Bytes => counted as f64,
        }
    }
}

/// What to tell.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HotQuery {
    /// By what rooms are compared; `cpu` when absent.
    #[serde(default)]
    #[param(inline)]
    pub by: HotBy,
    /// How many rooms, 1 to 100; 50 when absent.
    pub limit: Option<i64>,
}

/// What was done in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HotRates {
    /// Milliseconds at work, of one core: 10 are 1 %. Measured, by the clock on the wall: the room's actor and its relays
    /// with their writes to sockets, and its share, by deliveries, of what connections wrote later.
    pub cpu_ms_per_s: f64,
    /// Events times the connections they were handed to.
    pub deliveries_per_s: f64,
    /// Bytes handed to connections, as JSON.
    pub bytes_per_s: f64,
    /// Events committed.
    pub events_per_s: f64,
}

/// A room, and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HotRoom {
    /// The room, or the log of a community.
    pub room: RoomId,
    /// Its name; null for conversations, and for the log of a community.
    pub name: Option<String>,
    /// The community it belongs to.
    pub community: Option<CommunityId>,
    /// The node that orders it.
    pub owner: NodeId,
    /// The nodes that told of it.
    pub nodes: Vec<NodeId>,
    /// What was counted.
    #[serde(flatten)]
    pub rates: HotRates,
    /// How much more it may have been, by what rooms are compared by.
    pub unsure_per_s: f64,
}

/// The rooms that cost most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HotRooms {
    /// By what they are compared.
    pub by: HotBy,
    /// The time that the figures are of, in milliseconds.
    pub period_ms: u64,
    /// What all rooms of all nodes cost together.
    pub total: HotRates,
    /// The dearest first.
    pub rooms: Vec<HotRoom>,
    /// Nodes that were asked and did not answer within 1.5 s: their part is missing. A member that is down is not asked.
    pub silent: Vec<NodeId>,
}

/// The shortest time by which costs are divided: a node that has just begun tells no rates that it cannot know.
const PERIOD_MIN: Duration = Duration::from_secs(1);

fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

impl HotRates {
    fn add(&mut self, cost: &Cost, seconds: f64) {
        let per_s = |by: HotBy| by.shown(cost.by(by.measure())) / seconds;
        self.cpu_ms_per_s += per_s(HotBy::Cpu);
        self.deliveries_per_s += per_s(HotBy::Deliveries);
        self.bytes_per_s += per_s(HotBy::Bytes);
        self.events_per_s += HotBy::Deliveries.shown(cost.events) / seconds;
    }

    /// One of them.
    #[must_use]
    pub const fn by(&self, by: HotBy) -> f64 {
        match by {
            HotBy::Cpu => self.cpu_ms_per_s,
            HotBy::Deliveries => self.deliveries_per_s,
            HotBy::Bytes => self.bytes_per_s,
        }
    }

    fn rounded(self) -> Self {
        Self {
            cpu_ms_per_s: rounded(self.cpu_ms_per_s),
            deliveries_per_s: rounded(self.deliveries_per_s),
            bytes_per_s: rounded(self.bytes_per_s),
            events_per_s: rounded(self.events_per_s),
        }
    }
}

/// What nodes tell of one room.
#[derive(Debug, Default, PartialEq)]
struct Together {
    rates: HotRates,
    unsure_per_s: f64,
    nodes: Vec<NodeId>,
}

/// What nodes tell, added up, the dearest rooms first.
fn together(by: HotBy, told: &[(NodeId, HotReport)]) -> (HotRates, Vec<(RoomId, Together)>) {
    let (mut total, mut rooms) = (HotRates::default(), HashMap::<RoomId, Together>::new());
    for (node, report) in told {
        let seconds = report.period.max(PERIOD_MIN).as_secs_f64();
        total.add(&report.total, seconds);
        for counted in &report.rooms {
            let known = rooms.entry(counted.room).or_default();
            known.rates.add(&counted.cost, seconds);
            known.unsure_per_s += by.shown(counted.unsure) / seconds;
            known.nodes.push(*node);
        }
    }
    let mut rooms: Vec<_> = rooms.into_iter().collect();
    rooms.sort_by(|(a, left), (b, right)| right.rates.by(by).total_cmp(&left.rates.by(by)).then(a.cmp(b)));
    (total.rounded(), rooms)
}

/// The rooms that cost most lately, by time at work, deliveries or bytes.
#[utoipa::path(
    get, path = "/v1/admin/rooms/hot", tag = "admin", params(HotQuery),
    responses(
        (status = 200, description = "The rooms, the dearest first", body = HotRooms),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
    )
)]
async fn hot(
    State(app): State<App>,
    _: Operator,
    ApiQuery(HotQuery { by, limit }): ApiQuery<HotQuery>,
) -> ApiResult<Json<HotRooms>> {
    let limit = limit_of(limit)?;
    let (mut told, mut silent) = (Vec::new(), Vec::new());
    for (node, report) in app.hub.hot_rooms(by.measure()).await {
        match report {
            Some(report) => told.push((node, report)),
            None => silent.push(node),
        }
    }
    let period = told.iter().map(|(_, report)| report.period).max().unwrap_or_default();
    let (total, dearest) = together(by, &told);
    let mut rooms = Vec::with_capacity(limit);
    for (room, Together { rates, unsure_per_s, nodes }) in dearest.into_iter().take(limit) {
        // A name that cannot be read now is no reason to tell nothing.
        let facts = app.hub.directory().room(room).await.ok().flatten();
        let owner = app.placement.place(app.placement.shard_bits().shard_of(room)).owner;
        rooms.push(HotRoom {
            room,
            name: facts.as_ref().map(|facts| facts.name.clone()).filter(|name| !name.is_empty()),
            community: facts.as_ref().and_then(|facts| facts.community),
            owner,
            nodes,
            rates: rates.rounded(),
            unsure_per_s: rounded(unsure_per_s),
        });
    }
    let period_ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(HotRooms { by, period_ms, total, rooms, silent }))
}

#[cfg(test)]
mod tests {
    use hubbub_actors::hot::Counted;

    use super::*;

    fn counted(room: u64, deliveries: u64, cpu_ms: u64) -> Counted {
        let cost =
            Cost { events: 1, deliveries, bytes: deliveries * 100, cpu_ns: cpu_ms * 1_000_000, ..Cost::default() };
        Counted { room: RoomId::from_raw(room), cost, unsure: 0 }
    }

    fn report(seconds: u64, rooms: Vec<Counted>) -> HotReport {
        let mut total = Cost::default();
        rooms.iter().for_each(|counted| total += counted.cost);
        HotReport { period: Duration::from_secs(seconds), total, rooms }
    }

    #[test]
    fn a_room_that_several_nodes_have_followers_of_is_told_once() {
        let told = [
            (NodeId(1), report(10, vec![counted(7, 1_000, 50), counted(8, 900, 200)])),
            (NodeId(2), report(20, vec![counted(7, 1_000, 50)])),
        ];
        let (total, rooms) = together(HotBy::Deliveries, &told);
        assert_eq!(total.deliveries_per_s, 240.0);
        let order: Vec<_> = rooms.iter().map(|(room, told)| (room.raw(), told.rates.deliveries_per_s)).collect();
        assert_eq!(order, [(7, 150.0), (8, 90.0)]);
        assert_eq!(rooms[0].1.nodes, [NodeId(1), NodeId(2)]);
        let (_, rooms) = together(HotBy::Cpu, &told);
        let order: Vec<_> = rooms.iter().map(|(room, told)| (room.raw(), told.rates.cpu_ms_per_s)).collect();
        assert_eq!(order, [(8, 20.0), (7, 7.5)]);
    }

    #[test]
    fn a_node_that_has_just_begun_tells_no_rates_it_cannot_know() {
        let told = [(NodeId(1), HotReport { period: Duration::ZERO, ..report(0, vec![counted(7, 10, 1)]) })];
        assert_eq!(together(HotBy::Bytes, &told).0.bytes_per_s, 1_000.0);
    }
}
