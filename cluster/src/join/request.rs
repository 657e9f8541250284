//! What a joiner sends, and what the member at the door adds to it.

use hubbub_protocol::codec;
use serde::{Deserialize, Serialize};

use super::limits::APPLICATION_BYTES_MAX;
use crate::control::{NewMember, TokenId};

/// The form of applications; the ALPN grows with it.
pub(super) const FORM: u8 = 1;

/// What a joiner says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// The token's public half.
    pub token: TokenId,
    /// A request to sign the joiner's key, DER.
    pub request: Vec<u8>,
    /// The member to be. Its role is the token's to give.
    pub about: NewMember,
}

impl Application {
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        codec::encode::<APPLICATION_BYTES_MAX>(FORM, self).ok()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        codec::decode::<APPLICATION_BYTES_MAX, Self>(FORM, bytes).ok()
    }
}

/// What comes over the joiner's stream: the bytes of an [`Application`], so that the proof is over bytes, and the
/// proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Knock {
    pub(super) application: Vec<u8>,
    pub(super) proof: Vec<u8>,
}

/// A knock as the leader's desk hears of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Knocked {
    pub(super) knock: Knock,
    /// What names the channel between the joiner and the door.
    pub(super) channel: [u8; 32],
}

/// A member's request to sign its key again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RenewalWanted {
    pub(super) request: Vec<u8>,
}

/// A wish to see the tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TokensWanted;

/// The kinds that the desk takes: from the first, below the last.
pub(super) const DESK_KINDS: std::ops::Range<u16> = 60..70;

macro_rules! kinds {
    ($($name:ident = $kind:literal,)+) => {
        $(impl hubbub_protocol::peer::PeerMessage for $name { const KIND: u16 = $kind; })+
    };
}
pub(super) use kinds;

kinds! {
    Knocked = 60,
    RenewalWanted = 62,
    TokensWanted = 64,
}
