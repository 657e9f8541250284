//! How a node becomes a member: it shows that it knows a token's secret, and is given a number and a certificate.
//!
//! The token carries the pin of the cluster's root, so the joiner knows whom it talks to before it says anything. It
//! knocks at the [door](Desk) of any member, on the port that nodes use, and sends an [`Application`] with a proof:
//! an HMAC over the application and over what names this one TLS channel, keyed with the hash of the secret. The
//! member hands both to the leader's desk, which checks them, lets the cluster agree on the join, and signs the
//! joiner's own key.
//!
//! # Invariants
//!
//! * The secret and the joiner's key never travel; a proof is good on the channel it was made for, for the
//!   application it was made for, and nowhere else.
//! * Whoever knocks with a wrong token is told one sentence, whatever is wrong with the token.
//! * The key that unseals the authority's key goes to nodes that may vote, wrapped so that the member in between
//!   cannot read it. A worker is never sent it.
//! * A repeat with the same key from the same data directory is answered with the same number, used token or not.
//! * Knocking costs the cluster no more than [`limits`] say, and takes nothing from the links between nodes.
//!
//! # Failure
//!
//! What goes wrong is a [`JoinRefusal`] of the cluster or a [`JoinError`] of the joiner: one sentence with a remedy.

mod answer;
mod base32;
mod client;
mod council;
mod desk;
mod door;
mod inbox;
pub mod limits;
mod over_cluster;
#[cfg(any(test, feature = "probe"))]
pub(crate) mod probe;
mod proof;
pub mod renewal;
mod request;
mod sealing;
mod token;
mod verifier;

pub use answer::{JoinRefusal, Welcome};
pub use base32::cluster_id;
pub use client::{Admitted, Applicant, JoinError, join};
pub use council::Council;
pub use desk::{Desk, DeskParts, TokenFacts};
pub use inbox::DeskInbox;
pub use renewal::Renewal;
pub use request::Application;
pub use sealing::{SealingKey, Unsealed};
pub use token::{JoinToken, NotAToken, pin_of};

pub(crate) use door::{Door, knocks};
