//! Beginning, refreshing and ending sessions.

use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    ids::{SessionId, UserId},
    limits::DEVICE_CHARS_MAX,
    rest,
    time::Timestamp,
};
use hubbub_storage::{
    StoreError,
    facts::{Session, User},
};

use super::{
    Auth,
    refresh::{RefreshToken, Verdict, judge},
    token::{self, Claims},
    unauthorized,
};
use crate::http::error::store_refusal;

/// A user as others see it.
#[must_use]
pub fn shown(user: &User) -> rest::User {
    rest::User {
        id: user.id,
        name: user.name.clone(),
        display: user.display.clone(),
        avatar: user.avatar.clone(),
        created_at: user.created_at,
    }
}

impl Auth {
    fn refresh_ends(&self, now: Timestamp) -> Timestamp {
        let ms = self.parts.config.refresh_ttl.as_millis();
        now.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX))
    }

    /// The answer that goes with `refresh`, which came into force at `issued`. Given the same two it
    /// is the same answer: EdDSA signs the same text with the same bytes.
    async fn answer(
        &self,
        user: &User,
        refresh: &RefreshToken,
        issued: Timestamp,
    ) -> Result<rest::SignedIn, Refusal> {
        let parts = &*self.parts;
        let ttl_s = parts.config.access_ttl.as_secs();
        let iat = issued.0.div_euclid(1_000);
        let claims = Claims {
            iss: parts.config.issuer.clone(),
            aud: parts.config.audience.clone(),
            sub: user.id,
            exp: iat.saturating_add_unsigned(ttl_s),
            iat,
            jti: parts.refresh.jti(refresh),
            sid: refresh.sid,
        };
        let keys = parts.keys.at(issued).await;
        let keys = keys.map_err(|error| store_refusal(&error))?;
        let access_token = token::sign(&claims, keys.current())
            .map_err(|_| Refusal::new(ErrorCode::Internal, "a token could not be signed"))?;
        Ok(rest::SignedIn {
            user: shown(user),
            access_token,
            refresh_token: parts.refresh.write(refresh),
            expires_in: ttl_s,
        })
    }

    /// Begins a session of `user` on `device` (cut to 64 characters).
    ///
    /// # Errors
    /// `unauthorized` for a user who is, or is just being, disabled; `unavailable`.
    pub async fn begin(&self, user: &User, device: &str) -> Result<rest::SignedIn, Refusal> {
        let now = self.now();
        let refresh = RefreshToken::first(SessionId::from_raw(self.next_id()));
        let session = Session {
            id: refresh.sid,
            user: user.id,
            device: device.chars().take(DEVICE_CHARS_MAX).collect(),
            refresh_hash: refresh.hash(),
            previous: None,
            created_at: now,
            used_at: now,
            expires_at: self.refresh_ends(now),
            ended_at: None,
        };
        let kept = self.store().create_session(&session).await;
        kept.map_err(|error| store_refusal(&error))?;
        // Whoever disables a user ends the sessions there are: look once more, after ours is there.
        self.enabled(user.id).await?;
        self.answer(user, &refresh, now).await
    }

    async fn enabled(&self, id: UserId) -> Result<User, Refusal> {
        let user = self.store().user(id).await;
        user.map_err(|error| store_refusal(&error))?.filter(|user| !user.disabled).ok_or_else(unauthorized)
    }

    /// Replaces a refresh token by its successor.
    ///
    /// # Errors
    /// `unauthorized` for a token that is not good; one that was used before ends its family.
    pub async fn refresh(&self, text: &str) -> Result<rest::SignedIn, Refusal> {
        let old = self.parts.refresh.read(text).ok_or_else(unauthorized)?;
        let lost = |error: StoreError| store_refusal(&error);
        loop {
            let now = self.now();
            let session = self.store().session(old.sid).await.map_err(lost)?;
            let session = session.ok_or_else(unauthorized)?;
            let next = self.parts.refresh.next(&old);
            match judge(&session, &old.hash(), now) {
                Verdict::Rotate => {
                    let user = self.enabled(session.user).await?;
                    let ends = self.refresh_ends(now);
                    let rotated = self
                        .store()
                        .rotate_session(old.sid, &old.hash(), &next.hash(), now, ends)
                        .await
                        .map_err(lost)?;
                    // Somebody was faster with the same token: look at it again.
                    if rotated {
                        return self.answer(&user, &next, now).await;
                    }
                }
                Verdict::Repeat(used) => {
                    let user = self.enabled(session.user).await?;
                    let issued = self.repeat_issued(used, now);
                    return self.answer(&user, &next, issued).await;
                }
                Verdict::Reused => {
                    tracing::warn!(session.id = %old.sid, "a used refresh token came back");
                    self.end(old.sid).await?;
                    return Err(unauthorized());
                }
                Verdict::Over => return Err(unauthorized()),
            }
        }
    }

    /// When the access token of a repeated answer counts as issued: when it first was, unless more
    /// than half of its life is over, as with lives of seconds in tests.
    fn repeat_issued(&self, used: Timestamp, now: Timestamp) -> Timestamp {
        let half_ms = self.parts.config.access_ttl.as_millis() / 2;
        if u128::from(now.ms_since(used)) <= half_ms { used } else { now }
    }

    /// Ends a session: its tokens are refused and its sockets closed once this returns.
    ///
    /// # Errors
    /// `unavailable`: it may stand still.
    pub async fn end(&self, sid: SessionId) -> Result<(), Refusal> {
        let now = self.now();
        let ended = self.store().end_session(sid, now).await;
        ended.map_err(|error| store_refusal(&error))?;
        self.parts.standing.ended(sid, now);
        self.parts.sign_out.sign_out(sid);
        Ok(())
    }

    /// Takes note of a session that was ended through another node.
    pub fn ended_elsewhere(&self, sid: SessionId) {
        self.parts.standing.ended(sid, self.now());
    }

    /// The sessions of `user` that stand, newest first.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn sessions(&self, user: UserId) -> Result<Vec<Session>, Refusal> {
        let now = self.now();
        let sessions = self.store().sessions_of(user).await;
        let mut sessions = sessions.map_err(|error| store_refusal(&error))?;
        sessions.retain(|session| session.expires_at > now);
        Ok(sessions)
    }

    /// Ends every session of `user` but `kept`.
    ///
    /// # Errors
    /// `unavailable`: some may stand still.
    pub async fn end_all(&self, user: UserId, kept: Option<SessionId>) -> Result<(), Refusal> {
        loop {
            let sessions = self.store().sessions_of(user).await;
            let mut sessions = sessions.map_err(|error| store_refusal(&error))?;
            sessions.retain(|session| Some(session.id) != kept);
            if sessions.is_empty() {
                return Ok(());
            }
            for session in sessions {
                self.end(session.id).await?;
            }
        }
    }
}
