//! The community that an archive is imported into.

use hubbub_actors::{Caller, Hub};
use hubbub_protocol::{
    error::Refusal,
    ids::{SessionId, UserId},
    rest::CreateCommunity,
};
use hubbub_storage::{Effect, Store, facts};

use super::names;
use crate::http::error::store_refusal;

/// Accounts read at once in the search for an owner.
const PAGE: usize = 1_000;
/// The name shown for the account that owns communities where nobody owns the installation yet.
const OPERATOR: &str = "operator";

/// The community of that name, made when there is none; it belongs to the installation's first owner.
///
/// # Errors
/// `bad_request` for a name no community may have, `unavailable`.
pub async fn find_or_make(hub: &Hub, name: &str) -> Result<facts::Community, Refusal> {
    if let Some(there) = find(&**hub.store(), name).await? {
        return Ok(there);
    }
    let owner = owner(hub).await?;
    let caller = Caller { user: owner, sid: SessionId::from_raw(0) };
    let wanted = CreateCommunity { name: name.to_owned(), description: String::new(), public: false };
    let made = hub.communities().create(caller, wanted).await?;
    let read = hub.store().community(made.id).await.map_err(|error| store_refusal(&error))?;
    read.ok_or_else(|| Refusal::not_found("community"))
}

/// The oldest community of that name.
///
/// # Errors
/// `unavailable`.
pub async fn find(store: &dyn Store, name: &str) -> Result<Option<facts::Community>, Refusal> {
    store.community_by_name(name).await.map_err(|error| store_refusal(&error))
}

/// The first owner of the installation; when there is none, an account nobody can sign in to.
async fn owner(hub: &Hub) -> Result<UserId, Refusal> {
    let store = hub.store();
    let mut after = None;
    loop {
        let page = store.list_users(after, PAGE).await.map_err(|error| store_refusal(&error))?;
        if let Some(owner) = page.iter().find(|user| user.owner && !user.disabled) {
            return Ok(owner.id);
        }
        let Some(last) = page.last() else { break };
        after = Some(last.id);
    }
    let id = UserId::from_raw(hub.next_id());
    let user = facts::User {
        id,
        name: names::account_name(OPERATOR, id),
        display: OPERATOR.to_owned(),
        email: None,
        avatar: None,
        owner: false,
        disabled: false,
        imported: true,
        created_at: hub.now(),
    };
    store.apply(&[Effect::PutUser(Box::new(user))]).await.map_err(|error| store_refusal(&error))?;
    Ok(id)
}
