//! How operator commands reach a node: the one that runs, over its own socket; when none runs, a router
//! of this process over the same data; or one elsewhere, as an owner.
//!
//! Whichever it is, a command speaks the `/v1/admin` interface, so it does the same on a running and on a
//! stopped node, with the same checks and errors.

use std::{io, path::Path, path::PathBuf, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{Method, Request, StatusCode, header},
    response::Response,
};
use hubbub_protocol::error::{ErrorCode, Refusal};
use hubbub_storage::ErrorChain;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;
use tower::ServiceExt;

use super::failure::Failure;

/// Largest answer read, in bytes: a page of 100 accounts has some 40 KB.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long one call obeys a node that asks for pauses: longer than any limit needs to let one through.
const PATIENCE: Duration = Duration::from_secs(60);

/// A way to a node's operator interface.
#[derive(Debug)]
pub enum AdminLink {
    /// Over the socket of a running node.
    Socket(PathBuf),
    /// In this process, over the data of a stopped one.
    Here(Box<Router>),
    /// Over the network, with an owner's access token.
    Remote {
        /// The node's address, without a path.
        url: String,
        /// The token.
        token: String,
        /// Connections.
        client: Box<reqwest::Client>,
    },
}

#[derive(Debug, Deserialize)]
struct Refused {
    error: Refusal,
}

fn request(method: Method, path: &str, body: Body) -> Result<Request<Body>, Failure> {
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    request.header(header::CONTENT_TYPE, "application/json").body(body).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(format!("the node's answer could not be read: {error}"))
}

/// Sends a request and answers as soon as the answer begins; what is left of both goes on meanwhile.
async fn over(stream: UnixStream, request: Request<Body>) -> Result<Response, Failure> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // What ends the connection ends the exchange, which then says why.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(failed)?;
    Ok(response.map(Body::new))
}

async fn elsewhere(
    client: &reqwest::Client,
    url: &str,
    token: &str,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let asked = client
        .request(head.method, format!("{}{path}", url.trim_end_matches('/')))
        .bearer_auth(token)
        .header(header::CONTENT_TYPE, "application/json")
        .body(reqwest::Body::wrap_stream(body.into_data_stream()));
    let unreached = |error: reqwest::Error| Failure::NotRunning(format!("{url}: {}", ErrorChain(&error)));
    let response = asked.send().await.map_err(unreached)?;
    Ok(axum::http::Response::from(response).map(Body::new))
}

impl AdminLink {
    /// The link to the node that listens at `socket`, if one does.
    ///
    /// # Errors
    /// [`Failure::Refused`] when the socket may not be opened, [`Failure::Failed`] for the rest.
    pub async fn to_running(socket: &Path) -> Result<Option<Self>, Failure> {
        match UnixStream::connect(socket).await {
            Ok(_) => Ok(Some(Self::Socket(socket.to_owned()))),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                io::ErrorKind::PermissionDenied => Err(Failure::Refused(format!("{}: {error}", socket.display()))),
                _ => Err(Failure::Failed(format!("{}: {error}", socket.display()))),
            },
        }
    }

    async fn send(&self, request: Request<Body>) -> Result<Response, Failure> {
        match self {
            Self::Socket(path) => {
                let gone = |error: io::Error| Failure::NotRunning(error.to_string());
                let stream = UnixStream::connect(path).await.map_err(gone)?;
                over(stream, request).await
            }
            Self::Here(router) => match router.clone().oneshot(request).await {
                Ok(response) => Ok(response),
                Err(never) => match never {},
            },
            Self::Remote { url, token, client } => elsewhere(client, url, token, request).await,
        }
    }

    /// Sends `body` as it comes, and gives the answer as it comes.
    ///
    /// # Errors
    /// As [`AdminLink::get`].
    pub async fn stream(&self, method: Method, path: &str, body: Body) -> Result<Body, Failure> {
        let response = self.send(request(method, path, body)?).await?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.map_err(failed)?;
        let refused: Refused = serde_json::from_slice(&bytes).map_err(failed)?;
        Err(refused.error.into())
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<(StatusCode, Bytes), Failure> {
        let response = self.send(request(method, path, Body::from(body.unwrap_or_default()))?).await?;
        let status = response.status();
        let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await;
        Ok((status, bytes.map_err(failed)?))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, Failure> {
        let mut waited = Duration::ZERO;
        loop {
            let (status, bytes) = self.ask(method.clone(), path, body.clone()).await?;
            if status.is_success() {
                return serde_json::from_slice(&bytes).map_err(failed);
            }
            let Refused { error: refusal } = serde_json::from_slice(&bytes).map_err(failed)?;
            match refusal.retry_after_ms.map(Duration::from_millis) {
                Some(pause) if refusal.code == ErrorCode::RateLimited && waited + pause <= PATIENCE => {
                    tokio::time::sleep(pause).await;
                    waited += pause;
                }
                _ => return Err(refusal.into()),
            }
        }
    }

    /// Reads what is at `path`, query included.
    ///
    /// # Errors
    /// The node's refusal as a [`Failure`]; [`Failure::NotRunning`] when it has gone meanwhile.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, None).await
    }

    /// Puts `body` at `path`.
    ///
    /// # Errors
    /// As [`AdminLink::get`].
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(failed)?;
        self.call(Method::PUT, path, Some(body)).await
    }

    /// Posts `body` to `path`.
    ///
    /// # Errors
    /// As [`AdminLink::get`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(failed)?;
        self.call(Method::POST, path, Some(body)).await
    }
}
