//! One read buffer for a whole thread: a connection that waits holds none.

use std::cell::RefCell;
use std::io::{self, ErrorKind};

use tokio::net::TcpStream;

use crate::wire::Wire;

/// Most bytes taken by one system call: about 40 pushes of a 120-byte message.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// What is read without waiting.
pub(crate) trait Readable {
    fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize>;
}

impl Readable for TcpStream {
    fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        Self::try_read(self, bytes)
    }
}

impl Readable for Wire {
    fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        Self::try_read(self, bytes)
    }
}

/// Reads what has arrived and shows it to `take`; `None` when nothing had.
///
/// # Errors
/// What the socket says; the end of the stream is `UnexpectedEof`.
///
/// # Panics
/// If `take` itself reads: the buffer is lent out.
pub(crate) fn read<T>(stream: &impl Readable, take: impl FnOnce(&mut [u8]) -> T) -> io::Result<Option<T>> {
    SCRATCH.with_borrow_mut(|buffer| match stream.try_read(buffer) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(read) => Ok(Some(take(&mut buffer[..read]))),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn reading_tells_nothing_yet_from_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut writer = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("listening");
        let (reader, _) = listener.accept().await.expect("a client");
        assert_eq!(read(&reader, |bytes| bytes.len()).expect("open"), None);
        writer.write_all(b"four").await.expect("written");
        reader.readable().await.expect("readable");
        assert_eq!(read(&reader, |bytes| bytes.to_vec()).expect("open"), Some(b"four".to_vec()));
        drop(writer);
        reader.readable().await.expect("readable");
        let end = read(&reader, |bytes| bytes.len()).expect_err("ended");
        assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
    }
}
