//! The place an answer goes to: a client's connection, a waiting call, or nowhere.
//!
//! # Invariant
//!
//! A request is answered exactly once. One that is dropped unanswered, because an actor died or a
//! mailbox closed, is answered `unavailable`: the client repeats it with the same key.

use std::fmt;

use hubbub_protocol::error::{ErrorCode, Refusal};
use tokio::sync::oneshot;

type Sink<T> = Box<dyn FnOnce(Result<T, Refusal>) + Send>;

/// Takes one answer of type `T`.
pub struct Answer<T>(Option<Sink<T>>);

impl<T: Send + 'static> Answer<T> {
    /// An answer that `sink` carries away. `sink` must not block.
    pub fn to(sink: impl FnOnce(Result<T, Refusal>) + Send + 'static) -> Self {
        Self(Some(Box::new(sink)))
    }

    /// An answer that is awaited by the caller.
    #[must_use]
    pub fn awaited() -> (Self, oneshot::Receiver<Result<T, Refusal>>) {
        let (sender, receiver) = oneshot::channel();
        // A caller that has stopped waiting repeats its request and is told the same.
        (Self::to(move |answer| drop(sender.send(answer))), receiver)
    }

    /// Answers.
    pub fn give(mut self, answer: Result<T, Refusal>) {
        if let Some(sink) = self.0.take() {
            sink(answer);
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if let Some(sink) = self.0.take() {
            sink(Err(unavailable()));
        }
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// What is answered when it is not known whether the request was carried out.
#[must_use]
pub fn unavailable() -> Refusal {
    Refusal::new(ErrorCode::Unavailable, "the store did not answer: repeat with the same key").after_ms(500)
}

/// What is answered when a queue is full.
#[must_use]
pub fn busy() -> Refusal {
    Refusal::new(ErrorCode::Busy, "there is too much to do: repeat with the same key").after_ms(250)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_request_is_answered_unavailable() {
        let (answer, wait) = Answer::<u32>::awaited();
        drop(answer);
        let refusal = wait.await.expect("answered").expect_err("not carried out");
        assert_eq!(refusal.code, ErrorCode::Unavailable);
        assert!(refusal.retryable);
    }

    #[tokio::test]
    async fn an_answer_arrives() {
        let (answer, wait) = Answer::awaited();
        answer.give(Ok(7));
        assert_eq!(wait.await.expect("answered"), Ok(7));
    }
}
