//! Making, changing and disabling accounts.

use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    ids::{SessionId, UserId},
    rest,
};
use hubbub_storage::{
    Effect, ErrorChain, StoreError,
    facts::{Invite, User},
};

use super::{
    Auth, Registration,
    name::{check_display, check_email, check_name, check_password},
    setup, unauthorized,
};
use crate::http::error::store_refusal;

/// An account about to be made.
#[derive(Clone, Default)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// Its password; without one nobody can sign in by password.
    pub password: Option<String>,
    /// The name that is shown; `name` when absent.
    pub display: Option<String>,
    /// A mail address.
    pub email: Option<String>,
    /// Whether it owns the installation.
    pub owner: bool,
}

impl std::fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccount").field("name", &self.name).field("owner", &self.owner).finish_non_exhaustive()
    }
}

fn lost(error: StoreError) -> Refusal {
    store_refusal(&error)
}

fn name_taken() -> Refusal {
    let mut refusal = Refusal::new(ErrorCode::Conflict, "the name is taken");
    refusal.field = Some("name".to_owned());
    refusal
}

/// Checks what can be checked of a new account without the store.
fn check(account: &NewAccount) -> Result<(), Refusal> {
    check_name(&account.name)?;
    account.password.as_deref().map_or(Ok(()), check_password)?;
    account.email.as_deref().map_or(Ok(()), check_email)
}

/// Writes what one asked for into one's account.
fn apply(user: &mut User, change: rest::UpdateMe) -> Result<(), Refusal> {
    if let Some(display) = &change.display {
        user.display = check_display(display)?;
    }
    if let Some(email) = change.email {
        user.email = Some(email).filter(|email| !email.is_empty());
        user.email.as_deref().map_or(Ok(()), check_email)?;
    }
    Ok(())
}

impl Auth {
    /// Reads an account, changes it and writes it back; one at a time.
    async fn change(
        &self,
        id: UserId,
        change: impl FnOnce(&mut User) -> Result<(), Refusal>,
    ) -> Result<User, Refusal> {
        let _one_at_a_time = self.parts.changing.lock().await;
        let there = self.store().user(id).await.map_err(lost)?;
        let mut user = there.ok_or_else(|| Refusal::not_found("user"))?;
        change(&mut user)?;
        let put = Effect::PutUser(Box::new(user.clone()));
        self.store().apply(&[put]).await.map_err(lost)?;
        Ok(user)
    }

    async fn check_free(&self, account: &NewAccount) -> Result<(), Refusal> {
        check(account)?;
        let there = self.store().user_by_name(&account.name).await;
        there.map_err(lost)?.map_or(Ok(()), |_| Err(name_taken()))
    }

    /// Makes an account.
    ///
    /// # Errors
    /// `bad_request` with the field, `conflict` for a name that is taken, `busy`, `unavailable`.
    pub async fn create(&self, account: NewAccount) -> Result<User, Refusal> {
        self.check_free(&account).await?;
        let display = account.display.as_deref().unwrap_or(&account.name);
        let user = User {
            id: UserId::from_raw(self.next_id()),
            display: check_display(display)?,
            email: account.email,
            avatar: None,
            owner: account.owner,
            disabled: false,
            imported: false,
            created_at: self.now(),
            name: account.name,
        };
        let hash = match &account.password {
            Some(password) => Some(self.parts.passwords.hash(password).await?),
            None => None,
        };
        let made = self.store().create_user(&user, hash.as_deref()).await;
        made.map_err(|error| match error {
            StoreError::Taken { .. } => name_taken(),
            other => lost(other),
        })?;
        if user.owner {
            setup::close(self.store()).await.map_err(lost)?;
        }
        tracing::info!(user.id = %user.id, owner = user.owner, "made account {}", user.id);
        Ok(user)
    }

    /// Makes an account for someone who asks for it; gives the invite that was used.
    ///
    /// # Errors
    /// `registration_closed`, and those of [`Auth::create`]. An invite is used before the account is
    /// made, and given back when there is none for it.
    pub async fn register(
        &self,
        account: NewAccount,
        invite: Option<&str>,
    ) -> Result<(User, Option<Invite>), Refusal> {
        let closed = |field: Option<&str>| {
            let mut refusal =
                Refusal::new(ErrorCode::RegistrationClosed, "accounts are made by invite or by an operator here");
            refusal.field = field.map(str::to_owned);
            refusal
        };
        let needed = match self.config().registration {
            Registration::Open => false,
            Registration::Invite => true,
            Registration::Closed => return Err(closed(None)),
        };
        if needed && invite.is_none() {
            return Err(closed(Some("invite")));
        }
        self.check_free(&account).await?;
        let used = match invite {
            Some(code) => {
                let used = self.store().use_invite(code, self.now()).await;
                let unknown = || match needed {
                    true => closed(Some("invite")),
                    false => Refusal::not_found("invite"),
                };
                Some(used.map_err(lost)?.ok_or_else(unknown)?)
            }
            None => None,
        };
        let name = account.name.clone();
        let made = self.create(NewAccount { owner: false, ..account }).await;
        if let (Err(refusal), Some(invite)) = (&made, &used) {
            self.give_back(invite, refusal, &name).await;
        }
        Ok((made?, used))
    }

    /// Gives the use of an invite back when no account was made for it. A write that failed may have
    /// made one: then its name tells, and what cannot be found out is taken for used.
    async fn give_back(&self, invite: &Invite, refusal: &Refusal, name: &str) {
        let none_made =
            refusal.code != ErrorCode::Unavailable || matches!(self.store().user_by_name(name).await, Ok(None));
        if none_made && let Err(error) = self.store().give_back_invite(&invite.code).await {
            tracing::warn!(error = %ErrorChain(&error), "could not give the use of an invite back; it stays used");
        }
    }

    /// The account that `name` and `password` belong to.
    ///
    /// # Errors
    /// `unauthorized` whatever was wrong, after the same time; `busy`, `unavailable`.
    pub async fn authenticate(&self, name: &str, password: &str) -> Result<User, Refusal> {
        let user = self.store().user_by_name(name).await.map_err(lost)?;
        let hash = match &user {
            Some(user) => self.store().password_hash(user.id).await.map_err(lost)?,
            None => None,
        };
        let fits = self.parts.passwords.verify(password, hash).await?;
        user.filter(|user| fits && !user.disabled).ok_or_else(unauthorized)
    }

    /// Makes the owner of a new installation.
    ///
    /// # Errors
    /// `unauthorized` for a wrong or used token, and those of [`Auth::create`], after which the
    /// token is good still.
    pub async fn set_up(&self, token: &str, account: NewAccount) -> Result<User, Refusal> {
        self.check_free(&account).await?;
        if !setup::claim(self.store(), token).await.map_err(lost)? {
            let message = "the set-up token is wrong or was used";
            return Err(Refusal::new(ErrorCode::Unauthorized, message));
        }
        let made = self.create(NewAccount { owner: true, ..account });
        match made.await {
            Ok(user) => Ok(user),
            Err(refusal) => {
                setup::reopen(self.store(), token).await.map_err(lost)?;
                Err(refusal)
            }
        }
    }

    /// Changes one's own account; a new password ends one's other sessions.
    ///
    /// # Errors
    /// `bad_request` with the field; `forbidden` for a wrong `current_password`.
    pub async fn update(&self, user: UserId, sid: SessionId, change: rest::UpdateMe) -> Result<User, Refusal> {
        let hash = match &change.password {
            Some(password) => {
                let current = change.current_password.as_deref();
                Some(self.rehash(user, password, current).await?)
            }
            None => None,
        };
        let user = self.change(user, |user| apply(user, change)).await?;
        if let Some(hash) = hash {
            let set = self.store().set_password_hash(user.id, &hash).await;
            set.map_err(lost)?;
            self.end_all(user.id, Some(sid)).await?;
        }
        Ok(user)
    }

    async fn rehash(&self, user: UserId, password: &str, current: Option<&str>) -> Result<String, Refusal> {
        check_password(password)?;
        let current =
            current.ok_or_else(|| Refusal::field("current_password", "a new password needs the one so far"))?;
        let hash = self.store().password_hash(user).await.map_err(lost)?;
        if !self.parts.passwords.verify(current, hash).await? {
            let mut refusal = Refusal::new(ErrorCode::Forbidden, "the password so far is another");
            refusal.field = Some("current_password".to_owned());
            return Err(refusal);
        }
        self.parts.passwords.hash(password).await
    }

    /// Disables an account and ends its sessions.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn disable(&self, id: UserId) -> Result<User, Refusal> {
        let disable = |user: &mut User| {
            user.disabled = true;
            Ok(())
        };
        let user = self.change(id, disable).await?;
        self.end_all(id, None).await?;
        tracing::info!(user.id = %id, "disabled account {id}");
        Ok(user)
    }
}
