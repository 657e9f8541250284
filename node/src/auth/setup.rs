//! The set-up token: how a new installation gets its owner without a command line.
//!
//! The store keeps one secret, `setup`: 32 bytes while there is no owner yet, afterwards the word
//! `done`. The bytes are printed as a link when a node starts, and are good for making one account.
//!
//! # Invariants
//!
//! * Of many requests with the right token one makes an owner: [`claim`] is a removal, and only one
//!   can remove.
//! * Once [`close`] has returned, no node gives out a token again.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hubbub_storage::{Store, StoreError};

use super::mac::same;

const NAME: &str = "setup";
const DONE: &[u8] = b"done";

/// The token while there is no owner; makes it at the first start.
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Write`].
pub async fn token(store: &dyn Store) -> Result<Option<String>, StoreError> {
    let fresh: [u8; 32] = rand::random();
    let kept = store.secret_or(NAME, &fresh).await?;
    Ok((kept != DONE).then(|| URL_SAFE_NO_PAD.encode(kept)))
}

/// Takes the token away if `offered` is the one; whoever is answered `true` makes the owner, then
/// calls [`close`], or [`reopen`] when that failed.
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Write`].
pub async fn claim(store: &dyn Store, offered: &str) -> Result<bool, StoreError> {
    match token(store).await? {
        Some(token) if same(&token, offered) => store.forget_secret(NAME).await,
        _ => Ok(false),
    }
}

/// Puts a claimed token back.
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Write`].
pub async fn reopen(store: &dyn Store, token: &str) -> Result<(), StoreError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    store.secret_or(NAME, &bytes).await.map(drop)
}

/// Notes that there is an owner.
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Write`].
pub async fn close(store: &dyn Store) -> Result<(), StoreError> {
    // Another node that starts just now may put a token where we took one: take that as well.
    while store.secret_or(NAME, DONE).await? != DONE {
        store.forget_secret(NAME).await?;
    }
    Ok(())
}
