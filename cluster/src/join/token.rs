//! The text that lets a node join: `hub1.<pin>.<id>.<secret>`.
//!
//! The pin is the SHA-256 of the root's public key: the joiner believes that root and no other. The secret is 256
//! random bits that the cluster keeps as a hash.

use std::{fmt, str::FromStr};

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use super::{
    base32::{decode, encode},
    sealing::random,
};
use crate::control::TokenId;

/// What every token of this form begins with.
const FORM: &str = "hub1";

/// A join token, whole: a secret. `Debug` masks it, `Display` does not.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    pin: [u8; 32],
    id: TokenId,
    secret: [u8; 32],
}

/// Text that is not a [`JoinToken`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAToken {
    /// Of a later form.
    #[error("this token is of a form that this program does not know: install the release that the cluster runs")]
    Form,
    /// Cut short, mistyped, or something else.
    #[error(
        "this is no join token: copy the whole line that `hubbub token create` printed, it begins with `hub1.`"
    )]
    Text,
}

impl JoinToken {
    /// A new token of the cluster whose root is pinned by `pin`, with a secret of its own.
    #[must_use]
    pub fn new(pin: [u8; 32]) -> Self {
        Self { pin, id: TokenId(u128::from_be_bytes(random())), secret: random() }
    }

    /// See [`pin_of`].
    #[must_use]
    pub const fn pin(&self) -> [u8; 32] {
        self.pin
    }

    /// The public half.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// What the cluster keeps of the secret, and the key of proofs: secret itself.
    #[must_use]
    pub fn secret_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }
}

/// SHA-256 of the public key of `root`: what tokens of its cluster begin with. `None` when it cannot be read.
#[must_use]
pub fn pin_of(root: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let anchor = webpki::anchor_from_trusted_cert(root).ok()?;
    // The anchor has the inside of the SubjectPublicKeyInfo; the pin is over the whole of it.
    let inside = anchor.subject_public_key_info.as_ref();
    let length = u8::try_from(inside.len()).ok().filter(|length| *length < 0x80)?;
    let mut hash = Sha256::new();
    hash.update([0x30, length]);
    hash.update(inside);
    Some(hash.finalize().into())
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pin, id, secret } = self;
        write!(f, "{FORM}.{}.{}.{}", encode(pin), encode(&id.0.to_be_bytes()), encode(secret))
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken({FORM}.{}.{}.***)", encode(&self.pin), encode(&self.id.0.to_be_bytes()))
    }
}

impl FromStr for JoinToken {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let mut parts = text.trim().split('.');
        match parts.next() {
            Some(FORM) => {}
            Some(form) if form.strip_prefix("hub").is_some_and(|n| n.parse::<u32>().is_ok()) => {
                return Err(NotAToken::Form);
            }
            _ => return Err(NotAToken::Text),
        }
        let (Some(pin), Some(id), Some(secret), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAToken::Text);
        };
        let token = || {
            Some(Self { pin: decode(pin)?, id: TokenId(u128::from_be_bytes(decode(id)?)), secret: decode(secret)? })
        };
        token().ok_or(NotAToken::Text)
    }
}

/// How a token's id is written in lists, and on the command line that drops it.
impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.0.to_be_bytes()))
    }
}

impl FromStr for TokenId {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        decode(text).map(u128::from_be_bytes).map(Self).ok_or(NotAToken::Text)
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::identity::Authority;

    #[test]
    fn a_token_is_read_as_it_was_printed_and_shown_without_its_secret() {
        let token = JoinToken::new([7; 32]);
        let text = token.to_string();
        assert_eq!(text.parse(), Ok(token.clone()));
        assert_eq!(format!(" {text}\n").parse(), Ok(token.clone()));
        let secret = text.rsplit('.').next().expect("the last part");
        assert!(!format!("{token:?}").contains(secret), "{token:?}");
        assert_eq!(token.id().to_string().parse(), Ok(token.id()));
    }

    #[test]
    fn what_is_no_token_says_which_line_to_copy() {
        let text = JoinToken::new([7; 32]).to_string();
        for other in ["", "hub1", &text[..text.len() - 1], &format!("{text}.a"), &text.to_uppercase(), "a.b.c.d"] {
            assert_eq!(other.parse::<JoinToken>(), Err(NotAToken::Text), "{other}");
        }
        assert_eq!(text.replacen("hub1", "hub2", 1).parse::<JoinToken>(), Err(NotAToken::Form));
    }

    #[test]
    fn the_pin_of_a_root_is_that_of_its_authority() {
        let authority = Authority::new("c1".parse().expect("plain"), OffsetDateTime::now_utc()).expect("made");
        assert_eq!(pin_of(authority.root()), Some(authority.pin()));
    }
}
