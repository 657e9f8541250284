//! How operator commands reach a node: the one that runs over its own socket, or, when none runs, a
//! router of this process over the same data.
//!
//! Either way a command speaks the `/v1/admin` interface, so it does the same on a running and on a
//! stopped node, with the same checks and errors.

use std::{io, path::Path, path::PathBuf};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{Method, Request, StatusCode, header},
    response::Response,
};
use hubbub_protocol::error::Refusal;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;
use tower::ServiceExt;

use super::failure::Failure;

/// Largest answer read, in bytes: a page of 100 accounts has some 40 KB.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A way to a node's operator interface.
#[derive(Debug)]
pub enum AdminLink {
    /// Over the socket of a running node.
    Socket(PathBuf),
    /// In this process, over the data of a stopped one.
    Here(Box<Router>),
}

#[derive(Debug, Deserialize)]
struct Refused {
    error: Refusal,
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(format!("the node's answer could not be read: {error}"))
}

async fn over(stream: UnixStream, request: Request<Body>) -> Result<Response, Failure> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let (head, body) = response.into_parts();
        let bytes = to_bytes(Body::new(body), ANSWER_BYTES_MAX).await;
        Ok(Response::from_parts(head, Body::from(bytes.map_err(failed)?)))
    };
    // The connection has to be driven beside the exchange. What ends it ends the exchange, which
    // then says why.
    let driven = async {
        drop(connection.await);
        std::future::pending().await
    };
    tokio::select! {
        answer = exchange => answer,
        answer = driven => answer,
    }
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
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<(StatusCode, Bytes), Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.unwrap_or_default()))
            .map_err(failed)?;
        let response = self.send(request).await?;
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
        let (status, bytes) = self.ask(method, path, body).await?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(failed);
        }
        let refused: Refused = serde_json::from_slice(&bytes).map_err(failed)?;
        Err(refused.error.into())
    }

    /// Reads what is at `path`, query included.
    ///
    /// # Errors
    /// The node's refusal as a [`Failure`]; [`Failure::NotRunning`] when it has gone meanwhile.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, None).await
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
