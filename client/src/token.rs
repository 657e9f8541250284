//! Where access tokens come from: one that never changes, or an account that is signed in and stays so.

use std::{
    fmt::{self, Debug},
    time::Duration,
};

use async_trait::async_trait;
use hubbub_protocol::rest::SignedIn;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    error::RequestError,
    rest::{Rest, RestError},
};

/// A token is renewed when less than this is left, or a third of its life if that is shorter: two heartbeats of 30 s,
/// so that the one in use is replaced by `reauth` before it ends.
const LEFT_MIN: Duration = Duration::from_secs(60);

/// Where access tokens come from.
#[async_trait]
pub trait TokenSource: Send + Sync + Debug {
    /// A token that is good now.
    ///
    /// # Errors
    /// [`RequestError::NoToken`] to be asked again later; [`RequestError::Ended`] with a close code ends the client.
    async fn token(&self) -> Result<String, RequestError>;

    /// Learns that the node took `token` for expired, whatever its own clock says.
    async fn expired(&self, token: &str) {
        let _ = token;
    }
}

#[async_trait]
impl TokenSource for String {
    async fn token(&self) -> Result<String, RequestError> {
        Ok(self.clone())
    }
}

/// An account that is signed in: its access token is renewed by its refresh token, which changes each time.
#[derive(Debug)]
pub struct Account {
    rest: Rest,
    state: Mutex<State>,
}

struct State {
    signed_in: SignedIn,
    renew_at: Instant,
}

impl fmt::Debug for State {
    /// Tells whose account it is, and no token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("user", &self.signed_in.user.id).finish_non_exhaustive()
    }
}

impl State {
    fn new(signed_in: SignedIn) -> Self {
        let life = Duration::from_secs(signed_in.expires_in);
        Self { signed_in, renew_at: Instant::now() + life - LEFT_MIN.min(life / 3) }
    }
}

impl Account {
    /// Goes on with what `register`, `login` or `refresh` gave at the node of `rest`.
    #[must_use]
    pub fn new(rest: Rest, signed_in: SignedIn) -> Self {
        Self { rest, state: Mutex::new(State::new(signed_in)) }
    }

    /// The newest tokens, to be kept for the next start.
    pub async fn signed_in(&self) -> SignedIn {
        self.state.lock().await.signed_in.clone()
    }
}

#[async_trait]
impl TokenSource for Account {
    async fn token(&self) -> Result<String, RequestError> {
        // Held over the call on purpose: two renewals at once would use one refresh token twice.
        let mut state = self.state.lock().await;
        if state.renew_at <= Instant::now() {
            let renewed = self.rest.refresh(&state.signed_in.refresh_token).await.map_err(|error| match error {
                RestError::Refused(refusal) if !refusal.retryable => RequestError::Ended(4004),
                other => RequestError::NoToken(other.to_string()),
            })?;
            *state = State::new(renewed);
        }
        Ok(state.signed_in.access_token.clone())
    }

    async fn expired(&self, token: &str) {
        let mut state = self.state.lock().await;
        if state.signed_in.access_token == token {
            state.renew_at = Instant::now();
        }
    }
}
