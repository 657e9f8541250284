//! Listening, accepting, and speaking HTTP on what was accepted.
//!
//! # Failure
//!
//! * A client that sends half a request is cut after [`HEAD_WITHIN`].
//! * Clients beyond the [`Seats`] there are get 503.
//! * When the process has no file descriptor left, accepting pauses and goes on by itself; the clients
//!   wait in the backlog meanwhile.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

mod seats;
mod stream;
mod tls;

pub use self::{
    seats::{Connections, Seat, Seats},
    stream::Stream,
    tls::Tls,
};
use crate::cli::failure::Failure;

/// Connections that may wait to be accepted: a reconnect storm's first second.
const BACKLOG: u32 = 4_096;
/// How long a client may take to send the head of a request, or keep a connection without one.
const HEAD_WITHIN: Duration = Duration::from_secs(60);
/// Requests that one HTTP/2 connection may make at once; a browser makes a dozen.
const STREAMS_MAX: u32 = 100;
/// How long to wait when no connection can be accepted.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections of operators: health checks, a scraper or two, and a person.
pub const ADMIN_CONNECTIONS_MAX: u64 = 64;
/// Files with which a node can serve a community; each connection takes one.
pub const FILES_FEW: u64 = 4_096;

/// Listens on `address`.
///
/// # Errors
/// A sentence with the remedy: the address is in use, or not ours.
pub fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bound().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            Failure::Conflict(format!("{address} is in use: stop what listens there, or choose another address"))
        }
        _ => Failure::Failed(format!("cannot listen on {address}: {error}")),
    })
}

/// Lets this process open as many files as its user may: each connection takes one, and many systems
/// grant 1,024 at first. Returns how many they are.
pub fn raise_open_files() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let files = if raised { maximum } else { current };
    if let Some(files) = files.filter(|files| *files < FILES_FEW) {
        tracing::warn!("this process may open {files} files, one for each connection: raise `ulimit -n`");
    }
    files
}

/// Serves `routes` to as many as there are `seats`, until `stopping` is cancelled and the last request has been answered.
/// A connection that is upgraded is handed over and not waited for.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    seats: Arc<Seats>,
    routes: Router,
    stopping: CancellationToken,
) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => match seats.take() {
                Some(seat) => {
                    let client = Client { peer, seat, routes: routes.clone(), stopping: stopping.clone() };
                    connections.spawn(client.welcome(stream, tls.clone()));
                }
                None => seats.refuse(stream),
            },
            Err(error) if concerns_one(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for a moment");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // Whoever waits in the backlog is told at once that nobody listens.
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Whether an error of `accept` is of that one connection, which has gone already.
fn concerns_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A client that was accepted.
struct Client {
    peer: SocketAddr,
    seat: Seat,
    routes: Router,
    stopping: CancellationToken,
}

impl Client {
    async fn welcome(self, stream: TcpStream, tls: Option<Arc<Tls>>) {
        // Answers are written whole; none should wait for an acknowledgement.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let Some(tls) = tls else { return self.speak(stream).await };
        let shaken = tokio::select! {
            shaken = tls.accept(stream) => shaken,
            () = self.stopping.cancelled() => return,
        };
        // Boxed, so that a client in the clear keeps no room for it.
        if let Some(stream) = shaken {
            Box::pin(self.speak(stream)).await;
        }
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { peer, seat, routes, stopping } = self;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            // Whoever takes the connection over keeps its seat.
            request.extensions_mut().insert(seat.clone());
            routes.clone().oneshot(request.map(axum::body::Body::new))
        });
        let mut http = Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
        http.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX).keep_alive_interval(HEAD_WITHIN);
        let mut connection = pin!(http.serve_connection_with_upgrades(TokioIo::new(stream), service));
        tokio::select! {
            // A client that breaks off or sends no HTTP is its own concern.
            _ = connection.as_mut() => return,
            () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}
