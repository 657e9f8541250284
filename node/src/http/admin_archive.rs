//! Archives over HTTP: taken in as they stream, written out as they are read.
//!
//! An import is answered at once with a stream of reports, one JSON object a line, the last of which
//! says how it ended: the status of the answer only says that it began.

use std::path::PathBuf;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use hubbub_protocol::error::Refusal;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::{ApiResult, ErrorBody},
    query::ApiQuery,
    signed_in::Operator,
};
use crate::{
    archive::{
        community,
        export::{self, Exporter},
        importer::Importer,
        progress::Report,
        source::{BATCH_LINES, Chunks, batches},
    },
    state::App,
};

/// Reports that may wait for a slow reader; the import waits with them.
const REPORTS_AHEAD: usize = 16;
const LINES: &str = "application/x-ndjson";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import)).routes(routes!(export))
}

/// Which community.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// Its name; made when there is none.
    pub community: String,
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

/// Takes an archive in.
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
        let _ = reports.send(Ok(line(&last))).await;
    });
    Ok(stream(answer))
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
