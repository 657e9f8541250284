//! Who asks.

use hubbub_protocol::ids::{SessionId, UserId};
use serde::{Deserialize, Serialize};

/// A user, and the signed-in device the request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The device: `sid` of the access token.
    pub sid: SessionId,
}
