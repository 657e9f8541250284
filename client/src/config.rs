//! How a client connects.

use std::{fmt, sync::Arc, time::Duration};

use hubbub_protocol::{frame::Format, op::Intents};

use crate::{backoff::Backoff, fetch::Backfill, rest::Rest, token::TokenSource};

/// How a client connects. [`Config::new`] gives the usual settings.
#[derive(Clone)]
pub struct Config {
    /// The node, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// Where access tokens come from.
    pub token: Arc<dyn TokenSource>,
    /// What this device is called, at most 64 characters.
    pub device: String,
    /// What is wanted. Without messages, reactions or members, the events of those are left out.
    pub intents: Intents,
    /// The subprotocol.
    pub format: Format,
    /// How long a request may take, 15 s. A longer wait would only hide that the node is gone.
    pub answer_within: Duration,
    /// How long a send is tried again, 60 s.
    pub send_within: Duration,
    /// The waits between connections.
    pub backoff: Backoff,
    /// Where missing events are fetched; none for the node at `url`.
    pub backfill: Option<Arc<dyn Backfill>>,
}

impl fmt::Debug for Config {
    /// Tells all but the source of tokens, which may be a token itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, token: _, device, intents, format, answer_within, send_within, backoff, backfill: _ } =
            self;
        f.debug_struct("Config")
            .field("url", url)
            .field("device", device)
            .field("intents", intents)
            .field("format", format)
            .field("answer_within", answer_within)
            .field("send_within", send_within)
            .field("backoff", backoff)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// A client of the node at `url` with one token, and the usual settings.
    #[must_use]
    pub fn new(url: &str, token: &str) -> Self {
        Self::with_source(url, Arc::new(token.to_owned()))
    }

    /// The same with tokens from `token`.
    #[must_use]
    pub fn with_source(url: &str, token: Arc<dyn TokenSource>) -> Self {
        Self {
            url: url.to_owned(),
            token,
            device: "hubbub-client".to_owned(),
            intents: Intents::ALL,
            format: Format::Json,
            answer_within: Duration::from_secs(15),
            send_within: Duration::from_secs(60),
            backoff: Backoff::default(),
            backfill: None,
        }
    }

    /// Makes sure that there is a source of missing events.
    pub(crate) fn with_backfill(mut self) -> Self {
        self.backfill = Some(self.backfill());
        self
    }

    pub(crate) fn backfill(&self) -> Arc<dyn Backfill> {
        self.backfill.clone().unwrap_or_else(|| Arc::new(Rest::new(&self.url)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_shown_to_who_logs_a_client() {
        let config = Config::new("http://node", "canary-token");
        let rest = Rest::new("http://node").with_token("canary-token");
        let shown = format!("{config:?} {rest:?}");
        assert!(shown.contains("http://node") && !shown.contains("canary"), "{shown}");
    }
}
