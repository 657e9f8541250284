//! Who a node is: a certificate of the cluster's own authority, that names the node and the cluster.
//!
//! [`Authority`] signs; [`Credentials`] are what one node shows; [`Trust`] is what it believes of others. A node's
//! name is `n<id>.<cluster>.hubbub`, and its certificate carries that name alone.
//!
//! # Invariants
//!
//! * Both ends of a connection show a certificate of a trusted root; TLS 1.3 only, no resumption and no early data:
//!   a resumed session would skip the look at the certificate, and with it the revocation.
//! * A dialled node must carry the name that was dialled.
//! * A revoked node is refused at its next handshake; its open connections are the transport's to close.

mod ca;
mod key;
mod name;
mod tls;
mod trust;
mod validity;

pub use ca::{Authority, CERTIFICATE_VALID, Credentials, IdentityError, ROOT_VALID};
pub use key::{NodeKey, requested_key};
pub use name::{ClusterId, NotAClusterId, node_name, node_number};
pub use tls::{ALPN_BULK, ALPN_NODE, Presented};
pub(crate) use tls::{client, server};
pub use trust::Trust;
pub use validity::validity;
