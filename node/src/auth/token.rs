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
        Caller { user: self.sub, sid: self.sid }
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
pub fn verify(token: &str, keys: &Keys, issuer: &str, audience: &str) -> Result<Claims, TokenRefused> {
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
    decode::<Claims>(token, &key.verifies, &rules).map(|token| token.claims).map_err(|_| TokenRefused::Invalid)
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

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use jsonwebtoken::EncodingKey;
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn keys() -> &'static Keys {
        static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::of_seeds([1, 2, 3]));
        &KEYS
    }

    fn claims() -> Claims {
        Claims {
            iss: "hubbub".to_owned(),
            aud: "hubbub".to_owned(),
            sub: UserId::from_raw(1),
            exp: 1_800_000_900,
            iat: 1_800_000_000,
            jti: "one".to_owned(),
            sid: SessionId::from_raw(2),
        }
    }

    fn check(token: &str) -> Result<Claims, TokenRefused> {
        verify(token, keys(), "hubbub", "hubbub")
    }

    fn part(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    /// Signs any header and claims with the key in force.
    fn signed(header: &Header, claims: &Value) -> String {
        encode(header, claims, &keys().current().signs).expect("the key works")
    }

    fn header() -> Header {
        let token = sign(&claims(), keys().current()).expect("the key works");
        decode_header(token).expect("our own header")
    }

    fn plain_claims() -> Value {
        serde_json::to_value(claims()).expect("plain data")
    }

    #[test]
    fn a_token_of_any_key_in_force_is_accepted() {
        for key in [1, 2, 3] {
            let key = SigningKey::from_seed(&[key; 32]).expect("a seed");
            let token = sign(&claims(), &key).expect("the key works");
            assert_eq!(check(&token), Ok(claims()));
        }
    }

    #[test]
    fn a_token_without_a_signature_is_refused() {
        let kid = keys().current().kid.clone();
        for alg in ["none", "None", "nOnE", ""] {
            let header = part(&json!({"typ": TYPE, "alg": alg, "kid": kid}));
            let unsigned = format!("{header}.{}.", part(&plain_claims()));
            assert_eq!(check(&unsigned), Err(TokenRefused::Invalid), "{alg}");
        }
        let token = signed(&header(), &plain_claims());
        let (head, _) = token.rsplit_once('.').expect("three parts");
        assert_eq!(check(&format!("{head}.")), Err(TokenRefused::Invalid));
        assert_eq!(check(head), Err(TokenRefused::Invalid));
    }

    #[test]
    fn a_token_signed_by_hmac_with_the_public_key_is_refused() {
        let jwks = serde_json::to_value(keys().jwks()).expect("plain data");
        let x = jwks["keys"][1]["x"].as_str().expect("a public key");
        let raw = URL_SAFE_NO_PAD.decode(x).expect("base64");
        for secret in [raw.as_slice(), x.as_bytes()] {
            let forged = Header { alg: Algorithm::HS256, ..header() };
            let key = EncodingKey::from_secret(secret);
            let token = encode(&forged, &claims(), &key).expect("HMAC takes any key");
            assert_eq!(check(&token), Err(TokenRefused::Invalid));
        }
    }

    #[test]
    fn a_token_of_a_key_that_is_not_ours_is_refused() {
        let other = SigningKey::from_seed(&[9; 32]).expect("a seed");
        let token = sign(&claims(), &other).expect("the key works");
        assert_eq!(check(&token), Err(TokenRefused::Invalid));
        let ours = keys().current().kid.clone();
        let mut named = other;
        named.kid = ours;
        let token = sign(&claims(), &named).expect("the key works");
        assert_eq!(check(&token), Err(TokenRefused::Invalid));
        for kid in [None, Some("../../etc/passwd"), Some("' OR 1=1 --"), Some("")] {
            let header = Header { kid: kid.map(str::to_owned), ..header() };
            let token = signed(&header, &plain_claims());
            assert_eq!(check(&token), Err(TokenRefused::Invalid), "{kid:?}");
        }
    }

    #[test]
    fn a_token_that_brings_its_own_key_or_is_of_another_type_is_refused() {
        let elsewhere = Some("https://example.org/keys".to_owned());
        let jwk = serde_json::to_value(keys().jwks()).expect("plain data")["keys"][1].clone();
        let headers = [
            Header { jku: elsewhere.clone(), ..header() },
            Header { x5u: elsewhere, ..header() },
            Header { jwk: serde_json::from_value(jwk).expect("a key"), ..header() },
            Header { typ: Some("JWT".to_owned()), ..header() },
            Header { typ: None, ..header() },
        ];
        for header in headers {
            let token = signed(&header, &plain_claims());
            assert_eq!(check(&token), Err(TokenRefused::Invalid), "{header:?}");
        }
    }

    #[test]
    fn a_token_for_another_installation_or_with_a_claim_missing_is_refused() {
        for (claim, value) in [("iss", "elsewhere"), ("aud", "elsewhere"), ("sub", "nobody")] {
            let mut claims = plain_claims();
            claims[claim] = json!(value);
            let token = signed(&header(), &claims);
            assert_eq!(check(&token), Err(TokenRefused::Invalid), "{claim}");
        }
        for claim in ["iss", "aud", "sub", "exp", "iat", "jti", "sid"] {
            let mut claims = plain_claims();
            claims.as_object_mut().expect("an object").remove(claim);
            let token = signed(&header(), &claims);
            assert_eq!(check(&token), Err(TokenRefused::Invalid), "{claim}");
        }
    }

    #[test]
    fn a_token_that_was_cut_or_changed_is_refused() {
        let token = signed(&header(), &plain_claims());
        for end in 0..token.len() {
            assert_eq!(check(&token[..end]), Err(TokenRefused::Invalid), "{end}");
        }
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'B' { b'C' } else { b'B' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            // The last character of base64 has bits that mean nothing; the decoder wants them 0.
            assert_eq!(check(&changed), Err(TokenRefused::Invalid), "{at}");
        }
        let long = format!("{token}{}", "A".repeat(TOKEN_BYTES_MAX));
        for garbage in ["", ".", "..", "a.b.c", "\u{0}", "😀.😀.😀", &long] {
            assert_eq!(check(garbage), Err(TokenRefused::Invalid));
        }
    }

    #[test]
    fn a_token_ends_to_the_second_and_does_not_come_from_the_future() {
        let claims = claims();
        let at = |s: i64| in_time(&claims, Timestamp(s * 1_000));
        assert_eq!(in_time(&claims, NOW), Ok(()));
        assert_eq!(at(1_800_000_899), Ok(()));
        assert_eq!(at(1_800_000_900), Err(TokenRefused::Expired));
        assert_eq!(at(1_799_999_970), Ok(()), "a clock 30 s behind");
        assert_eq!(at(1_799_999_969), Err(TokenRefused::Invalid));
    }
}
