//! Pages of history for one session: one is made at a time, and none while the client lets what it
//! asked for lie.
//!
//! A page of 100 of the longest texts has 3 MB, so 32 of them, asked for by a client that does not
//! read, would take 100 MB. What waits for it is now the bound of the connection's answers and one
//! page more.

use std::sync::Arc;

use hubbub_protocol::error::Refusal;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::requests::answer_to;
use crate::connection::Connection;

/// Pages that one session has made for it at a time. What a page costs is its read from the store,
/// so more would hardly be faster.
const AT_ONCE: usize = 1;

/// Makes a session's pages, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Pages(Arc<Semaphore>);

impl Default for Pages {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Pages {
    /// Answers request `id` with the page that `work` makes, when it is its turn. A connection that
    /// has ended meanwhile is not answered.
    pub(crate) fn make<T>(
        &self,
        connection: Arc<dyn Connection>,
        id: u32,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) where
        T: Serialize + Send + 'static,
    {
        let turns = self.0.clone();
        tokio::spawn(async move {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            if connection.room_for_answer().await {
                answer_to(connection, id).give(work.await);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use futures_util::{FutureExt, future::BoxFuture};
    use hubbub_protocol::{
        error::CloseCode,
        frame::Frame,
        ids::{RoomId, Seq},
    };

    use super::*;

    /// A client that reads nothing after its first answer.
    #[derive(Debug, Default)]
    struct Lazy(AtomicUsize);

    impl Connection for Lazy {
        fn reply(&self, _: Frame) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        fn control(&self, _: Frame) {}
        fn event(&self, _: RoomId, _: Seq, _: &Arc<Frame>) {}
        fn ephemeral(&self, _: &Arc<Frame>) {}
        fn close(&self, _: CloseCode) {}
        fn room_for_answer(&self) -> BoxFuture<'_, bool> {
            if self.0.load(Ordering::SeqCst) == 0 { std::future::ready(true).boxed() } else { pending().boxed() }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_page_is_made_while_the_one_before_lies_unread() {
        let (pages, client, made) = (Pages::default(), Arc::new(Lazy::default()), Arc::new(AtomicUsize::new(0)));
        for id in 0..32 {
            let made = made.clone();
            pages.make(client.clone(), id, async move {
                made.fetch_add(1, Ordering::SeqCst);
                Ok(())
            });
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert_eq!(client.0.load(Ordering::SeqCst), 1);
    }
}
