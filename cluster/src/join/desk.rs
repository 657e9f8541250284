//! Where joins are decided: on the leader, for whoever knocks at any member.

use std::{fmt, sync::Arc, time::Duration};

use hubbub_protocol::{
    ids::NodeId,
    peer::{Class, Envelope, Lane, PeerBus, PeerMessage},
    ports::Clock,
};
use rustls::pki_types::CertificateSigningRequestDer;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    answer::{JoinRefusal, Judged, Renewed, TokensTold, Welcome},
    council::Council,
    limits::{DESK_TIMEOUT, MEMBERS_TOLD_MAX},
    proof,
    request::{Application, Knocked, RenewalWanted, TokensWanted},
    sealing::SealingKey,
    token::{JoinToken, pin_of},
};
use crate::{
    control::{Answer, Command, Control, MemberState, NewMember, Refusal, Role, Token, TokenId, state::CaFacts},
    identity::{Authority, requested_key},
};

/// The lane of everything the desk asks.
const LANE: Lane = Lane { class: Class::Control, number: 0 };

/// What a desk needs.
#[derive(Debug)]
pub struct DeskParts {
    /// The control plane.
    pub council: Arc<dyn Council>,
    /// The way to the leader.
    pub bus: Arc<dyn PeerBus>,
    /// What unseals the authority's key: on nodes that may vote.
    pub sealing: Option<SealingKey>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// One member's part in joins: it asks the leader's desk, or decides, when it leads.
pub struct Desk(DeskParts);

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Desk(node {})", self.0.bus.this_node())
    }
}

/// A token as operators see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenFacts {
    /// Its public half.
    pub id: TokenId,
    /// The most its holder may become.
    pub role: Role,
    /// How many nodes it may still admit.
    pub uses_left: u32,
    /// When it ends, in Unix milliseconds.
    pub expires_ms: u64,
}

/// What a judgement is based on.
struct Case {
    token: Option<Token>,
    /// What the joiner is, when it is a member already: this is a retry.
    known: Option<Role>,
    cluster: u128,
    shard_bits: u8,
    version: u32,
    ca: CaFacts,
    members: Vec<(NodeId, Vec<String>)>,
}

impl Desk {
    /// A desk of `parts`.
    #[must_use]
    pub fn new(parts: DeskParts) -> Arc<Self> {
        Arc::new(Self(parts))
    }

    pub(super) fn map_version(&self) -> u64 {
        self.0.council.map_version()
    }

    pub(super) fn roots(&self) -> Vec<Vec<u8>> {
        self.0.council.roots()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.clock.now().0).unwrap_or(0)
    }

    pub(super) fn time(&self) -> OffsetDateTime {
        let seconds = i64::try_from(self.now() / 1_000).unwrap_or(0);
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Lets the leader judge `knocked`.
    pub(super) async fn knock(&self, knocked: Knocked) -> Result<Welcome, JoinRefusal> {
        match self.elsewhere()? {
            None => self.judge(&knocked).await,
            Some(leader) => self.ask::<_, Judged>(leader, &knocked).await?.0,
        }
    }

    /// Asks the leader to sign this member's key again.
    ///
    /// # Errors
    /// [`JoinRefusal`].
    pub async fn renew(&self, request: &CertificateSigningRequestDer<'_>) -> Result<Vec<u8>, JoinRefusal> {
        match self.elsewhere()? {
            None => self.sign_again(self.0.bus.this_node(), request).await,
            Some(leader) => self.ask::<_, Renewed>(leader, &RenewalWanted { request: request.to_vec() }).await?.0,
        }
    }

    /// The tokens that the cluster keeps, those that admit nobody any more among them.
    ///
    /// # Errors
    /// [`JoinRefusal::NoLeader`].
    pub async fn tokens(&self) -> Result<Vec<TokenFacts>, JoinRefusal> {
        match self.elsewhere()? {
            None => self.tell_tokens().await,
            Some(leader) => self.ask::<_, TokensTold>(leader, &TokensWanted).await?.0,
        }
    }

    /// Makes a token for `uses` nodes of at most `role`, good for `ttl` from now. The text is told here alone.
    ///
    /// # Errors
    /// [`JoinRefusal`].
    pub async fn create_token(&self, role: Role, uses: u32, ttl: Duration) -> Result<JoinToken, JoinRefusal> {
        let root = self.roots().pop().ok_or(JoinRefusal::NoLeader)?;
        let pin = pin_of(&root.into()).ok_or_else(|| JoinRefusal::CannotSign("its root cannot be read".into()))?;
        let (made, now_ms) = (JoinToken::new(pin), self.now());
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let token = Token {
            secret_sha256: made.secret_sha256(),
            role,
            uses_left: uses,
            expires_ms: now_ms.saturating_add(ttl_ms),
        };
        self.propose(Command::CreateToken { id: made.id(), token, now_ms }).await?;
        Ok(made)
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// [`JoinRefusal::Token`] when there is none, and [`JoinRefusal::NoLeader`].
    pub async fn drop_token(&self, id: TokenId) -> Result<(), JoinRefusal> {
        self.propose(Command::DropToken { id }).await
    }

    async fn propose(&self, command: Command) -> Result<(), JoinRefusal> {
        match self.0.council.propose(command).await {
            Ok(Answer::Refused(Refusal::TokenRefused)) => Err(JoinRefusal::Token),
            Ok(Answer::Refused(refusal)) => Err(JoinRefusal::Rule(refusal)),
            Ok(_) => Ok(()),
            Err(_) => Err(JoinRefusal::NoLeader),
        }
    }

    /// The leader, if it is another node.
    fn elsewhere(&self) -> Result<Option<NodeId>, JoinRefusal> {
        let leader = self.0.council.leader().ok_or(JoinRefusal::NoLeader)?;
        Ok((leader != self.0.bus.this_node()).then_some(leader))
    }

    async fn ask<Q: PeerMessage, A: PeerMessage>(&self, leader: NodeId, question: &Q) -> Result<A, JoinRefusal> {
        let envelope = Envelope::pack(self.map_version(), question).map_err(|_| JoinRefusal::NoLeader)?;
        let answer = self.0.bus.ask(leader, LANE, envelope, DESK_TIMEOUT).await;
        answer.map_err(|_| JoinRefusal::NoLeader)?.open().map_err(|_| JoinRefusal::NoLeader)
    }

    /// Decides on a knock; on the leader.
    pub(super) async fn judge(&self, knocked: &Knocked) -> Result<Welcome, JoinRefusal> {
        let bytes = &knocked.knock.application;
        let application = Application::from_bytes(bytes).ok_or_else(|| JoinRefusal::Wrong("application".into()))?;
        if !self.0.council.confirm().await {
            return Err(JoinRefusal::NoLeader);
        }
        let case = self.case_of(&application).ok_or(JoinRefusal::NoLeader)?;
        let (role, secret) = self.permit(&case, knocked)?;
        let request = CertificateSigningRequestDer::from(application.request);
        let key = requested_key(&request).map_err(|_| JoinRefusal::Wrong("certificate request".into()))?;
        let about = NewMember { role, ..application.about };
        if key != about.key_sha256 {
            return Err(JoinRefusal::Wrong("key".into()));
        }
        if !about.versions.holds(case.version) {
            return Err(JoinRefusal::Version { theirs: about.versions, cluster: case.version });
        }
        // Before anything is agreed on: who cannot be given a certificate is no member.
        let authority = self.authority(&case)?;
        let (name, versions) = (about.name.clone(), about.versions);
        let join = Command::Join { token: application.token, node: about, now_ms: self.now() };
        let (node, election_slot) = match self.0.council.propose(join).await {
            Ok(Answer::Joined { node, election_slot }) => (node, election_slot),
            Ok(Answer::Refused(refusal)) => return Err(JoinRefusal::of(refusal, &name, versions)),
            Ok(_) | Err(_) => return Err(JoinRefusal::NoLeader),
        };
        let certificate = self.sign(&authority, node, &request)?;
        let mut id_slot = None;
        self.0.council.look(&mut |control| id_slot = control.members.get(&node).map(|member| member.id_slot));
        // It was applied here before it was answered.
        let id_slot = id_slot.ok_or(JoinRefusal::NoLeader)?;
        let sealing = self.0.sealing.as_ref().filter(|_| role == Role::Voter);
        tracing::info!(node.id = %node, "node {node} (`{name}`) joined as a {role:?}");
        Ok(Welcome {
            node,
            election_slot,
            id_slot,
            role,
            certificate,
            roots: case.ca.roots,
            members: case.members,
            shard_bits: case.shard_bits,
            cluster: case.cluster,
            wrapped_sealing_key: sealing.map(|key| key.wrap(&secret, &proof::digest(bytes))),
        })
    }

    /// What the token permits, once the proof holds. Takes the same way for an unknown token as for a wrong proof.
    fn permit(&self, case: &Case, knocked: &Knocked) -> Result<(Role, [u8; 32]), JoinRefusal> {
        let knock = &knocked.knock;
        let secret = case.token.as_ref().map_or([0; 32], |token| token.secret_sha256);
        let holds = proof::holds(&secret, &knocked.channel, &knock.application, &knock.proof);
        let token = case.token.as_ref().filter(|_| holds).ok_or(JoinRefusal::Token)?;
        match case.known {
            Some(role) => Ok((role.min(token.role), secret)),
            None if token.admits(self.now()) => Ok((token.role, secret)),
            None => Err(JoinRefusal::Token),
        }
    }

    fn case_of(&self, application: &Application) -> Option<Case> {
        let mut case = None;
        self.0.council.look(&mut |control| {
            case = control.is_founded().then(|| Case::of(control, application));
        });
        case
    }

    fn authority(&self, case: &Case) -> Result<Authority, JoinRefusal> {
        let cannot = |why: String| JoinRefusal::CannotSign(why);
        let sealing = self.0.sealing.as_ref().ok_or_else(|| cannot("it has none".into()))?;
        sealing.open_authority(case.cluster, &case.ca).map_err(|error| cannot(error.to_string()))
    }

    fn sign(
        &self,
        authority: &Authority,
        node: NodeId,
        request: &CertificateSigningRequestDer<'_>,
    ) -> Result<Vec<u8>, JoinRefusal> {
        let signed = authority.sign_request(node, request, self.time());
        Ok(signed.map_err(|error| JoinRefusal::CannotSign(error.to_string()))?.to_vec())
    }

    /// Signs the key of the member `node` again, on the leader: the one it joined with, and no other.
    pub(super) async fn sign_again(
        &self,
        node: NodeId,
        request: &CertificateSigningRequestDer<'_>,
    ) -> Result<Vec<u8>, JoinRefusal> {
        if !self.0.council.confirm().await {
            return Err(JoinRefusal::NoLeader);
        }
        self.sign_known(node, request)
    }

    /// Signs the key of the member `node`, as it is known here.
    fn sign_known(&self, node: NodeId, request: &CertificateSigningRequestDer<'_>) -> Result<Vec<u8>, JoinRefusal> {
        let mut found = None;
        self.0.council.look(&mut |control| {
            let key = control.members.get(&node).map(|member| member.about.key_sha256);
            found = key.map(|key| (key, control.cluster, control.ca.clone()));
        });
        let (key, cluster, ca) = found.ok_or(JoinRefusal::Rule(Refusal::NoSuchNode(node)))?;
        if requested_key(request).ok() != Some(key) {
            return Err(JoinRefusal::OtherKey);
        }
        let sealing = self.0.sealing.as_ref().ok_or_else(|| JoinRefusal::CannotSign("it has none".into()))?;
        let authority = sealing.open_authority(cluster, &ca);
        self.sign(&authority.map_err(|error| JoinRefusal::CannotSign(error.to_string()))?, node, request)
    }

    /// Signs this member's own key again by what is kept here, whoever leads: for one whose certificate has ended, so
    /// that no leader lets it in to ask. It needs the key that unseals the authority's, which is for nodes that may
    /// vote; one that was removed meanwhile is refused by its number all the same.
    ///
    /// # Errors
    /// [`JoinRefusal`].
    pub fn sign_here(&self, request: &CertificateSigningRequestDer<'_>) -> Result<Vec<u8>, JoinRefusal> {
        self.sign_known(self.0.bus.this_node(), request)
    }

    pub(super) async fn tell_tokens(&self) -> Result<Vec<TokenFacts>, JoinRefusal> {
        if !self.0.council.confirm().await {
            return Err(JoinRefusal::NoLeader);
        }
        let mut tokens = Vec::new();
        self.0.council.look(&mut |control| {
            tokens = control.tokens.iter().map(|(id, token)| TokenFacts::of(*id, token)).collect();
        });
        Ok(tokens)
    }
}

impl TokenFacts {
    const fn of(id: TokenId, token: &Token) -> Self {
        Self { id, role: token.role, uses_left: token.uses_left, expires_ms: token.expires_ms }
    }
}

impl Case {
    fn of(control: &Control, application: &Application) -> Self {
        let about = &application.about;
        let known = control
            .members
            .values()
            .find(|member| member.about.key_sha256 == about.key_sha256 && member.about.data_dir == about.data_dir);
        let mut members: Vec<_> = control.members.iter().collect();
        members.sort_by_key(|(node, member)| (member.state != MemberState::Up, **node));
        let members = members.into_iter().take(MEMBERS_TOLD_MAX);
        Self {
            token: control.tokens.get(&application.token).cloned(),
            known: known.map(|member| member.about.role),
            cluster: control.cluster,
            shard_bits: control.shard_bits,
            version: control.active_version,
            ca: control.ca.clone(),
            members: members.map(|(node, member)| (*node, member.about.addresses.clone())).collect(),
        }
    }
}
