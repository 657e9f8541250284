//! Single actors of the node that answers, as an operator who looks for a fault asks for them.
//!
//! `state` says how an actor was found: `here`, `silent` when it did not answer in time, `not_here`
//! when it is not in this node's memory. Only what is `here` says more of itself.

use axum::{Json, extract::State};
use hubbub_actors::{
    observe::Observed, relay::RelayStatus, room::RoomStatus, session::SessionStatus, user::UserStatus,
};
use hubbub_protocol::{
    ids::{RoomId, Seq, SessionId, UserId},
    push::Status,
    shard::ShardId,
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{error::ErrorBody, path::ApiPath, signed_in::Operator};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(supervisors)).routes(routes!(of_room)).routes(routes!(of_user))
}

/// An actor that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Asked<T> {
    /// It is not in this node's memory.
    NotHere,
    /// It did not answer in time.
    Silent,
    /// It answered.
    Here(T),
}

impl<T> Asked<T> {
    fn of<S>(observed: Observed<S>, shown: impl FnOnce(S) -> T) -> Self {
        match observed {
            Observed::NotHere => Self::NotHere,
            Observed::Silent => Self::Silent,
            Observed::Here(status) => Self::Here(shown(status)),
        }
    }
}

/// A room that is in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RoomActor {
    /// The newest seq on disk.
    pub head: Seq,
    /// Events on their way to the disk.
    pub in_flight: u64,
    /// Requests that wait for something to be read.
    pub held: u64,
}

/// A room's relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RelayActor {
    /// The newest seq handed on.
    pub head: Seq,
    /// Sessions that are sent events.
    pub live: u64,
    /// Sessions that are sent counts.
    pub unread: u64,
}

/// The actors of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RoomActors {
    /// The room itself.
    pub room: Asked<RoomActor>,
    /// Its relay.
    pub relay: Asked<RelayActor>,
}

/// A user who is here, or whose presence somebody watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UserActor {
    /// What the user said last.
    pub status: Status,
    /// Devices that are connected.
    pub devices: u64,
    /// Sessions that are told of the user's presence.
    pub watchers: u64,
    /// Whether the last device has gone, and not for long enough to say so.
    pub away: bool,
}

/// A session in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionActor {
    /// The signed-in device it belongs to.
    pub device: SessionId,
    /// Whether its client is connected, rather than waited for.
    pub connected: bool,
    /// Rooms it follows.
    pub rooms: u64,
    /// People whose presence it watches.
    pub watched: u64,
    /// Connections it has had.
    pub connections: u64,
}

/// The actors of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UserActors {
    /// The user itself.
    pub user: Asked<UserActor>,
    /// The user's sessions.
    pub sessions: Vec<Asked<SessionActor>>,
}

/// A room that failed within the last minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FailingRoom {
    /// Its shard.
    #[schema(value_type = u32)]
    pub shard: ShardId,
    /// The room.
    pub room: RoomId,
    /// How often it failed.
    pub failures: u64,
}

/// What supervisors know of faults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Supervisors {
    /// Rooms that failed within the last minute.
    pub failing: Vec<FailingRoom>,
    /// Users and sessions that failed since the start; null when their supervisor is silent.
    pub people_failed: Option<u64>,
    /// Shards whose supervisor did not answer.
    #[schema(value_type = Vec<u32>)]
    pub silent: Vec<ShardId>,
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn room_shown(RoomStatus { head, in_flight, held }: RoomStatus) -> RoomActor {
    RoomActor { head, in_flight: count(in_flight), held: count(held) }
}

fn relay_shown(RelayStatus { head, live, unread }: RelayStatus) -> RelayActor {
    RelayActor { head, live: count(live), unread: count(unread) }
}

fn user_shown(UserStatus { status, devices, watchers, away }: UserStatus) -> UserActor {
    UserActor { status, devices: count(devices), watchers: count(watchers), away }
}

fn session_shown(session: SessionStatus) -> SessionActor {
    let SessionStatus { device, connected, rooms, watched, connections } = session;
    SessionActor { device, connected, rooms: count(rooms), watched: count(watched), connections }
}

/// What the supervisors of the node that answers know of faults.
#[utoipa::path(
    get, path = "/v1/admin/supervisors", tag = "admin",
    responses(
        (status = 200, description = "Faults", body = Supervisors),
        (status = 403, description = "`forbidden`", body = ErrorBody),
    )
)]
async fn supervisors(State(app): State<App>, _: Operator) -> Json<Supervisors> {
    let observed = app.hub.observe_supervisors().await;
    let (mut failing, mut silent) = (Vec::new(), Vec::new());
    for (shard, observed) in observed.shards {
        match observed {
            Observed::Here(status) => {
                failing.extend(status.failing.into_iter().map(|(room, failures)| FailingRoom {
                    shard,
                    room,
                    failures: count(failures),
                }))
            }
            Observed::Silent | Observed::NotHere => silent.push(shard),
        }
    }
    let people_failed = match observed.people {
        Observed::Here(people) => Some(people.failed),
        Observed::Silent | Observed::NotHere => None,
    };
    Json(Supervisors { failing, people_failed, silent })
}

/// How the actors of a room, or of the log of a community, stand on the node that answers.
#[utoipa::path(
    get, path = "/v1/admin/rooms/{r}/actors", tag = "admin", params(("r" = RoomId, Path)),
    responses(
        (status = 200, description = "The room and its relay", body = RoomActors),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`: no id", body = ErrorBody),
    )
)]
async fn of_room(State(app): State<App>, _: Operator, ApiPath(room): ApiPath<RoomId>) -> Json<RoomActors> {
    let observed = app.hub.observe_room(room).await;
    Json(RoomActors { room: Asked::of(observed.room, room_shown), relay: Asked::of(observed.relay, relay_shown) })
}

/// How the actors of a user stand on the node that answers.
#[utoipa::path(
    get, path = "/v1/admin/users/{id}/actors", tag = "admin", params(("id" = UserId, Path)),
    responses(
        (status = 200, description = "The user and the user's sessions", body = UserActors),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`: no id", body = ErrorBody),
    )
)]
async fn of_user(State(app): State<App>, _: Operator, ApiPath(user): ApiPath<UserId>) -> Json<UserActors> {
    let observed = app.hub.observe_user(user).await;
    Json(UserActors {
        user: Asked::of(observed.user, user_shown),
        sessions: observed.sessions.into_iter().map(|session| Asked::of(session, session_shown)).collect(),
    })
}
