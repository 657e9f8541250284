//! The floor: plain TCP without delay, a frame after its length.

use std::net::Ipv4Addr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hubbub_cluster::transport::limits::BATCH_BYTES;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{ARRIVES_WITHIN, ASK_BYTES, FRAME_BYTES, Way, frame, number};

/// An echo for asks, and a stream with its reader.
#[derive(Debug)]
pub(super) struct Pair {
    asks: TcpStream,
    stream: TcpStream,
    /// Reads the stream to its end; gives how many frames came in order.
    reader: JoinHandle<Result<u64>>,
}

impl Pair {
    pub(super) async fn linked() -> Result<Self> {
        let (asks, mut echoing) = connected().await?;
        tokio::spawn(async move {
            let mut ask = [0; ASK_BYTES];
            while echoing.read_exact(&mut ask).await.is_ok() && echoing.write_all(&ask).await.is_ok() {}
        });
        let (stream, reading) = connected().await?;
        // The writing half is kept until the other end has closed.
        let (reading, kept) = reading.into_split();
        let reader = tokio::spawn(async move {
            let counted = count(reading).await;
            drop(kept);
            counted
        });
        Ok(Self { asks, stream, reader })
    }
}

async fn connected() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, crate::server::free_port()?)).await?;
    let address = listener.local_addr()?;
    let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (one, (other, _)) = (one?, other?);
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    Ok((one, other))
}

async fn count(reading: OwnedReadHalf) -> Result<u64> {
    let mut reading = BufReader::with_capacity(BATCH_BYTES, reading);
    let (mut next, mut frame) = (0, Vec::new());
    while let Ok(length) = reading.read_u32_le().await {
        frame.resize(usize::try_from(length)?, 0);
        reading.read_exact(&mut frame).await?;
        ensure!(number(&frame) == Some(next), "frame {next} is not the next");
        next += 1;
    }
    Ok(next)
}

impl Way for Pair {
    const NAME: &'static str = "tcp";

    async fn ask(&mut self) -> Result<()> {
        let mut answer = [0; ASK_BYTES];
        self.asks.write_all(&[1; ASK_BYTES]).await?;
        self.asks.read_exact(&mut answer).await?;
        Ok(())
    }

    async fn stream(&mut self, end: Instant) -> Result<u64> {
        let (mut sent, mut batch) = (0, Vec::with_capacity(BATCH_BYTES));
        while Instant::now() < end {
            while batch.len() + FRAME_BYTES + 4 <= BATCH_BYTES {
                batch.extend(u32::try_from(FRAME_BYTES)?.to_le_bytes());
                batch.extend(frame(sent));
                sent += 1;
            }
            self.stream.write_all(&batch).await?;
            batch.clear();
        }
        self.stream.shutdown().await?;
        let counted = tokio::time::timeout(ARRIVES_WITHIN, &mut self.reader).await;
        let counted = counted.context("the stream did not arrive")???;
        ensure!(counted == sent, "{counted} of {sent} frames arrived");
        Ok(sent)
    }
}
