//! Who may sign in, and who somebody is.
//!
//! An account has a name and a password. Signing in begins a *session*, one device's stay, with a
//! refresh token that rotates and access tokens of a quarter of an hour. Requests carry the access
//! token; it is verified without asking the store, but for whether its session still stands, and
//! that is nearly always answered from memory.
//!
//! # Invariants
//!
//! * Once a session's end is answered, none of its tokens is accepted here, and its sockets are
//!   told to close.
//! * A user who was disabled has no session that stands, one being begun meanwhile included.
//! * Neither a password, a token nor a key is logged or shown by `Debug`.
//!
//! # Order of effects
//!
//! A session is ended in the store, then in memory, then its sockets are closed, then the request is
//! answered.
//!
//! Rate limits and cookies are REST's affair ([`crate::http`]).

pub mod accounts;
pub mod keys;
mod mac;
pub mod name;
pub mod password;
pub mod refresh;
pub mod resume_token;
pub mod sessions;
pub mod setup;
pub mod standing;
pub mod token;

use std::{fmt::Debug, sync::Arc, time::Duration};

use hubbub_actors::caller::Caller;
use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    ids::{SessionId, TsidGenerator},
    ports::Clock,
    time::Timestamp,
};
use hubbub_storage::{Store, StoreError, TogetherError};
use jsonwebtoken::jwk::JwkSet;
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use self::{
    keys::KeyRing,
    password::Passwords,
    refresh::RefreshTokens,
    standing::Standing,
    token::{Claims, TokenRefused},
};
use crate::http::error::store_refusal;

/// Longest life of an access token.
pub const ACCESS_TTL_MAX: Duration = Duration::from_secs(15 * 60);
/// Life of a refresh token from its last use, unless the operator says otherwise.
pub const REFRESH_TTL: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Verified tokens remembered, so that a storm of reconnects costs a hash each and no signature:
/// at about 300 bytes each, 30 MB.
const VERIFIED_MAX: u64 = 100_000;

/// Who may make an account.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anyone.
    Open,
    /// Whoever has an invite.
    Invite,
    /// Operators alone.
    Closed,
}

/// How signing in works here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// `iss` of our tokens.
    pub issuer: String,
    /// `aud` of our tokens.
    pub audience: String,
    /// Life of an access token, at most [`ACCESS_TTL_MAX`].
    pub access_ttl: Duration,
    /// Life of a refresh token.
    pub refresh_ttl: Duration,
    /// Who may make an account.
    pub registration: Registration,
    /// Whether cookies are for encrypted connections alone.
    pub cookies_secure: bool,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            issuer: "hubbub".to_owned(),
            audience: "hubbub".to_owned(),
            access_ttl: ACCESS_TTL_MAX,
            refresh_ttl: REFRESH_TTL,
            registration: Registration::Invite,
            cookies_secure: false,
        }
    }
}

/// Closes the sockets of a session that was signed out.
pub trait SignOut: Send + Sync + Debug {
    /// Closes them with 4010 and forgets the client sessions behind them.
    fn sign_out(&self, sid: SessionId);
}

/// Who a verified token is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The user and device.
    pub caller: Caller,
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// Why a token was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VerifyError {
    /// It is not, or no longer, good.
    #[error(transparent)]
    Token(#[from] TokenRefused),
    /// Whether its session stands could not be found out.
    #[error(transparent)]
    Store(TogetherError),
}

/// Signs people in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Auth {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<TsidGenerator>,
    config: AuthConfig,
    passwords: Passwords,
    keys: KeyRing,
    verified: Cache<[u8; 32], Claims>,
    standing: Standing,
    refresh: RefreshTokens,
    sign_out: Arc<dyn SignOut>,
    /// Held from reading an account to writing it back changed, so that no change undoes another.
    changing: Mutex<()>,
}

impl Auth {
    /// Takes its keys from the store, making them at the first start.
    ///
    /// # Errors
    /// [`StoreError::Read`], [`StoreError::Write`].
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<TsidGenerator>,
        config: AuthConfig,
        sign_out: Arc<dyn SignOut>,
    ) -> Result<Self, StoreError> {
        let fresh: [u8; 32] = rand::random();
        let refresh_key = store.secret_or("refresh-key", &fresh).await?;
        let passwords = tokio::task::spawn_blocking(Passwords::new).await;
        let passwords = passwords
            .map_err(|error| StoreError::Open(error.to_string()))?
            .map_err(|refusal| StoreError::Open(refusal.message))?;
        let access_ttl = config.access_ttl.min(ACCESS_TTL_MAX);
        let parts = Parts {
            keys: KeyRing::open(Arc::clone(&store), clock.now()).await?,
            verified: Cache::builder().max_capacity(VERIFIED_MAX).time_to_live(access_ttl).build(),
            standing: Standing::new(Arc::clone(&store), access_ttl),
            refresh: RefreshTokens::new(&refresh_key),
            config: AuthConfig { access_ttl, ..config },
            store,
            clock,
            ids,
            passwords,
            sign_out,
            changing: Mutex::default(),
        };
        Ok(Self { parts: Arc::new(parts) })
    }

    /// How signing in works here.
    #[must_use]
    pub fn config(&self) -> &AuthConfig {
        &self.parts.config
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    fn store(&self) -> &dyn Store {
        &*self.parts.store
    }

    fn next_id(&self) -> u64 {
        let ms = u64::try_from(self.now().0).unwrap_or(0);
        self.parts.ids.next(ms)
    }

    /// The public keys, as `/v1/.well-known/jwks.json` shows them.
    ///
    /// # Errors
    /// `unavailable` when a period has just begun and the store does not answer.
    pub async fn jwks(&self) -> Result<JwkSet, Refusal> {
        let keys = self.parts.keys.at(self.now()).await;
        keys.map(|keys| keys.jwks()).map_err(|error| store_refusal(&error))
    }

    /// The set-up token while this installation has no owner.
    ///
    /// # Errors
    /// [`StoreError::Read`], [`StoreError::Write`].
    pub async fn setup_token(&self) -> Result<Option<String>, StoreError> {
        setup::token(self.store()).await
    }

    async fn claims(&self, token: &str) -> Result<Claims, VerifyError> {
        let parts = &*self.parts;
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(claims) = parts.verified.get(&digest).await {
            return Ok(claims);
        }
        let keys = parts.keys.at(self.now()).await;
        let keys = keys.map_err(|error| VerifyError::Store(TogetherError::Store(Arc::new(error))))?;
        let AuthConfig { issuer, audience, .. } = &parts.config;
        let claims = token::verify(token, &keys, issuer, audience)?;
        parts.verified.insert(digest, claims.clone()).await;
        Ok(claims)
    }

    /// Who an access token is of: the signature is checked once, its times and whether its session
    /// stands each time.
    ///
    /// # Errors
    /// [`VerifyError::Token`] for a token that is not good, [`VerifyError::Store`] when that cannot
    /// be found out.
    pub async fn verify(&self, token: &str) -> Result<Verified, VerifyError> {
        let claims = self.claims(token).await?;
        token::in_time(&claims, self.now())?;
        let owner = self.parts.standing.of(claims.sid).await;
        if owner.map_err(VerifyError::Store)? != Some(claims.sub) {
            return Err(TokenRefused::Invalid.into());
        }
        Ok(Verified { caller: claims.caller(), expires_at: claims.expires_at() })
    }
}

/// The one answer to a sign-in that failed, whatever was wrong.
fn unauthorized() -> Refusal {
    Refusal::new(ErrorCode::Unauthorized, "name or password is wrong, or the session is over")
}
