//! REST, with types: what the command line, the tests and the healing of gaps ask.

use std::{fmt, sync::Once, time::Duration};

use bytes::Bytes;
use hubbub_protocol::{
    error::Refusal,
    ids::{CommunityId, MessageKey, RoomId, Seq},
    message::Message,
    rest,
    room::Room,
};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::trust;

/// How long a call may take: a page of a large log from a busy disk, and room to spare.
const CALL_WITHIN: Duration = Duration::from_secs(15);
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The node said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The node could not be reached, or did not speak as documented.
    #[error("the node at {url} does not answer as it should")]
    Transport {
        /// Where it was looked for.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// An answer of another shape than documented.
    #[error("the node answered {status} in a form we cannot read: {body}")]
    Unreadable {
        /// The status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
}

/// Calls to one node, as one user or as nobody.
#[derive(Clone)]
pub struct Rest {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl fmt::Debug for Rest {
    /// Tells where the node is, and not the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("base", &self.base).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Refused {
    error: Refusal,
}

#[derive(Deserialize)]
struct Events<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    next: Option<String>,
}

/// A page of a room's log: pushes, and the seq after which the next page begins.
pub type EventPage = (Vec<Bytes>, Option<Seq>);

pub(crate) fn install_provider() {
    static ONCE: Once = Once::new();
    // Another part of the program may have installed one, which serves as well.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

impl Rest {
    /// Calls the node at `base`, such as `http://127.0.0.1:8080`, as nobody.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let http = trust::http().timeout(CALL_WITHIN).connect_timeout(CONNECT_WITHIN).build();
        // Building fails only where no TLS can be had, which was seen to above.
        Self { http: http.unwrap_or_default(), base: base.trim_end_matches('/').to_owned(), token: None }
    }

    /// The same as the user of `token`.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Where the node is.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, Bytes), RestError> {
        let failed = |source| RestError::Transport { url: self.base.clone(), source };
        let response = request.send().await.map_err(failed)?;
        let (status, body) = (response.status(), response.bytes().await.map_err(failed)?);
        if status.is_success() {
            return Ok((status, body));
        }
        match serde_json::from_slice::<Refused>(&body) {
            Ok(refused) => Err(RestError::Refused(refused.error)),
            Err(_) => Err(unreadable(status, &body)),
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, RestError> {
        let (status, body) = self.send(request).await?;
        serde_json::from_slice(&body).map_err(|_| unreadable(status, &body))
    }

    /// `GET path`.
    ///
    /// # Errors
    /// [`RestError`], as every call here.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RestError> {
        self.read(self.request(Method::GET, path)).await
    }

    /// `POST path` with `body`.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, RestError> {
        self.read(self.request(Method::POST, path).json(body)).await
    }

    /// `PUT path`, for calls that answer nothing we read.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn put(&self, path: &str) -> Result<(), RestError> {
        self.send(self.request(Method::PUT, path)).await.map(drop)
    }

    /// `PATCH path` with `body`.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, RestError> {
        self.read(self.request(Method::PATCH, path).json(body)).await
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn delete(&self, path: &str) -> Result<(), RestError> {
        self.send(self.request(Method::DELETE, path)).await.map(drop)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn register(&self, name: &str, password: &str) -> Result<rest::SignedIn, RestError> {
        let body = rest::Register {
            name: name.to_owned(),
            password: password.to_owned(),
            display: None,
            email: None,
            invite: None,
        };
        self.post("/v1/auth/register", &body).await
    }

    /// Signs in.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn login(&self, name: &str, password: &str) -> Result<rest::SignedIn, RestError> {
        let body = rest::Login { name: name.to_owned(), password: password.to_owned(), totp: None };
        self.post("/v1/auth/login", &body).await
    }

    /// Gets fresh tokens.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn refresh(&self, refresh_token: &str) -> Result<rest::SignedIn, RestError> {
        let body = rest::Refresh { refresh_token: Some(refresh_token.to_owned()) };
        self.post("/v1/auth/refresh", &body).await
    }

    /// Signs the token's session out.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn logout(&self) -> Result<(), RestError> {
        self.send(self.request(Method::POST, "/v1/auth/logout")).await.map(drop)
    }

    /// Makes a community.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn create_community(&self, name: &str, public: bool) -> Result<rest::Community, RestError> {
        let body = rest::CreateCommunity { name: name.to_owned(), description: String::new(), public };
        self.post("/v1/communities", &body).await
    }

    /// Joins a public community.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn join(&self, community: CommunityId) -> Result<rest::Joined, RestError> {
        self.read(self.request(Method::PUT, &format!("/v1/communities/{community}/members/@me"))).await
    }

    /// The rooms of a community.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn rooms(&self, community: CommunityId) -> Result<Vec<Room>, RestError> {
        let page: rest::Page<Room> = self.get(&format!("/v1/communities/{community}/rooms")).await?;
        Ok(page.items)
    }

    /// Makes a text room.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn create_room(&self, community: CommunityId, name: &str, private: bool) -> Result<Room, RestError> {
        let body =
            rest::CreateRoom { name: name.to_owned(), kind: None, topic: String::new(), private, category: None };
        self.post(&format!("/v1/communities/{community}/rooms"), &body).await
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn send_message(&self, room: RoomId, key: MessageKey, text: &str) -> Result<Message, RestError> {
        let body = rest::PostMessage { text: text.to_owned(), reply_to: None, files: Vec::new() };
        let request = self.request(Method::POST, &format!("/v1/rooms/{room}/messages"));
        self.read(request.header("Idempotency-Key", key.to_string()).json(&body)).await
    }

    /// A page of messages; `query` such as `before=7&limit=20`.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn history(&self, room: RoomId, query: &str) -> Result<rest::History, RestError> {
        self.get(&format!("/v1/rooms/{room}/messages?{query}")).await
    }

    /// A page of a log.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn events(&self, room: RoomId, after: Seq, limit: usize) -> Result<EventPage, RestError> {
        let path = format!("/v1/rooms/{room}/events?after={after}&limit={limit}");
        let (status, body) = self.send(self.request(Method::GET, &path)).await?;
        let page: Events<'_> = serde_json::from_slice(&body).map_err(|_| unreadable(status, &body))?;
        let pushes = page.items.iter().map(|push| Bytes::copy_from_slice(push.get().as_bytes())).collect();
        Ok((pushes, page.next.and_then(|next| next.parse().ok()).map(Seq)))
    }
}

fn unreadable(status: StatusCode, body: &[u8]) -> RestError {
    let body = String::from_utf8_lossy(body).chars().take(200).collect();
    RestError::Unreadable { status: status.as_u16(), body }
}
