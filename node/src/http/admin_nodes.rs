//! The cluster as an operator sees and changes it: members, shards on the move, versions.
//!
//! A wish that takes time (drain, remove, move) is begun and waited for a few seconds; the answer says whether it is
//! `done`. Asking again goes on with the same wish, so that a caller waits as long as it likes by asking again.

use std::time::Duration;

use axum::{Json, extract::State};
use hubbub_cluster::{
    control::{Answer, Command, MemberState, Refusal as Rule},
    runtime::{ClusterStatus, MemberStatus, WishError},
};
use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    ids::NodeId,
    shard::ShardId,
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    admin_cluster::{TokenRole, member},
    body::ApiJson,
    error::{ApiResult, ErrorBody},
    path::ApiPath,
    signed_in::Operator,
};
use crate::{member::Member, membership::FORMATS, state::App};

/// How long one request waits for a wish: below the patience of what stands between a caller and a node.
const WITHIN: Duration = Duration::from_secs(5);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(cluster))
        .routes(routes!(drain))
        .routes(routes!(undrain))
        .routes(routes!(remove))
        .routes(routes!(move_shard))
        .routes(routes!(finalize))
}

/// The cluster, as the node that answers knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClusterView {
    /// The cluster's name, as in certificates.
    pub cluster: String,
    /// The node that answers.
    pub node: NodeId,
    /// Who leads, if that is known.
    pub leader: Option<NodeId>,
    /// Who votes.
    pub voters: Vec<NodeId>,
    /// Whether the node goes on without word from a leader.
    pub coasting: bool,
    /// Whether the node was removed, or another process runs under its number.
    pub superseded: bool,
    /// The version of the map of shards.
    pub map_version: u64,
    /// How many shards there are.
    pub shards: u64,
    /// How many of them are being handed over.
    pub moving: u64,
    /// The format that every node may use.
    pub version: u32,
    /// The newest format that every member speaks: `upgrade finalize` can go there.
    pub version_possible: u32,
    /// The members by number.
    pub members: Vec<MemberView>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MemberView {
    /// Its number.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// What it may become.
    pub role: TokenRole,
    /// Whether it votes.
    pub votes: bool,
    /// Whether it stands by: it follows what the voters agree on, to take the place of one that is lost.
    #[serde(default)]
    pub stands_by: bool,
    /// `joining`, `up`, `draining` or `down`.
    pub state: String,
    /// Its failure zone.
    pub zone: String,
    /// Where other nodes reach it.
    pub addresses: Vec<String>,
    /// How many shards it orders.
    pub shards: u64,
    /// The oldest format it speaks.
    pub version_min: u32,
    /// The newest format it speaks.
    pub version_max: u32,
    /// How long the node that answers has not heard it, in milliseconds.
    pub silence_ms: Option<u64>,
    /// Whether its store took writes, as it said last; only the leader knows.
    pub storage_ok: Option<bool>,
    /// Why there is no link to it.
    pub fault: Option<String>,
}

/// What a wish has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WishView {
    /// Whether it is fulfilled; else it goes on, and asking again waits for it.
    pub done: bool,
}

/// Where a shard shall go.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveShard {
    /// The node.
    pub to: NodeId,
}

/// Which format shall be used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Finalize {
    /// The format.
    pub version: u32,
}

const fn state(state: MemberState) -> &'static str {
    match state {
        MemberState::Joining => "joining",
        MemberState::Up => "up",
        MemberState::Draining => "draining",
        MemberState::Down => "down",
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl MemberView {
    fn of(status: &MemberStatus, whole: &ClusterStatus) -> Self {
        let about = &status.member.about;
        let fault = whole.peers.iter().find(|peer| peer.node == status.node).and_then(|peer| peer.fault.clone());
        Self {
            node: status.node,
            name: about.name.clone(),
            role: about.role.into(),
            votes: whole.voters.contains(&status.node),
            stands_by: whole.learners.contains(&status.node),
            state: state(status.member.state).to_owned(),
            zone: about.zone.clone(),
            addresses: about.addresses.clone(),
            shards: count(status.shards),
            version_min: about.versions.min,
            version_max: about.versions.max,
            silence_ms: status.silence.map(|silence| u64::try_from(silence.as_millis()).unwrap_or(u64::MAX)),
            storage_ok: status.beat.as_ref().map(|beat| beat.storage_ok),
            fault,
        }
    }
}

impl ClusterView {
    fn of(member: &Member) -> Self {
        let (status, map) = (member.cluster.status(), member.cluster.map());
        let spoken = status.members.iter().map(|member| member.member.about.versions.max);
        Self {
            cluster: member.membership.cluster_id.to_string(),
            node: status.node,
            leader: status.leader,
            voters: status.voters.iter().copied().collect(),
            coasting: status.coasting,
            superseded: status.superseded,
            map_version: status.map_version,
            shards: count(status.shards),
            moving: count(status.moving),
            version: map.head.active_version,
            version_possible: spoken.min().unwrap_or(FORMATS.max),
            members: status.members.iter().map(|member| MemberView::of(member, &status)).collect(),
        }
    }
}

fn rule(rule: &Rule) -> Refusal {
    let message = rule.to_string();
    match rule {
        Rule::NoSuchNode(_) => Refusal::new(ErrorCode::NotFound, message),
        _ => Refusal::new(ErrorCode::Conflict, message),
    }
}

fn wished(wish: Result<(), WishError>) -> ApiResult<Json<WishView>> {
    match wish {
        Ok(()) => Ok(Json(WishView { done: true })),
        Err(WishError::StillGoing { .. }) => Ok(Json(WishView { done: false })),
        Err(WishError::Refused(refusal)) => Err(rule(&refusal).into()),
        Err(error @ WishError::NoSuchShard(_)) => Err(Refusal::new(ErrorCode::NotFound, error.to_string()).into()),
        Err(error @ WishError::Propose(_)) => Err(Refusal::new(ErrorCode::Unavailable, error.to_string()).into()),
    }
}

/// The cluster and its members, as the node that answers knows them.
#[utoipa::path(
    get, path = "/v1/admin/cluster", tag = "admin",
    responses(
        (status = 200, description = "The cluster", body = ClusterView),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 409, description = "`conflict`: the node is not one of a cluster", body = ErrorBody),
    )
)]
async fn cluster(State(app): State<App>, _: Operator) -> ApiResult<Json<ClusterView>> {
    Ok(Json(ClusterView::of(member(&app)?)))
}

/// Lets a node hand over everything it orders, and serve nothing new.
#[utoipa::path(
    post, path = "/v1/admin/cluster/nodes/{n}/drain", tag = "admin", params(("n" = NodeId, Path)),
    responses(
        (status = 200, description = "Begun, or done", body = WishView),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`: no such member", body = ErrorBody),
        (status = 409, description = "`conflict`", body = ErrorBody),
        (status = 503, description = "`unavailable`: no leader", body = ErrorBody),
    )
)]
async fn drain(State(app): State<App>, _: Operator, ApiPath(node): ApiPath<NodeId>) -> ApiResult<Json<WishView>> {
    wished(member(&app)?.cluster.drain(node, WITHIN).await)
}

/// Takes a drain back.
#[utoipa::path(
    post, path = "/v1/admin/cluster/nodes/{n}/undrain", tag = "admin", params(("n" = NodeId, Path)),
    responses(
        (status = 200, description = "Done", body = WishView),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`: no such member", body = ErrorBody),
        (status = 409, description = "`conflict`", body = ErrorBody),
        (status = 503, description = "`unavailable`: no leader", body = ErrorBody),
    )
)]
async fn undrain(State(app): State<App>, _: Operator, ApiPath(node): ApiPath<NodeId>) -> ApiResult<Json<WishView>> {
    wished(member(&app)?.cluster.undrain(node).await)
}

/// Drains a node and ends its membership for ever.
#[utoipa::path(
    post, path = "/v1/admin/cluster/nodes/{n}/remove", tag = "admin", params(("n" = NodeId, Path)),
    responses(
        (status = 200, description = "Begun, or done", body = WishView),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`: no such member", body = ErrorBody),
        (status = 409, description = "`conflict`", body = ErrorBody),
        (status = 503, description = "`unavailable`: no leader", body = ErrorBody),
    )
)]
async fn remove(State(app): State<App>, _: Operator, ApiPath(node): ApiPath<NodeId>) -> ApiResult<Json<WishView>> {
    wished(member(&app)?.cluster.remove(node, WITHIN).await)
}

/// Moves a shard to another node.
#[utoipa::path(
    post, path = "/v1/admin/cluster/shards/{s}/move", tag = "admin", params(("s" = u32, Path)),
    request_body = MoveShard,
    responses(
        (status = 200, description = "Begun, or done", body = WishView),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`: no such shard or member", body = ErrorBody),
        (status = 409, description = "`conflict`", body = ErrorBody),
        (status = 503, description = "`unavailable`: no leader", body = ErrorBody),
    )
)]
async fn move_shard(
    State(app): State<App>,
    _: Operator,
    ApiPath(shard): ApiPath<u32>,
    ApiJson(body): ApiJson<MoveShard>,
) -> ApiResult<Json<WishView>> {
    wished(member(&app)?.cluster.move_shard(ShardId(shard), body.to, WITHIN).await)
}

/// Lets every node use a newer format, for good: an older release cannot come back after that.
#[utoipa::path(
    post, path = "/v1/admin/cluster/finalize", tag = "admin", request_body = Finalize,
    responses(
        (status = 200, description = "Done", body = WishView),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 409, description = "`conflict`: not every member speaks it", body = ErrorBody),
        (status = 503, description = "`unavailable`: no leader", body = ErrorBody),
    )
)]
async fn finalize(
    State(app): State<App>,
    _: Operator,
    ApiJson(body): ApiJson<Finalize>,
) -> ApiResult<Json<WishView>> {
    let proposed = member(&app)?.cluster.propose(Command::Finalize { version: body.version }).await;
    wished(match proposed {
        Ok(Answer::Refused(refusal)) => Err(WishError::Refused(refusal)),
        Ok(_) => Ok(()),
        Err(failure) => Err(WishError::Propose(failure)),
    })
}
