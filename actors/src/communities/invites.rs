//! Invites: ways into a community.

use hubbub_protocol::{
    error::Refusal,
    event::EventBody,
    ids::CommunityId,
    permissions::Permissions,
    rest::{self, InvitePreview},
};
use hubbub_storage::{Effect, ErrorChain, facts};

use super::Communities;
use crate::{answer::unavailable, caller::Caller};

/// Longest life of an invite that ends: a year, in seconds.
const EXPIRES_IN_S_MAX: u64 = 366 * 24 * 3_600;

fn shown(invite: facts::Invite) -> rest::Invite {
    rest::Invite {
        code: invite.code,
        community: invite.community,
        by: invite.by,
        max_uses: invite.max_uses,
        uses: invite.uses,
        expires_at: invite.expires_at,
        created_at: invite.created_at,
    }
}

impl Communities {
    /// Makes an invite under `code`, which the caller drew at random.
    ///
    /// # Errors
    /// `bad_request`, `forbidden`, `not_found`, `unavailable`.
    pub async fn create_invite(
        &self,
        caller: Caller,
        community: CommunityId,
        wanted: rest::CreateInvite,
        code: String,
    ) -> Result<rest::Invite, Refusal> {
        self.need(caller, community, Permissions::INVITE, "make invites").await?;
        if wanted.max_uses == Some(0) {
            return Err(Refusal::field("max_uses", "`max_uses` must be at least 1"));
        }
        if wanted.expires_in_s.is_some_and(|life| life == 0 || life > EXPIRES_IN_S_MAX) {
            let message = format!("`expires_in_s` must be from 1 to {EXPIRES_IN_S_MAX}");
            return Err(Refusal::field("expires_in_s", message));
        }
        if !wanted.roles.is_empty() {
            return Err(Refusal::field("roles", "this version has no roles to give"));
        }
        let now = self.context.now();
        let life_ms = |life: u64| i64::try_from(life * 1_000).unwrap_or(i64::MAX);
        let invite = facts::Invite {
            code,
            community,
            by: caller.user,
            max_uses: wanted.max_uses,
            uses: 0,
            expires_at: wanted.expires_in_s.map(|life| now.plus_ms(life_ms(life))),
            created_at: now,
        };
        let body = EventBody::InviteUpdated { code: invite.code.clone(), revoked: false };
        let effects = vec![Effect::PutInvite(Box::new(invite.clone()))];
        self.rooms.record(community.log(), caller.user, body, effects).await?;
        Ok(shown(invite))
    }

    /// Invites of a community: all of them for those who manage invites, else the caller's own.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `unavailable`.
    pub async fn invites(&self, caller: Caller, community: CommunityId) -> Result<Vec<rest::Invite>, Refusal> {
        self.need(caller, community, Permissions::INVITE, "see invites").await?;
        let manages = self.rights(caller, community).await?.has(Permissions::MANAGE_INVITES);
        let all = self.context.directory.read(self.context.store.invites_of(community).await)?;
        Ok(all.into_iter().filter(|invite| manages || invite.by == caller.user).map(shown).collect())
    }

    /// Revokes an invite: one's own, or any for those who manage invites.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `unavailable`.
    pub async fn revoke_invite(&self, caller: Caller, community: CommunityId, code: &str) -> Result<(), Refusal> {
        let rights = self.rights(caller, community).await?;
        let read = self.context.directory.read(self.context.store.invite(code).await)?;
        let invite =
            read.filter(|invite| invite.community == community).ok_or_else(|| Refusal::not_found("invite"))?;
        if invite.by != caller.user && !rights.has(Permissions::MANAGE_INVITES) {
            return Err(Refusal::forbidden("revoke invites of others"));
        }
        let body = EventBody::InviteUpdated { code: code.to_owned(), revoked: true };
        let effects = vec![Effect::DeleteInvite(code.to_owned())];
        self.rooms.record(community.log(), caller.user, body, effects).await?;
        Ok(())
    }

    async fn open_invite(&self, code: &str) -> Result<facts::Invite, Refusal> {
        let now = self.context.now();
        let read = self.context.directory.read(self.context.store.invite(code).await)?;
        let open = |invite: &facts::Invite| {
            invite.max_uses.is_none_or(|max| invite.uses < max) && invite.expires_at.is_none_or(|end| end > now)
        };
        read.filter(open).ok_or_else(|| Refusal::not_found("invite"))
    }

    /// Where an invite leads, for anyone who has its code.
    ///
    /// # Errors
    /// `not_found` for one that is unknown, used up or over; `unavailable`.
    pub async fn preview_invite(&self, code: &str) -> Result<InvitePreview, Refusal> {
        let invite = self.open_invite(code).await?;
        let community = self.shown(&*self.facts(invite.community).await?).await?;
        Ok(InvitePreview { code: invite.code, community })
    }

    /// Joins by an invite. Who is a member already uses nothing up.
    ///
    /// # Errors
    /// `not_found` for one that is unknown, used up or over; `unavailable`.
    pub async fn accept_invite(&self, caller: Caller, code: &str) -> Result<rest::Joined, Refusal> {
        // A task of its own: a caller who stops waiting must not leave a use that let nobody in.
        let (communities, code) = (self.clone(), code.to_owned());
        let joining = tokio::spawn(async move { communities.accept(caller, &code).await });
        joining.await.unwrap_or_else(|_| Err(unavailable()))
    }

    async fn accept(&self, caller: Caller, code: &str) -> Result<rest::Joined, Refusal> {
        let _alone = self.context.gates.of(caller.user).await;
        let known = self.context.directory.read(self.context.store.invite(code).await)?;
        if let Some(invite) = &known
            && self.context.directory.member(invite.community, caller.user).await?.is_some()
        {
            return self.let_in(caller, invite.community).await;
        }
        let used = self.context.store.use_invite(code, self.context.now()).await;
        let invite = self.context.directory.read(used)?.ok_or_else(|| Refusal::not_found("invite"))?;
        self.let_in_by(caller, &invite).await
    }

    /// Joins by an invite that has been used for the caller already, at registration. A use that lets
    /// nobody in is given back.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn admit_by(&self, caller: Caller, invite: &facts::Invite) -> Result<rest::Joined, Refusal> {
        let _alone = self.context.gates.of(caller.user).await;
        self.let_in_by(caller, invite).await
    }

    /// [`Communities::admit_by`], for who holds the caller's gate.
    async fn let_in_by(&self, caller: Caller, invite: &facts::Invite) -> Result<rest::Joined, Refusal> {
        let joined = self.let_in(caller, invite.community).await;
        if joined.is_err() {
            self.give_back(caller, invite).await;
        }
        joined
    }

    /// Gives a use back unless the caller is a member after all: an error may hide that, and then the
    /// use is well spent. What cannot be found out is taken for used, so that no invite lets in more
    /// than it may.
    async fn give_back(&self, caller: Caller, invite: &facts::Invite) {
        let context = &self.context;
        // After this, whatever the log of the community took in is on disk or never will be.
        context.lane(context.shard_of(invite.community.log())).barrier().await;
        let given = match context.store.member(invite.community, caller.user).await {
            Ok(None) => context.store.give_back_invite(&invite.code).await,
            Ok(Some(_)) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = given {
            tracing::warn!(
                community.id = %invite.community,
                error = %ErrorChain(&error),
                "could not give the use of an invite back; it stays used"
            );
        }
    }
}
