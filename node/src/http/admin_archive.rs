//! Archives over HTTP: taken in as they stream, written out as they are read.
//!
//! An import is answered at once with a stream of reports, one JSON object a line, the last of which
//! says how it ended: the status of the answer only says that it began.

use std::{path::PathBuf, sync::Arc};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use hubbub_protocol::{
    error::Refusal,
    ids::{CommunityId, RoomId, UserId},
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body::ApiJson,
    error::{ApiResult, ErrorBody},
    query::ApiQuery,
    signed_in::Operator,
};
use crate::{
    archive::{
        community,
        export::{self, Exporter},
        importer::Importer,
        line::one_line,
        progress::Report,
        source::{BATCH_LINES, Chunks, batches},
    },
    state::App,
};

/// Reports that may wait for a slow reader; the import waits with them.
const REPORTS_AHEAD: usize = 16;
/// Names looked up at once, of each kind: two thousand of 30 bytes are 60 KB, a quarter of a body.
pub const NAMES_MAX: usize = 1_000;
const LINES: &str = "application/x-ndjson";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import)).routes(routes!(names)).routes(routes!(export))
}

/// Which community.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// Its name; made when there is none.
    pub community: String,
}

/// `POST /v1/admin/import/names`: names that an archive uses.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveNames {
    /// Names of rooms, at most 1,000.
    #[serde(default)]
    pub rooms: Vec<String>,
    /// Names of people, at most 1,000.
    #[serde(default)]
    pub users: Vec<String>,
}

/// What those names stand for.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ArchiveIds {
    /// The community.
    pub community: CommunityId,
    /// Rooms, in the order of their names.
    pub rooms: Vec<RoomId>,
    /// Accounts, in the order of their names.
    pub users: Vec<UserId>,
}

/// What to export.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// Name of the community.
    pub community: String,
    /// Whether its private rooms too.
    #[serde(default)]
    pub private: bool,
}

fn line(report: &Report) -> Bytes {
    let mut line = serde_json::to_vec(report).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

fn stream(chunks: mpsc::Receiver<Result<Bytes, std::io::Error>>) -> Response {
    ([(header::CONTENT_TYPE, LINES)], Body::from_stream(ReceiverStream::new(chunks))).into_response()
}

/// Takes an archive in, once the imports before have ended.
#[utoipa::path(
    post, path = "/v1/admin/import", tag = "admin", params(ImportQuery),
    request_body(content = String, content_type = "application/x-ndjson", description = "An archive, plain or gzip"),
    responses(
        (status = 200, description = "Reports, one a line; the last is `done` or `error`", body = Report),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
    )
)]
async fn import(
    State(app): State<App>,
    _: Operator,
    ApiQuery(query): ApiQuery<ImportQuery>,
    body: Body,
) -> ApiResult<Response> {
    let turn = Arc::clone(&app.importing).lock_owned().await;
    let importer = Importer::begin(app.hub.clone(), &query.community).await?;
    let (chunks, archive) = Chunks::channel();
    tokio::spawn(async move {
        let mut body = body.into_data_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(std::io::Error::other);
            let ends = chunk.is_err();
            if chunks.send(chunk).await.is_err() || ends {
                return;
            }
        }
    });
    let (reports, answer) = mpsc::channel(REPORTS_AHEAD);
    tokio::spawn(async move {
        // The asker who has gone loses the reports, not the import of what was sent.
        let done = importer.run(batches(archive, BATCH_LINES), |progress| {
            let _ = reports.try_send(Ok(line(&Report::Progress(progress))));
        });
        let last = match done.await {
            Ok(progress) => Report::Done(progress),
            Err(refusal) => Report::Error(refusal),
        };
        drop(turn);
        let _ = reports.send(Ok(line(&last))).await;
    });
    Ok(stream(answer))
}

/// Finds the rooms and accounts that an archive's names stand for, and makes those that are missing, as
/// an import does: for programs that bring an archive's messages in as clients.
#[utoipa::path(
    post, path = "/v1/admin/import/names", tag = "admin", params(ImportQuery), request_body = ArchiveNames,
    responses(
        (status = 200, description = "What the names stand for", body = ArchiveIds),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
    )
)]
async fn names(
    State(app): State<App>,
    _: Operator,
    ApiQuery(query): ApiQuery<ImportQuery>,
    ApiJson(names): ApiJson<ArchiveNames>,
) -> ApiResult<Json<ArchiveIds>> {
    for (field, names) in [("rooms", &names.rooms), ("users", &names.users)] {
        if names.len() > NAMES_MAX {
            return Err(Refusal::field(field, "too many names at once: ask for them in parts").into());
        }
    }
    if let Some(wrong) = names.rooms.iter().find_map(|room| one_line(room).err()) {
        return Err(Refusal::field("rooms", wrong.to_string()).into());
    }
    let _turn = app.importing.lock().await;
    let mut importer = Importer::begin(app.hub.clone(), &query.community).await?;
    let (rooms, users) = importer.names(&names.rooms, &names.users).await?;
    Ok(Json(ArchiveIds { community: importer.community(), rooms, users }))
}

/// Writes a community out as an archive.
#[utoipa::path(
    get, path = "/v1/admin/export", tag = "admin", params(ExportQuery),
    responses(
        (status = 200, description = "The archive; cut off when the node cannot go on", body = String, content_type = "application/x-ndjson"),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn export(
    State(app): State<App>,
    _: Operator,
    ApiQuery(query): ApiQuery<ExportQuery>,
) -> ApiResult<Response> {
    let community = community::find(app.store(), &query.community).await?;
    let community = community.ok_or_else(|| Refusal::not_found("community"))?;
    let exporter = Exporter::begin(app.store.clone(), community.id, query.private).await?;
    let (lines, mut written) = mpsc::channel(export::CHUNKS_AHEAD);
    let (chunks, answer) = mpsc::channel(1);
    tokio::spawn(async move {
        let work = exporter.run(scratch(), lines);
        let pass_on = async {
            while let Some(chunk) = written.recv().await {
                if chunks.send(Ok(chunk)).await.is_err() {
                    break;
                }
            }
            drop(written);
        };
        if let (Err(refusal), ()) = tokio::join!(work, pass_on) {
            tracing::error!(error = %refusal.message, "an export ended early");
            let _ = chunks.send(Err(std::io::Error::other(refusal.message))).await;
        }
    });
    Ok(stream(answer))
}

/// Where an archive that does not fit in memory is sorted.
fn scratch() -> PathBuf {
    std::env::temp_dir()
}
