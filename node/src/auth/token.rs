//! Access tokens: short-lived JWTs, signed with the keys of [`super::keys`].
//!
//! # Invariants
//!
//! * The algorithm is that of the key the token names, EdDSA; what the token claims as its `alg`
//!   can only make it invalid. Headers that point to keys elsewhere are refused.
//! * A token without one of `iss`, `aud`, `sub`, `exp`, `jti`, `sid` is refused.
//! * A token is never accepted after its `exp`, to the second.
//!
//! Whether the session still stands is asked elsewhere ([`super::standing`]).

use hubbub_actors::caller::Caller;
use hubbub_protocol::{
    ids::{SessionId, UserId},
    time::Timestamp,
};
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode, errors::Error};
use serde::{Deserialize, Serialize};

use super::keys::{Keys, SigningKey};

/// `typ` of our access tokens (RFC 9068), so that no other JWT is taken for one.
const TYPE: &str = "at+jwt";
/// How far in the future a token may have been issued: the clocks of two nodes differ by less.
const ISSUED_AHEAD_S_MAX: i64 = 30;
/// Longest token looked at, in bytes; ours have about 400.
pub const TOKEN_BYTES_MAX: usize = 4_096;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// For whom.
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: i64,
    /// When it was issued, likewise.
    pub iat: i64,
    /// Its own number.
    pub jti: String,
    /// The signed-in device.
    pub sid: SessionId,
}

impl Claims {
    /// Who asks.
    #[must_use]
    pub const fn caller(&self) -> Caller {
        Caller {
            user: self.sub,
            sid: self.sid,
        }
    }

    /// When the token ends.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        Timestamp(self.exp.saturating_mul(1_000))
    }
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// It is none of ours, or was tampered with.
    #[error("the token is not valid")]
    Invalid,
    /// It was ours, and its time is over.
    #[error("the token has expired")]
    Expired,
}

/// Signs `claims`.
///
/// # Errors
/// When the key does not work.
pub fn sign(claims: &Claims, key: &SigningKey) -> Result<String, Error> {
    let header = Header {
        typ: Some(TYPE.to_owned()),
        alg: Algorithm::EdDSA,
        kid: Some(key.kid.clone()),
        ..Header::default()
    };
    encode(&header, claims, &key.signs)
}

/// Whether a header asks for nothing unusual.
fn plain(header: &Header) -> bool {
    header.alg == Algorithm::EdDSA
        && header.typ.as_deref() == Some(TYPE)
        && header.jku.is_none()
        && header.jwk.is_none()
        && header.x5u.is_none()
        && header.x5c.is_none()
}

/// Reads the claims of a token that one of `keys` signed for `issuer` and `audience`.
/// Its times are left to [`in_time`].
///
/// # Errors
/// [`TokenRefused::Invalid`].
pub fn verify(
    token: &str,
    keys: &Keys,
    issuer: &str,
    audience: &str,
) -> Result<Claims, TokenRefused> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenRefused::Invalid);
    }
    let header = decode_header(token).map_err(|_| TokenRefused::Invalid)?;
    let kid = header.kid.as_deref().ok_or(TokenRefused::Invalid)?;
    let key = keys.find(kid).ok_or(TokenRefused::Invalid)?;
    if !plain(&header) {
        return Err(TokenRefused::Invalid);
    }
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_issuer(&[issuer]);
    rules.set_audience(&[audience]);
    rules.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    rules.validate_exp = false;
    decode::<Claims>(token, &key.verifies, &rules)
        .map(|token| token.claims)
        .map_err(|_| TokenRefused::Invalid)
}

/// Checks the times of verified claims.
///
/// # Errors
/// [`TokenRefused::Expired`] once `exp` is reached, [`TokenRefused::Invalid`] for a token of the
/// future.
pub fn in_time(claims: &Claims, now: Timestamp) -> Result<(), TokenRefused> {
    let now_s = now.0.div_euclid(1_000);
    if claims.iat > now_s + ISSUED_AHEAD_S_MAX {
        Err(TokenRefused::Invalid)
    } else if claims.exp <= now_s {
        Err(TokenRefused::Expired)
    } else {
        Ok(())
    }
}
