//! A line between clients and a node that can be cut: every connection over it ends at once, in both
//! directions, wherever it was in a frame.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::free_port;

/// A relay in front of a node.
#[derive(Debug)]
pub struct Line {
    port: u16,
    cuts: watch::Sender<u64>,
}

impl Line {
    /// Begins to relay to the node at `port`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).await.expect("a free port");
        let own = listener.local_addr().expect("a bound port").port();
        let (cuts, cut) = watch::channel(0);
        // It ends with the runtime of the test.
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut cut = cut.clone();
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let node = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                    let Ok(mut node) = TcpStream::connect(node).await else { return };
                    let mut client = client;
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut node) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { port: own, cuts }
    }

    /// Where clients find it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends all connections over it.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}
