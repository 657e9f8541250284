//! `hubbub init` and `hubbub join`: found a cluster with this node, or make this node a member of one.
//!
//! Both write the data directory of a node that does not run; `hubbub serve` runs it as a member from then on.

use std::{net::SocketAddr, path::Path, time::Duration};

use clap::Args;
use hubbub_cluster::{
    control::{NewMember, Role, member::FOUNDER},
    identity::{Authority, ClusterId},
    join::{Admitted, Applicant, JoinError, JoinRefusal, JoinToken, SealingKey, cluster_id, join},
};
use hubbub_protocol::ports::Clock as _;
use serde_json::json;
use time::OffsetDateTime;

use super::{failure::Failure, output};
use crate::{
    belonging,
    clock::SystemClock,
    config::{ClusterSettings, NodeConfig},
    datadir::DataDir,
    membership::{self, FORMATS, FirstToken, FoundingFile, Membership, NewMembership, Place},
    store,
};

/// How long the first token is good for: the first nodes are set up on the day the cluster is.
const FIRST_TOKEN_TTL: Duration = Duration::from_hours(24);
/// How many nodes the first token admits: enough for seven voters, the most there can be.
const FIRST_TOKEN_USES: u32 = 6;
/// The founder's place among the slots.
const FOUNDER_SLOTS: (u8, u16) = (0, 1);

/// How a node appears to the others. Each goes ahead of its key in the configuration.
#[derive(Debug, Clone, Args)]
pub struct Appearance {
    /// The node's name among the members [default: the name of this machine].
    #[arg(long)]
    pub name: Option<String>,
    /// What fails together with this node: a rack, a zone.
    #[arg(long)]
    pub zone: Option<String>,
    /// Where other nodes reach this one, as HOST:PORT [default: cluster.listen].
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// How the node appears.
    #[command(flatten)]
    pub appearance: Appearance,
    /// The cluster that the database belongs to, when all its nodes are gone for good and this one succeeds it.
    #[arg(long, value_name = "CLUSTER")]
    pub instead_of: Option<ClusterId>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `join`.
#[derive(Debug, Args)]
pub struct Join {
    /// A token, as `hubbub init` and `hubbub token create` print it.
    #[arg(long, env = "HUBBUB_JOIN_TOKEN", hide_env_values = true)]
    pub token: String,
    /// A member, as HOST:PORT of its `cluster.listen`; may be given several times.
    #[arg(long, value_name = "HOST:PORT", required = true)]
    pub seed: Vec<String>,
    /// How the node appears.
    #[command(flatten)]
    pub appearance: Appearance,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl Appearance {
    /// Its key and its data directory are filled in.
    fn of(self, config: &ClusterSettings, role: Role) -> Result<NewMember, Failure> {
        let advertise = self.advertise.unwrap_or_else(|| config.advertise.clone());
        let address = if advertise.is_empty() { reachable(config.listen)? } else { advertise };
        let or = |given: Option<String>, set: &String| given.unwrap_or_else(|| set.clone());
        let name = or(self.name, &config.name);
        let about = NewMember {
            name: if name.is_empty() { machine() } else { name },
            addresses: vec![address],
            zone: or(self.zone, &config.zone),
            region: config.region.clone(),
            capacity: u32::from(config.capacity),
            role,
            versions: FORMATS,
            key_sha256: [0; 32],
            data_dir: 0,
        };
        match about.fault() {
            Some(fault) => Err(Failure::Usage(format!("the {fault} of this node cannot be used: see --help"))),
            None => Ok(about),
        }
    }
}

/// The address that others can use, when it is one.
fn reachable(listen: SocketAddr) -> Result<String, Failure> {
    if listen.ip().is_unspecified() {
        return Err(Failure::Usage(format!(
            "`cluster.listen` is {listen}, which no other node can dial: say where they reach this one with \
             --advertise HOST:{}",
            listen.port()
        )));
    }
    Ok(listen.to_string())
}

/// The name of this machine.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "node".to_owned() } else { name.to_owned() }
}

impl Init {
    /// Founds a cluster: everything that its first `serve` needs.
    ///
    /// # Errors
    /// A sentence with the remedy; nothing was founded then.
    pub async fn run(self, data_dir: &Path, config: &NodeConfig) -> Result<(), Failure> {
        membership::needs_database(data_dir, &config.store, "found a cluster")?;
        let data = DataDir::hold(data_dir)?;
        membership::pristine(&data)?;
        // Whatever is wrong with what was given is told before anything is made.
        let about = self.appearance.clone().of(&config.cluster, Role::Voter)?;
        let store = store::open(&data, &config.store).await?;
        let (key, place) = membership::begin(&data)?;
        let about = NewMember { key_sha256: key.sha256(), data_dir: place.data_dir, ..about };
        let number = belonging::number(place.data_dir);
        let taken = belonging::take(&*store, &config.store.url, number, self.instead_of.as_ref()).await;
        store.close().await;
        taken?;
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let now = OffsetDateTime::now_utc();
        let authority = Authority::new(cluster_id(number), now).map_err(|error| failed(&error))?;
        let request = key.request().map_err(|error| failed(&error))?;
        let certificate = authority.sign_request(FOUNDER, &request, now).map_err(|error| failed(&error))?;
        let (sealing, token) = (SealingKey::random(), JoinToken::new(authority.pin()));
        let founding = FoundingFile { ca: sealing.seal_authority(&authority), token: first(&token) };
        NewMembership {
            node: FOUNDER,
            cluster: number,
            about: &about,
            election_slot: FOUNDER_SLOTS.0,
            id_slot: FOUNDER_SLOTS.1,
            shard_bits: config.store.shard_bits,
            certificate: &certificate,
            roots: &founding.ca.roots,
            sealing: Some(&sealing),
            seeds: &[],
            founding: Some(&founding),
        }
        .write(&data, &place)?;
        let cluster = cluster_id(number).to_string();
        if self.json {
            return output::json(&json!({
                "cluster": cluster, "node": FOUNDER, "name": about.name, "addresses": about.addresses,
                "token": token.to_string(),
            }));
        }
        let seed = about.addresses.first().map_or("HOST:PORT", String::as_str);
        output::tell(&format!("founded cluster {cluster}; this is node {FOUNDER}, `{}`. Next:", about.name));
        output::tell("  here:            hubbub serve");
        output::tell(&format!("  on other nodes:  hubbub join --seed {seed} --token TOKEN && hubbub serve"));
        output::tell("the token admits nodes that may vote, for a day, and is shown only now:");
        output::line(&token.to_string());
        Ok(())
    }
}

fn first(token: &JoinToken) -> FirstToken {
    let made_ms = u64::try_from(SystemClock.now().0).unwrap_or(0);
    let ttl_ms = u64::try_from(FIRST_TOKEN_TTL.as_millis()).unwrap_or(0);
    FirstToken {
        id: token.id(),
        secret_sha256: token.secret_sha256(),
        role: Role::Voter,
        uses: FIRST_TOKEN_USES,
        made_ms,
        expires_ms: made_ms + ttl_ms,
    }
}

impl Join {
    /// Makes this node a member.
    ///
    /// # Errors
    /// A sentence with the remedy; a retry is safe.
    pub async fn run(self, data_dir: &Path, config: &NodeConfig) -> Result<(), Failure> {
        membership::needs_database(data_dir, &config.store, "join a cluster")?;
        let token: JoinToken = self.token.parse().map_err(|error| Failure::Usage(format!("--token: {error}")))?;
        let data = DataDir::hold(data_dir)?;
        if let Some(member) = Membership::load(&data)?
            && member.ended(OffsetDateTime::now_utc()).is_some()
        {
            return self.again(&data, member, &token, config).await;
        }
        membership::pristine(&data)?;
        let about = self.appearance.clone().of(&config.cluster, Role::Worker)?;
        let cluster = database(&data, config).await?;
        let (key, place) = membership::begin(&data)?;
        let about = NewMember { data_dir: place.data_dir, ..about };
        let applicant = Applicant { key, about, cluster };
        let admitted = join(&token, &self.seed, &applicant).await.map_err(failure)?;
        self.keep(&data, &place, &applicant.about, &admitted)
    }

    /// Asks for a certificate in place of one that has ended. The cluster knows the node by its key and gives it the
    /// same number; it keeps all else that it has.
    async fn again(
        &self,
        data: &DataDir,
        member: Membership,
        token: &JoinToken,
        config: &NodeConfig,
    ) -> Result<(), Failure> {
        let cluster = database(data, config).await?;
        let applicant = Applicant { key: member.key()?, about: member.about(), cluster };
        let admitted = join(token, &self.seed, &applicant).await.map_err(failure)?;
        let welcome = &admitted.welcome;
        if welcome.node != member.node {
            // It was removed while it was off, and is a member anew.
            member.forget_log()?;
            let (_, place) = membership::again(data)?;
            return self.keep(data, &place, &applicant.about, &admitted);
        }
        member.renewed(&welcome.certificate, &welcome.roots)?;
        if self.json {
            return output::json(&json!({
                "cluster": member.cluster_id.to_string(), "node": member.node, "name": member.name, "renewed": true,
            }));
        }
        output::line(&format!(
            "renewed the certificate of node {}, `{}`: start it with `hubbub serve`",
            member.node, member.name
        ));
        Ok(())
    }

    fn keep(&self, data: &DataDir, place: &Place, about: &NewMember, admitted: &Admitted) -> Result<(), Failure> {
        let welcome = &admitted.welcome;
        let about = NewMember { role: welcome.role, ..about.clone() };
        NewMembership {
            node: welcome.node,
            cluster: welcome.cluster,
            about: &about,
            election_slot: welcome.election_slot,
            id_slot: welcome.id_slot,
            shard_bits: welcome.shard_bits,
            certificate: &welcome.certificate,
            roots: &welcome.roots,
            sealing: admitted.sealing.as_ref(),
            seeds: &welcome.members,
            founding: None,
        }
        .write(data, place)?;
        let (cluster, node) = (cluster_id(welcome.cluster).to_string(), welcome.node);
        if self.json {
            return output::json(&json!({
                "cluster": cluster, "node": node, "name": about.name, "addresses": about.addresses,
                "role": format!("{:?}", about.role).to_lowercase(),
            }));
        }
        output::line(&format!(
            "joined cluster {cluster} as node {node}, `{}`: start it with `hubbub serve`",
            about.name
        ));
        Ok(())
    }
}

/// The cluster whose database this node has.
async fn database(data: &DataDir, config: &NodeConfig) -> Result<ClusterId, Failure> {
    let store = store::open(data, &config.store).await?;
    let cluster = belonging::to_join(&*store, &config.store.url).await;
    store.close().await;
    cluster
}

fn failure(error: JoinError) -> Failure {
    let sentence = error.to_string();
    match error {
        JoinError::Refused(JoinRefusal::Token) | JoinError::OtherCluster { .. } => Failure::Refused(sentence),
        JoinError::OtherStore { .. } => Failure::Conflict(sentence),
        JoinError::Refused(JoinRefusal::Name(_) | JoinRefusal::Identity(_)) => Failure::Conflict(sentence),
        JoinError::Refused(JoinRefusal::Version { .. }) | JoinError::OtherProtocol { .. } => {
            Failure::Damaged(sentence)
        }
        JoinError::Silent { .. } => Failure::NotRunning(sentence),
        JoinError::NoAddress { .. } => Failure::Usage(sentence),
        _ => Failure::Failed(sentence),
    }
}
