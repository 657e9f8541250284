//! Why a request came to nothing, and what a caller may conclude from that.

use hubbub_protocol::error::Refusal;

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The node said no. Nothing was changed.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection was lost before the answer came: the request may have been carried out.
    #[error("the connection was lost before the answer came")]
    Disconnected,
    /// No answer came in time: the request may have been, or may yet be, carried out.
    #[error("no answer came in time")]
    Late,
    /// The client has ended: the node refused it for good with this close code, or, with 1006, its task is gone.
    #[error("the node ended this client with {0}")]
    Ended(u16),
    /// No access token could be had.
    #[error("no access token could be had: {0}")]
    NoToken(String),
    /// An answer of another shape than documented.
    #[error("the node's answer cannot be read")]
    Unreadable,
}
