//! `GET /v1/admin/doctor`: what a look at the node that answers, and at its cluster from there, finds.

use axum::{Json, extract::State};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{error::ErrorBody, signed_in::Operator};
use crate::{
    doctor::{Report, gather},
    state::App,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(doctor))
}

/// Looks at this node and its cluster. Takes some seconds when the store does not answer, or when shards move.
#[utoipa::path(
    get, path = "/v1/admin/doctor", tag = "admin",
    responses(
        (status = 200, description = "What was found", body = Report),
        (status = 403, description = "`forbidden`", body = ErrorBody),
    )
)]
async fn doctor(State(app): State<App>, _: Operator) -> Json<Report> {
    Json(Report::of(&gather::running(&app).await))
}
