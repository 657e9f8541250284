//! What a data directory says of this node's membership: written once by `init` or `join`, read by every `serve`.
//!
//! Everything stands in `cluster/` below the data directory: `node.json` (who the node is), `key.pem`,
//! `certificate.pem`, `roots.pem`, `sealing.key` (only of a node that may vote), `founding.json` (only of a founder
//! that has not served yet), `place` (what tells a copy from the original) and `raft/`. Without `node.json` the node
//! is no member.
//!
//! # Invariants
//!
//! * A file that holds a secret is this user's alone, mode 0600, and each file is replaced whole: written beside,
//!   synced, renamed.
//! * `node.json` is written last: a directory is a member's whole or not at all.
//! * A copy of a member's directory does not start: two processes under one number would be two halves of a node.
//!
//! # Failure
//!
//! One sentence, with the remedy, as a [`Failure`].

mod files;
mod founding;
mod place;
mod renewed;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hubbub_cluster::{
    control::{NewMember, Role, VersionRange},
    identity::{ClusterId, Credentials, NodeKey, Trust},
    join::{SealingKey, cluster_id},
};
use hubbub_protocol::ids::NodeId;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

pub use founding::{FirstToken, FoundingFile};
pub use place::Place;

use crate::{
    cli::failure::Failure,
    config::{ClusterSettings, StoreConfig},
    datadir::DataDir,
    store::EMBEDDED,
};

/// The formats between nodes that this program speaks.
pub const FORMATS: VersionRange = VersionRange { min: 1, max: 1 };
/// The form of `node.json`.
const FORM: u32 = 1;

const NODE: &str = "node.json";
const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const ROOTS: &str = "roots.pem";
const SEALING: &str = "sealing.key";
const RAFT: &str = "raft";

const PEM_KEY: &str = "PRIVATE KEY";
const PEM_CERTIFICATE: &str = "CERTIFICATE";

/// Where everything of the cluster stands, below the data directory `data`.
#[must_use]
pub fn directory(data: &Path) -> PathBuf {
    data.join("cluster")
}

/// `node.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct NodeFile {
    form: u32,
    node: NodeId,
    cluster: String,
    name: String,
    zone: String,
    region: String,
    capacity: u32,
    role: Role,
    addresses: Vec<String>,
    election_slot: u8,
    id_slot: u16,
    shard_bits: u8,
    data_dir: String,
    inode: u64,
    seeds: Vec<(NodeId, Vec<String>)>,
}

/// A node's membership, as its data directory tells it.
#[derive(Debug)]
pub struct Membership {
    /// The node's number.
    pub node: NodeId,
    /// The cluster's number.
    pub cluster: u128,
    /// The same, as it stands in certificates.
    pub cluster_id: ClusterId,
    /// See [`Member::election_slot`](hubbub_cluster::control::Member::election_slot).
    pub election_slot: u8,
    /// See [`Member::id_slot`](hubbub_cluster::control::Member::id_slot).
    pub id_slot: u16,
    /// What it may become.
    pub role: Role,
    /// Its name among the members.
    pub name: String,
    /// Its failure zone; empty when there is only one.
    pub zone: String,
    /// Its region; empty when there is only one.
    pub region: String,
    /// Its share of the work.
    pub capacity: u32,
    /// Where other nodes reach it, as it said when it joined.
    pub addresses: Vec<String>,
    /// How many shards the cluster has, as bits.
    pub shard_bits: u8,
    /// The number in its data directory.
    pub data_dir: u128,
    /// The roots it believes.
    pub roots: Vec<CertificateDer<'static>>,
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    /// What unseals the authority's key, on a node that may vote.
    pub sealing: Option<SealingKey>,
    /// Members to begin with.
    pub seeds: Vec<(NodeId, Vec<String>)>,
    /// What the founder founds when it first serves.
    pub founding: Option<FoundingFile>,
    key: NodeKey,
    directory: PathBuf,
}

impl Membership {
    /// Reads what `data` says; `None` when it is not that of a member.
    ///
    /// # Errors
    /// [`Failure::Damaged`] for files that are missing or cannot be read, [`Failure::Conflict`] for a copy.
    pub fn load(data: &DataDir) -> Result<Option<Self>, Failure> {
        let directory = directory(data.path());
        let Some(text) = files::read_text(&directory.join(NODE))? else { return Ok(None) };
        let damaged = || files::damaged(&directory.join(NODE));
        let file: NodeFile = serde_json::from_str(&text).map_err(|_| damaged())?;
        if file.form > FORM {
            return Err(Failure::Damaged(format!(
                "{} was written by a newer version of Hubbub: start that version",
                directory.join(NODE).display()
            )));
        }
        let number = |text: &str| u128::from_str_radix(text, 16).map_err(|_| damaged());
        let (cluster, data_dir) = (number(&file.cluster)?, number(&file.data_dir)?);
        Place { data_dir, inode: file.inode }.check(data.path())?;
        let key = files::read_pem(&directory.join(KEY), PEM_KEY)?;
        let key = key.first().and_then(|key| NodeKey::from_pkcs8(key).ok());
        let certificate = files::read_pem(&directory.join(CERTIFICATE), PEM_CERTIFICATE)?.into_iter().next();
        let roots = files::read_pem(&directory.join(ROOTS), PEM_CERTIFICATE)?;
        Ok(Some(Self {
            node: file.node,
            cluster,
            cluster_id: cluster_id(cluster),
            election_slot: file.election_slot,
            id_slot: file.id_slot,
            role: file.role,
            name: file.name,
            zone: file.zone,
            region: file.region,
            capacity: file.capacity,
            addresses: file.addresses,
            shard_bits: file.shard_bits,
            data_dir,
            roots: roots.into_iter().map(CertificateDer::from).collect(),
            certificate: certificate.ok_or_else(|| files::damaged(&directory.join(CERTIFICATE)))?.into(),
            sealing: sealing(&directory)?,
            seeds: file.seeds,
            founding: FoundingFile::read(&directory)?,
            key: key.ok_or_else(|| files::damaged(&directory.join(KEY)))?,
            directory,
        }))
    }

    /// Where the Raft log of this node is; made when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn raft_dir(&self) -> Result<PathBuf, Failure> {
        let raft = self.directory.join(RAFT);
        files::make_directory(&raft)?;
        Ok(raft)
    }

    /// What the node shows to others.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        Credentials { certificate: self.certificate.clone(), key: self.key.for_tls() }
    }

    /// The node's key.
    ///
    /// # Errors
    /// Never for a key that was read; the library says so only when asked.
    pub fn key(&self) -> Result<NodeKey, Failure> {
        NodeKey::from_pkcs8(&self.key.to_pkcs8()).map_err(|error| Failure::Failed(error.to_string()))
    }

    /// What it believes of others.
    ///
    /// # Errors
    /// [`Failure::Damaged`]: the roots cannot be read.
    pub fn trust(&self) -> Result<Arc<Trust>, Failure> {
        Trust::new(self.cluster_id.clone(), &self.roots).map_err(|_| files::damaged(&self.directory.join(ROOTS)))
    }

    /// Where other nodes reach it: what the configuration says now, else what was said when it joined.
    #[must_use]
    pub fn advertised(&self, config: &ClusterSettings) -> Vec<String> {
        if config.advertise.is_empty() { self.addresses.clone() } else { vec![config.advertise.clone()] }
    }

    /// What the founder says of itself.
    #[must_use]
    pub fn about(&self) -> NewMember {
        NewMember {
            name: self.name.clone(),
            addresses: self.addresses.clone(),
            zone: self.zone.clone(),
            region: self.region.clone(),
            capacity: self.capacity,
            role: self.role,
            versions: FORMATS,
            key_sha256: self.key.sha256(),
            data_dir: self.data_dir,
        }
    }

    /// Something that keeps a renewed certificate.
    pub fn keeper(&self) -> impl Fn(&CertificateDer<'static>) -> std::io::Result<()> + Send + Sync + use<> {
        let path = self.directory.join(CERTIFICATE);
        move |certificate| files::write_private(&path, files::to_pem(PEM_CERTIFICATE, &[certificate]).as_bytes())
    }

    /// Notes that the cluster was founded: it is not founded again.
    ///
    /// # Errors
    /// When the file stays.
    pub fn founded(&self) -> Result<(), Failure> {
        FoundingFile::remove(&self.directory)
    }
}

fn sealing(directory: &Path) -> Result<Option<SealingKey>, Failure> {
    let path = directory.join(SEALING);
    let Some(text) = files::read_text(&path)? else { return Ok(None) };
    files::from_hex(text.trim()).map(SealingKey::from_bytes).map(Some).ok_or_else(|| files::damaged(&path))
}

/// The certificate and the roots that stand on disk below `data` now, as far as they can be read: a renewal replaces
/// the certificate while the node runs.
#[must_use]
pub fn certificates(data: &Path) -> (Option<CertificateDer<'static>>, Vec<CertificateDer<'static>>) {
    let directory = directory(data);
    let read = |name: &str| files::read_pem(&directory.join(name), PEM_CERTIFICATE).unwrap_or_default();
    let roots = read(ROOTS).into_iter().map(CertificateDer::from).collect();
    (read(CERTIFICATE).into_iter().next().map(CertificateDer::from), roots)
}

/// Refuses to do `what` with the embedded store: a member's rooms move to other nodes, and its store cannot.
///
/// # Errors
/// [`Failure::Refused`], with the command that moves the data.
pub fn needs_database(data: &Path, config: &StoreConfig, what: &str) -> Result<(), Failure> {
    if config.url != EMBEDDED {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "a node with the embedded store cannot {what}, since nodes share one PostgreSQL database: move the data with \
         `hubbub --data-dir {} store migrate --from sqlite --to postgres://USER:PASSWORD@HOST:PORT/DATABASE`, then set \
         `store.url` to that",
        data.display()
    )))
}

/// A membership about to be written.
#[derive(Debug)]
pub struct NewMembership<'a> {
    /// The node's number.
    pub node: NodeId,
    /// The cluster's number.
    pub cluster: u128,
    /// What the node said of itself, and what it may become.
    pub about: &'a NewMember,
    /// Its slots.
    pub election_slot: u8,
    /// See [`Membership::id_slot`].
    pub id_slot: u16,
    /// See [`Membership::shard_bits`].
    pub shard_bits: u8,
    /// Its certificate, DER.
    pub certificate: &'a [u8],
    /// The roots, DER.
    pub roots: &'a [Vec<u8>],
    /// Only of a node that may vote.
    pub sealing: Option<&'a SealingKey>,
    /// Members to begin with.
    pub seeds: &'a [(NodeId, Vec<String>)],
    /// Only of a founder.
    pub founding: Option<&'a FoundingFile>,
}

impl NewMembership<'_> {
    /// Writes it below `data`, where the key already is; `node.json` last.
    ///
    /// # Errors
    /// What could not be written.
    pub fn write(&self, data: &DataDir, place: &Place) -> Result<(), Failure> {
        let directory = directory(data.path());
        let write = |name: &str, bytes: &[u8]| {
            let path = directory.join(name);
            files::write_private(&path, bytes).map_err(|error| files::unwritten(&path, &error))
        };
        write(CERTIFICATE, files::to_pem(PEM_CERTIFICATE, &[self.certificate]).as_bytes())?;
        write(ROOTS, files::to_pem(PEM_CERTIFICATE, self.roots).as_bytes())?;
        if let Some(sealing) = self.sealing {
            write(SEALING, format!("{}\n", files::to_hex(&sealing.to_bytes())).as_bytes())?;
        }
        if let Some(founding) = self.founding {
            founding.write(&directory)?;
        }
        let file = NodeFile {
            form: FORM,
            node: self.node,
            cluster: format!("{:032x}", self.cluster),
            name: self.about.name.clone(),
            zone: self.about.zone.clone(),
            region: self.about.region.clone(),
            capacity: self.about.capacity,
            role: self.about.role,
            addresses: self.about.addresses.clone(),
            election_slot: self.election_slot,
            id_slot: self.id_slot,
            shard_bits: self.shard_bits,
            data_dir: format!("{:032x}", place.data_dir),
            inode: place.inode,
            seeds: self.seeds.to_vec(),
        };
        let text = serde_json::to_string_pretty(&file).map_err(|error| Failure::Failed(error.to_string()))?;
        write(NODE, format!("{text}\n").as_bytes())
    }
}

/// Whether `data` is that of no member, so that it can become one's.
///
/// # Errors
/// [`Failure::Conflict`] when it is a member's already.
pub fn pristine(data: &DataDir) -> Result<(), Failure> {
    let Some(text) = files::read_text(&directory(data.path()).join(NODE))? else { return Ok(()) };
    let file: Option<NodeFile> = serde_json::from_str(&text).ok();
    let who = file.map_or_else(String::new, |file| format!(" (node {} `{}`)", file.node, file.name));
    Err(Failure::Conflict(format!(
        "the data directory {} is that of a member{who} already: `hubbub serve` runs it; choose an empty \
         --data-dir for another node",
        data.path().display()
    )))
}

/// The key of a node that is about to join, and the number of its directory: made once, and used again by a retry.
///
/// # Errors
/// [`Failure::Conflict`] when the directory is a member's already.
pub fn begin(data: &DataDir) -> Result<(NodeKey, Place), Failure> {
    pristine(data)?;
    again(data)
}

/// The same of a node that joins once more.
///
/// # Errors
/// What cannot be read or written.
pub fn again(data: &DataDir) -> Result<(NodeKey, Place), Failure> {
    let directory = directory(data.path());
    files::make_directory(&directory)?;
    let place = Place::make(data.path())?;
    let path = directory.join(KEY);
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    if path.exists() {
        let kept = files::read_pem(&path, PEM_KEY)?;
        let key = kept.first().and_then(|key| NodeKey::from_pkcs8(key).ok());
        return Ok((key.ok_or_else(|| files::damaged(&path))?, place));
    }
    let key = NodeKey::new().map_err(|error| failed(&error))?;
    files::write_private(&path, files::to_pem(PEM_KEY, &[key.to_pkcs8()]).as_bytes())
        .map_err(|error| files::unwritten(&path, &error))?;
    Ok((key, place))
}

#[cfg(test)]
mod tests;
