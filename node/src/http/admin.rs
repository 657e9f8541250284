//! The installation, as an operator sees it: nodes, shards, where a room is, settings.

use axum::{Json, extract::State};
use hubbub_protocol::{
    error::Refusal,
    ids::{Epoch, NodeId, RoomId, ShardSeq},
    rest::Page,
    shard::ShardId,
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::{ApiResult, ErrorBody},
    path::ApiPath,
    query::{ApiQuery, PageQuery, page},
    signed_in::Operator,
};
use crate::{
    standing::Standing,
    state::{App, Settings},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(nodes))
        .routes(routes!(shards))
        .routes(routes!(place))
        .routes(routes!(settings))
}

/// A node of the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Node {
    /// Its number.
    pub node: NodeId,
    /// Whether it is the one that answers.
    pub this: bool,
    /// What it says of itself.
    #[serde(flatten)]
    pub standing: Standing,
}

/// The nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Nodes {
    /// Those that answered, by number.
    pub items: Vec<Node>,
    /// Always null: all nodes are told at once.
    pub next: Option<String>,
    /// Those that were asked and did not answer within 1.5 s. A member that is down is not asked.
    pub silent: Vec<NodeId>,
}

/// A shard, and who orders it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Shard {
    /// Its number.
    #[schema(value_type = u32)]
    pub shard: ShardId,
    /// The node that orders it.
    pub owner: NodeId,
    /// The epoch in its fence; 0 when nothing was ever written to it.
    pub epoch: Epoch,
    /// Its newest event.
    pub head: ShardSeq,
}

/// Where a room is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Place {
    /// The room.
    pub room: RoomId,
    /// Its shard.
    #[schema(value_type = u32)]
    pub shard: ShardId,
    /// The node that orders it.
    pub owner: NodeId,
}

/// The nodes, and how each says that it is; a node with a store of its own is the only one.
#[utoipa::path(
    get, path = "/v1/admin/nodes", tag = "admin",
    responses(
        (status = 200, description = "The nodes", body = Nodes),
        (status = 403, description = "`forbidden`", body = ErrorBody),
    )
)]
async fn nodes(State(app): State<App>, _: Operator) -> Json<Nodes> {
    let this = app.placement.this_node();
    let mut nodes = Nodes { items: Vec::new(), next: None, silent: Vec::new() };
    for (node, told) in app.hub.standings().await {
        let here = node == this;
        let standing = match told.as_deref().and_then(Standing::read) {
            // It listens to nobody: its parts are up for one command.
            None if here => Some(Standing::of(&app, 0)),
            told => told,
        };
        match standing {
            Some(standing) => nodes.items.push(Node { node, this: here, standing }),
            None => nodes.silent.push(node),
        }
    }
    Json(nodes)
}

/// The shards by number.
#[utoipa::path(
    get, path = "/v1/admin/shards", tag = "admin", params(PageQuery),
    responses(
        (status = 200, description = "Shards", body = Page<Shard>),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
    )
)]
async fn shards(
    State(app): State<App>,
    _: Operator,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> ApiResult<Json<Page<Shard>>> {
    let limit = query.limit()?;
    let first = query.after::<u32>()?.map_or(0, |after| after.saturating_add(1));
    let numbers = first..app.placement.shard_bits().count();
    let ids: Vec<ShardId> = numbers.take(limit + 1).map(ShardId).collect();
    let fences = app.store().fences(&ids).await?;
    let shards = ids.iter().zip(fences).map(|(&shard, (epoch, head))| Shard {
        shard,
        owner: app.placement.place(shard).owner,
        epoch,
        head,
    });
    Ok(Json(page(shards.collect(), limit, |shard| shard.shard)))
}

/// Where a room, or the log of a community, is.
#[utoipa::path(
    get, path = "/v1/admin/rooms/{r}/where", tag = "admin", params(("r" = RoomId, Path)),
    responses(
        (status = 200, description = "Its place", body = Place),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn place(State(app): State<App>, _: Operator, ApiPath(room): ApiPath<RoomId>) -> ApiResult<Json<Place>> {
    let there =
        app.store().room(room).await?.is_some() || app.store().community(room.as_community()).await?.is_some();
    if !there {
        return Err(Refusal::not_found("room").into());
    }
    let shard = app.placement.shard_bits().shard_of(room);
    Ok(Json(Place { room, shard, owner: app.placement.place(shard).owner }))
}

/// How the node that answers runs.
#[utoipa::path(
    get, path = "/v1/admin/settings", tag = "admin",
    responses(
        (status = 200, description = "Settings", body = Settings),
        (status = 403, description = "`forbidden`", body = ErrorBody),
    )
)]
async fn settings(State(app): State<App>, _: Operator) -> Json<Settings> {
    Json(app.settings.clone())
}
