//! The joiner's side: knock at each seed until one lets us in, or says why not.

use std::{net::SocketAddr, sync::Arc};

use hubbub_protocol::{codec, ids::NodeId};
use quinn::{ClientConfig, Connection, ConnectionId, Endpoint, crypto::rustls::QuicClientConfig};
use rustls::{client::Resumption, pki_types::CertificateDer, version::TLS13};
use tokio::time::{sleep, timeout};
use webpki::EndEntityCert;

use super::{
    answer::{JoinRefusal, Judged, Welcome},
    door::{self, ALPN, MARK},
    limits::{ANSWER_BYTES_MAX, ROUND_PAUSE, ROUNDS, SEED_TIMEOUT},
    proof,
    request::{Application, FORM, Knock},
    sealing::{SealingKey, random},
    token::{JoinToken, pin_of},
    verifier::{Pinned, at},
};
use crate::{
    control::{NewMember, Role},
    identity::{ClusterId, IdentityError, NodeKey, node_name, node_number},
    transport::{PeerFault, limits::CONNECT_TIMEOUT},
};

/// The name in the first message of TLS; a member shows its own whatever is asked for.
const SERVER_NAME: &str = "join.hubbub";
/// Bytes of a connection id after the mark.
const ID_REST: usize = 8;

/// Who wants to join.
#[derive(Debug)]
pub struct Applicant {
    /// Its key. Never sent.
    pub key: NodeKey,
    /// What it says of itself; the role and the key's hash are filled in.
    pub about: NewMember,
    /// The cluster whose database it has: no other is asked to let it in.
    pub cluster: ClusterId,
}

/// A node that has been admitted.
#[derive(Debug)]
pub struct Admitted {
    /// What it was given.
    pub welcome: Welcome,
    /// What unseals the authority's key, for a node that may vote.
    pub sealing: Option<SealingKey>,
}

/// Why a node did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The cluster says no.
    #[error(transparent)]
    Refused(#[from] JoinRefusal),
    /// The seed belongs to another cluster, or to none.
    #[error(
        "the node at {seed} belongs to another cluster than this token: use a token that its own cluster made, or \
         another --seed"
    )]
    OtherCluster {
        /// The seed.
        seed: String,
    },
    /// The seed belongs to another cluster than this node's database.
    #[error(
        "the node at {seed} belongs to another cluster than this node's database, which is that of {cluster}: set \
         `store.url` to the database that the node at {seed} has"
    )]
    OtherStore {
        /// The seed.
        seed: String,
        /// The database's cluster.
        cluster: ClusterId,
    },
    /// The name of the seed is not known, or is not written as `host:port`.
    #[error(
        "`{seed}` is no address that can be found: write --seed as host:port, with the port of `cluster.listen`"
    )]
    NoAddress {
        /// The seed.
        seed: String,
    },
    /// Nobody answers.
    #[error(
        "nothing answers at {seed}: is the node running, is the port that of `cluster.listen`, is UDP let through?"
    )]
    Silent {
        /// The seed.
        seed: String,
    },
    /// It speaks something else.
    #[error("the node at {seed} speaks another version of joining: install the release that the cluster runs")]
    OtherProtocol {
        /// The seed.
        seed: String,
    },
    /// Its certificate is out of date as this machine sees it.
    #[error("the certificate of the node at {seed} is out of date: compare the clocks of both machines")]
    Clock {
        /// The seed.
        seed: String,
    },
    /// The conversation broke off.
    #[error("the node at {seed} did not answer ({why}): try again, or another --seed")]
    Broken {
        /// The seed.
        seed: String,
        /// How.
        why: String,
    },
    /// What was answered does not belong to the cluster of the token, or not to this key.
    #[error("the node at {seed} answered with {what} that cannot be used: it is damaged or not to be trusted")]
    BadAnswer {
        /// The seed.
        seed: String,
        /// What of it.
        what: &'static str,
    },
    /// This machine cannot begin.
    #[error("cannot begin to join ({0})")]
    Begin(String),
    /// The key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl JoinError {
    /// Whether another round, or another seed, may help.
    const fn passes(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.passes(),
            Self::Silent { .. } | Self::Broken { .. } | Self::NoAddress { .. } => true,
            _ => false,
        }
    }
}

/// Joins the cluster of `token` by way of any of `seeds`. May be called again with the same key and data directory:
/// a node that was admitted, and did not hear it, is given the same number.
///
/// # Errors
/// [`JoinError`]: that of the last seed that was tried, or the first that settles the matter.
pub async fn join(token: &JoinToken, seeds: &[String], applicant: &Applicant) -> Result<Admitted, JoinError> {
    let application = Application {
        token: token.id(),
        request: applicant.key.request()?.to_vec(),
        about: NewMember { role: Role::Worker, key_sha256: applicant.key.sha256(), ..applicant.about.clone() },
    };
    let application = application.to_bytes().ok_or_else(|| JoinRefusal::Wrong("application".into()))?;
    let config = config(token)?;
    let mut last = JoinError::Begin("no --seed was given".into());
    for round in 0..ROUNDS {
        for seed in seeds {
            match try_seed(token, seed, &applicant.cluster, &config, &application).await {
                Ok(welcome) => return accept(token, seed, applicant, &application, welcome),
                Err(fault) if fault.passes() => last = fault,
                Err(fault) => return Err(fault),
            }
        }
        // A seed that nobody can find or that is silent stays so; an election ends.
        if !matches!(last, JoinError::Refused(_) | JoinError::Broken { .. }) || round + 1 == ROUNDS {
            break;
        }
        sleep(ROUND_PAUSE).await;
    }
    Err(last)
}

fn config(token: &JoinToken) -> Result<ClientConfig, JoinError> {
    let begin = |error: &dyn std::fmt::Display| JoinError::Begin(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Pinned::new(token.pin(), provider.clone()));
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| begin(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = Resumption::disabled();
    let tls = QuicClientConfig::try_from(tls).map_err(|error| begin(&error))?;
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(door::settings(SEED_TIMEOUT)));
    config.initial_dst_cid_provider(Arc::new(marked_id));
    Ok(config)
}

/// A connection id that tells the server that a joiner knocks.
fn marked_id() -> ConnectionId {
    let rest: [u8; ID_REST] = random();
    ConnectionId::new(&[MARK.as_slice(), &rest].concat())
}

async fn try_seed(
    token: &JoinToken,
    seed: &str,
    cluster: &ClusterId,
    config: &ClientConfig,
    application: &[u8],
) -> Result<Welcome, JoinError> {
    let none = || JoinError::NoAddress { seed: seed.to_owned() };
    let found: Vec<SocketAddr> = tokio::net::lookup_host(seed).await.map_err(|_| none())?.collect();
    let mut last = none();
    for address in found {
        let knocked = timeout(SEED_TIMEOUT, knock(token, seed, cluster, address, config, application)).await;
        match knocked.unwrap_or_else(|_| Err(JoinError::Silent { seed: seed.to_owned() })) {
            Err(fault) if fault.passes() => last = fault,
            settled => return settled,
        }
    }
    Err(last)
}

async fn knock(
    token: &JoinToken,
    seed: &str,
    cluster: &ClusterId,
    address: SocketAddr,
    config: &ClientConfig,
    application: &[u8],
) -> Result<Welcome, JoinError> {
    let broken = |why: String| JoinError::Broken { seed: seed.to_owned(), why };
    let local: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let endpoint = Endpoint::client(local).map_err(|error| JoinError::Begin(error.to_string()))?;
    let connecting = endpoint.connect_with(config.clone(), address, SERVER_NAME);
    let connecting = connecting.map_err(|error| broken(error.to_string()))?;
    let connected = timeout(CONNECT_TIMEOUT, connecting).await;
    let connection = connected
        .map_err(|_| JoinError::Silent { seed: seed.to_owned() })?
        .map_err(|error| fault(seed, error.into()))?;
    if !is_of(cluster, &connection) {
        connection.close(0_u32.into(), b"another cluster");
        return Err(JoinError::OtherStore { seed: seed.to_owned(), cluster: cluster.clone() });
    }
    let welcome = exchange(token, &connection, application).await;
    connection.close(0_u32.into(), b"heard");
    // The close is on its way when this returns; a joiner that is gone before costs the door a timeout.
    drop(timeout(CONNECT_TIMEOUT, endpoint.wait_idle()).await);
    match welcome {
        Ok(Judged(judged)) => Ok(judged?),
        Err(why) => Err(broken(why)),
    }
}

/// Whether the member at the other end is one of `cluster`, by the name that its certificate was judged by.
fn is_of(cluster: &ClusterId, connection: &Connection) -> bool {
    let shown = connection.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
    let leaf = shown.as_ref().and_then(|chain| EndEntityCert::try_from(chain.first()?).ok());
    let name = leaf.as_ref().and_then(|leaf| leaf.valid_dns_names().next());
    name.is_some_and(|name| node_number(name).is_some_and(|node| node_name(cluster, node) == name))
}

async fn exchange(token: &JoinToken, connection: &Connection, application: &[u8]) -> Result<Judged, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let channel = proof::channel(connection).ok_or("the channel cannot be named")?;
    let proof = proof::prove(&token.secret_sha256(), &channel, application);
    let knock = Knock { application: application.to_vec(), proof };
    let bytes = codec::encode::<{ door::KNOCK_BYTES_MAX }>(FORM, &knock).map_err(|error| text(&error))?;
    let (mut says, mut hears) = connection.open_bi().await.map_err(|error| text(&error))?;
    says.write_all(&bytes).await.map_err(|error| text(&error))?;
    says.finish().map_err(|error| text(&error))?;
    let answer = hears.read_to_end(ANSWER_BYTES_MAX).await.map_err(|error| text(&error))?;
    codec::decode::<ANSWER_BYTES_MAX, Judged>(FORM, &answer).map_err(|error| text(&error))
}

fn fault(seed: &str, fault: PeerFault) -> JoinError {
    let seed = seed.to_owned();
    match fault {
        PeerFault::Silent => JoinError::Silent { seed },
        PeerFault::OtherCluster { .. } | PeerFault::OtherNode { .. } => JoinError::OtherCluster { seed },
        PeerFault::Expired { .. } => JoinError::Clock { seed },
        PeerFault::OtherProtocol => JoinError::OtherProtocol { seed },
        other => JoinError::Broken { seed, why: other.to_string() },
    }
}

/// Looks at what was given before it is kept.
fn accept(
    token: &JoinToken,
    seed: &str,
    applicant: &Applicant,
    application: &[u8],
    welcome: Welcome,
) -> Result<Admitted, JoinError> {
    let bad = |what| JoinError::BadAnswer { seed: seed.to_owned(), what };
    let certificate = CertificateDer::from(welcome.certificate.clone());
    let roots: Vec<CertificateDer<'_>> = welcome.roots.iter().cloned().map(CertificateDer::from).collect();
    if !roots.iter().any(|root| pin_of(root) == Some(token.pin())) {
        return Err(bad("roots"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    Pinned::new(token.pin(), provider).judge(&certificate, &roots, at(now)).map_err(|_| bad("a certificate"))?;
    if welcome.node == NodeId(0) || !belongs(&certificate, applicant) {
        return Err(bad("a certificate"));
    }
    let digest = proof::digest(application);
    let unwrap = |wrapped: &Vec<u8>| SealingKey::unwrap_for(&token.secret_sha256(), &digest, wrapped);
    let sealing = welcome.wrapped_sealing_key.as_ref().map(|wrapped| unwrap(wrapped).ok_or_else(|| bad("a key")));
    Ok(Admitted { sealing: sealing.transpose()?, welcome })
}

/// Whether the certificate is for the applicant's key.
fn belongs(certificate: &CertificateDer<'_>, applicant: &Applicant) -> bool {
    let provider = rustls::crypto::ring::default_provider();
    let chain = vec![certificate.clone().into_owned()];
    rustls::sign::CertifiedKey::from_der(chain, applicant.key.for_tls(), &provider).is_ok()
}
