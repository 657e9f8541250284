//! A load balancer for one client: it stands before the nodes, leads to one that is well, and can be told to lead to
//! another, which ends the connections over it.
//!
//! The client always asks the same address, so its session moves between nodes as behind a balancer of an operator's.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use crate::free_port;

/// How long a node may take to accept.
const ACCEPTS_WITHIN: Duration = Duration::from_millis(500);

/// Which nodes answered well when last asked.
pub type Health = watch::Receiver<Vec<bool>>;

/// A gate.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    first: Arc<AtomicUsize>,
    moves: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Gate {
    /// Begins to lead to `nodes`, to number `first` if it is well.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn before(nodes: Vec<SocketAddr>, first: usize, health: Health) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).await?;
        let address = listener.local_addr()?;
        let (moves, moved) = watch::channel(0);
        let first = Arc::new(AtomicUsize::new(first));
        let task = tokio::spawn(lead(listener, nodes, first.clone(), health, moved));
        Ok(Self { address, first, moves, task })
    }

    /// Where the client finds it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Leads to the node after the one it prefers now; every connection ends.
    pub fn move_on(&self) {
        self.first.fetch_add(1, Ordering::Relaxed);
        self.moves.send_modify(|moves| *moves += 1);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn lead(
    listener: TcpListener,
    nodes: Vec<SocketAddr>,
    first: Arc<AtomicUsize>,
    health: Health,
    moved: watch::Receiver<u64>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (mut moved, mut health) = (moved.clone(), health.clone());
        moved.mark_unchanged();
        let order = order(first.load(Ordering::Relaxed), &health.borrow_and_update());
        let nodes = nodes.clone();
        tokio::spawn(async move {
            let Some((number, mut node)) = reach(&nodes, &order).await else { return };
            let mut client = client;
            let _ = client.set_nodelay(true);
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut node) => {}
                _ = moved.changed() => {}
                _ = health.wait_for(|health| !health.get(number).copied().unwrap_or(false)) => {}
            }
        });
    }
}

/// The nodes that are well, the preferred one first; all of them when none is.
fn order(first: usize, health: &[bool]) -> Vec<usize> {
    let turned = (0..health.len()).map(|step| (first + step) % health.len());
    let well: Vec<usize> = turned.clone().filter(|node| health[*node]).collect();
    if well.is_empty() { turned.collect() } else { well }
}

async fn reach(nodes: &[SocketAddr], order: &[usize]) -> Option<(usize, TcpStream)> {
    for number in order {
        if let Ok(Ok(stream)) = timeout(ACCEPTS_WITHIN, TcpStream::connect(nodes[*number])).await {
            // Small frames wait for nothing, as with a balancer of an operator's.
            let _ = stream.set_nodelay(true);
            return Some((*number, stream));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_prefers_one_node_and_takes_the_next_that_is_well() {
        assert_eq!(order(1, &[true, true, true]), [1, 2, 0]);
        assert_eq!(order(4, &[true, false, true]), [2, 0]);
        assert_eq!(order(0, &[false, false]), [0, 1], "nobody knows better");
    }
}
