//! Refresh tokens: opaque, good for one use, each giving the next.
//!
//! A token is `SESSION.SECRET`: the session's id, then 32 bytes and a tag of 16 in base64url. The
//! first secret of a session is random; each next one is an HMAC of the one before under a key only
//! the store has. So a client that lost the answer and asks again gets the same successor, on any
//! node, without anyone having to remember it.
//! The store keeps the SHA-256 of the secret in force and of the one before, never a secret.
//!
//! # Invariants
//!
//! * The tag proves that a token was ours once. Whoever knows a session's id alone cannot present a
//!   token that looks *used*, and so cannot end the session.
//! * [`judge`] ends a family exactly when a token that was ours comes back although it is neither
//!   the one in force nor the one before within [`REPEAT_MS`].

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::Mac;
use hubbub_protocol::{ids::SessionId, time::Timestamp};
use hubbub_storage::facts::Session;
use sha2::{Digest, Sha256};

use super::mac::{HmacSha256, keyed};

/// How long the token just used may be repeated, in milliseconds.
pub const REPEAT_MS: u64 = 30_000;
const SECRET_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// One refresh token, known to be ours.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// Its session.
    pub sid: SessionId,
    secret: [u8; SECRET_BYTES],
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken").field("sid", &self.sid).finish_non_exhaustive()
    }
}

impl RefreshToken {
    /// The first of a session.
    #[must_use]
    pub fn first(sid: SessionId) -> Self {
        Self { sid, secret: rand::random() }
    }

    /// What the store keeps of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }
}

/// Makes, writes and reads refresh tokens.
#[derive(Clone)]
pub struct RefreshTokens {
    key: HmacSha256,
}

impl fmt::Debug for RefreshTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshTokens")
    }
}

impl RefreshTokens {
    /// Takes the key; any length will do, 32 bytes are best.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self { key: keyed(key) }
    }

    fn mac(&self, purpose: &[u8], token: &RefreshToken) -> HmacSha256 {
        let mut mac = self.key.clone();
        mac.update(purpose);
        mac.update(&token.sid.raw().to_be_bytes());
        mac.update(&token.secret);
        mac
    }

    /// The successor of `token`: always the same.
    #[must_use]
    pub fn next(&self, token: &RefreshToken) -> RefreshToken {
        RefreshToken { sid: token.sid, secret: self.mac(b"next", token).finalize().into_bytes().into() }
    }

    /// The `jti` of the access token that goes with `token`: always the same.
    #[must_use]
    pub fn jti(&self, token: &RefreshToken) -> String {
        let bytes = self.mac(b"jti", token).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode(&bytes[..TAG_BYTES])
    }

    /// The token as the client gets it.
    #[must_use]
    pub fn write(&self, token: &RefreshToken) -> String {
        let tag = self.mac(b"tag", token).finalize().into_bytes();
        let bytes = [&token.secret, &tag[..TAG_BYTES]].concat();
        format!("{}.{}", token.sid, URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a token; `None` when it was never ours.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<RefreshToken> {
        let (sid, rest) = text.split_once('.')?;
        let bytes = URL_SAFE_NO_PAD.decode(rest).ok()?;
        if bytes.len() != SECRET_BYTES + TAG_BYTES {
            return None;
        }
        let (secret, tag) = bytes.split_first_chunk()?;
        let token = RefreshToken { sid: sid.parse().ok()?, secret: *secret };
        self.mac(b"tag", &token).verify_truncated_left(tag).ok()?;
        Some(token)
    }
}

/// What is to be done with a refresh token that was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one in force: replace it.
    Rotate,
    /// It was just used: give the answer of then, of the time it was used.
    Repeat(Timestamp),
    /// It was used before: end the family.
    Reused,
    /// The session is over: say no.
    Over,
}

/// Decides what is to be done at `now` with a token of `hash` that is ours.
#[must_use]
pub fn judge(session: &Session, hash: &[u8; 32], now: Timestamp) -> Verdict {
    if session.ended_at.is_some() || session.expires_at <= now {
        return Verdict::Over;
    }
    if session.refresh_hash == *hash {
        return Verdict::Rotate;
    }
    match session.previous {
        Some((previous, used)) if previous == *hash && now.ms_since(used) <= REPEAT_MS => Verdict::Repeat(used),
        _ => Verdict::Reused,
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::ids::UserId;

    use super::*;

    fn session(token: &RefreshToken) -> Session {
        Session {
            id: token.sid,
            user: UserId::from_raw(1),
            device: String::new(),
            refresh_hash: token.hash(),
            previous: None,
            created_at: Timestamp(0),
            used_at: Timestamp(0),
            expires_at: Timestamp(1_000_000),
            ended_at: None,
        }
    }

    fn rotated(mut session: Session, old: &RefreshToken, tokens: &RefreshTokens) -> Session {
        session.previous = Some((old.hash(), Timestamp(100)));
        session.refresh_hash = tokens.next(old).hash();
        session
    }

    #[test]
    fn a_token_reads_back_and_always_has_the_same_successor() {
        let tokens = RefreshTokens::new(b"key");
        let first = RefreshToken::first(SessionId::from_raw(9));
        let read = tokens.read(&tokens.write(&first)).expect("ours");
        assert_eq!(read, first);
        assert_eq!(tokens.next(&read), tokens.next(&first));
        assert_ne!(tokens.next(&first), first);
        assert_eq!(tokens.jti(&read), tokens.jti(&first));
    }

    #[test]
    fn a_token_that_was_never_ours_is_not_read() {
        let tokens = RefreshTokens::new(b"key");
        let first = RefreshToken::first(SessionId::from_raw(9));
        let text = tokens.write(&first);
        let other = RefreshTokens::new(b"other").write(&first);
        let moved = text.replacen("0000000000009", "0000000000008", 1);
        let changed = if text.ends_with('A') { 'Q' } else { 'A' };
        let tampered = format!("{}{changed}", &text[..text.len() - 1]);
        let shortened = &text[..text.len() - 4];
        for forged in ["", ".", "x.y", &other, &moved, &tampered, shortened] {
            assert_eq!(tokens.read(forged), None, "{forged}");
        }
    }

    #[test]
    fn the_token_in_force_is_replaced() {
        let first = RefreshToken::first(SessionId::from_raw(9));
        let verdict = judge(&session(&first), &first.hash(), Timestamp(5));
        assert_eq!(verdict, Verdict::Rotate);
    }

    #[test]
    fn a_token_just_used_may_be_repeated_for_30_seconds() {
        let tokens = RefreshTokens::new(b"key");
        let first = RefreshToken::first(SessionId::from_raw(9));
        let session = rotated(session(&first), &first, &tokens);
        let at = |ms| judge(&session, &first.hash(), Timestamp(ms));
        assert_eq!(at(100), Verdict::Repeat(Timestamp(100)));
        assert_eq!(at(30_100), Verdict::Repeat(Timestamp(100)));
        assert_eq!(at(30_101), Verdict::Reused);
    }

    #[test]
    fn a_token_used_longer_ago_ends_the_family() {
        let tokens = RefreshTokens::new(b"key");
        let first = RefreshToken::first(SessionId::from_raw(9));
        let second = tokens.next(&first);
        let session = rotated(rotated(session(&first), &first, &tokens), &second, &tokens);
        assert_eq!(judge(&session, &first.hash(), Timestamp(101)), Verdict::Reused);
    }

    #[test]
    fn an_ended_or_expired_session_says_no() {
        let first = RefreshToken::first(SessionId::from_raw(9));
        let mut session = session(&first);
        assert_eq!(judge(&session, &first.hash(), Timestamp(1_000_000)), Verdict::Over);
        session.ended_at = Some(Timestamp(1));
        assert_eq!(judge(&session, &first.hash(), Timestamp(5)), Verdict::Over);
    }

    #[test]
    fn debug_output_keeps_the_secret_to_itself() {
        let token = RefreshToken { sid: SessionId::from_raw(9), secret: [0xAB; 32] };
        assert!(!format!("{token:?}").contains("171"), "{token:?}");
    }
}
