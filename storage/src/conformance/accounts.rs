//! Accounts, password hashes and secrets.

use std::sync::Arc;

use hubbub_protocol::{ids::UserId, time::Timestamp};
use tokio::task::JoinSet;

use super::world::{ADA, BOB, EVE};
use crate::{Aftermath, Effect, Store, StoreError, facts::User};

/// An account with something in each of its fields.
pub(super) fn user(id: UserId, name: &str) -> User {
    User {
        id,
        name: name.to_owned(),
        display: format!("{name} 🦉"),
        email: Some(format!("{name}@example.org")),
        avatar: None,
        owner: false,
        disabled: false,
        imported: false,
        created_at: Timestamp(1_795_435_200_001),
    }
}

fn put(user: &User) -> Effect {
    Effect::PutUser(Box::new(user.clone()))
}

fn assert_taken(answer: Result<(), StoreError>) {
    let taken = matches!(answer, Err(StoreError::Taken { .. }));
    assert!(taken, "{answer:?}");
}

/// Ids of the accounts, sorted.
fn ids(users: &[User]) -> Vec<UserId> {
    let mut ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
    ids.sort();
    ids
}

pub async fn an_account_is_found_by_id_and_by_name(store: Arc<dyn Store>) {
    let ada = user(ADA, "ada");
    let bob = User {
        email: None,
        avatar: Some("file-1".into()),
        owner: true,
        disabled: true,
        imported: true,
        ..user(BOB, "bob")
    };
    store.create_user(&ada, None).await.expect("a new name");
    store.create_user(&bob, Some("hash")).await.expect("new");
    for user in [&ada, &bob] {
        let by_id = store.user(user.id).await.expect("a read");
        assert_eq!(by_id.as_ref(), Some(user));
        let by_name = store.user_by_name(&user.name).await.expect("a read");
        assert_eq!(by_name.as_ref(), Some(user));
    }
    assert_eq!(store.user(EVE).await.expect("a read"), None);
    assert_eq!(store.user_by_name("ad").await.expect("a read"), None);
    let some = store.users(&[BOB, EVE, ADA]).await.expect("a read");
    assert_eq!(ids(&some), [ADA, BOB]);
    assert!(store.users(&[]).await.expect("a read").is_empty());
}

pub async fn the_name_of_an_account_is_its_own(store: Arc<dyn Store>) {
    let ada = user(ADA, "ada");
    store.create_user(&ada, Some("hers")).await.expect("new");
    let thief = user(BOB, "ada");
    assert_taken(store.create_user(&thief, Some("his")).await);
    assert_taken(store.apply(&[put(&thief)]).await);
    assert_eq!(store.user(BOB).await.expect("a read"), None);
    assert_eq!(store.password_hash(BOB).await.expect("a read"), None);
    let holder = store.user_by_name("ada").await.expect("a read");
    assert_eq!(holder, Some(ada.clone()));

    let lovelace = User { name: "lovelace".into(), ..ada };
    store.apply(&[put(&lovelace)]).await.expect("a free name");
    assert_eq!(store.user_by_name("ada").await.expect("a read"), None);
    store.create_user(&thief, None).await.expect("free again");
    let hash = store.password_hash(ADA).await.expect("a read");
    assert_eq!(hash.as_deref(), Some("hers"), "a rename lost the password");
}

pub async fn of_many_who_want_a_name_at_once_one_gets_it(store: Arc<dyn Store>) {
    let mut wanting = JoinSet::new();
    for id in 1..=8 {
        let store = Arc::clone(&store);
        let user = user(UserId::from_raw(id), "ada");
        wanting.spawn(async move { store.create_user(&user, None).await.is_ok() });
    }
    let got = wanting.join_all().await;
    assert_eq!(got.iter().filter(|got| **got).count(), 1);
    assert_eq!(store.count_users().await.expect("a read"), 1);
}

pub async fn effects_apply_in_order_and_all_or_none(store: Arc<dyn Store>) {
    let (ada, bob) = (user(ADA, "ada"), user(BOB, "bob"));
    let renamed = User { name: "ada.l".into(), ..ada.clone() };
    let heir = user(EVE, "ada");
    let order = [put(&ada), put(&renamed), put(&heir)];
    store.apply(&order).await.expect("each name is free in turn");
    let all = store.list_users(None, 10).await.expect("a read");
    assert_eq!(all, [renamed.clone(), heir]);

    let clash = User { name: "ada.l".into(), ..user(UserId::from_raw(9), "x") };
    let gone = User { disabled: true, ..renamed.clone() };
    let error = store.apply(&[put(&bob), put(&gone), put(&clash)]).await;
    let error = error.expect_err("the name is taken");
    assert_eq!(error.aftermath(), Aftermath::Unchanged);
    assert_eq!(store.user(BOB).await.expect("a read"), None);
    assert_eq!(store.user(ADA).await.expect("a read"), Some(renamed));
    store.apply(&[]).await.expect("nothing to do");
}

pub async fn accounts_are_listed_in_pages_by_id(store: Arc<dyn Store>) {
    for raw in [7, 3, 9, 5] {
        let user = user(UserId::from_raw(raw), &format!("user{raw}"));
        store.create_user(&user, None).await.expect("a new name");
    }
    let page = async |after: Option<u64>, limit| {
        let after = after.map(UserId::from_raw);
        let users = store.list_users(after, limit).await.expect("a read");
        let raw = |user: &User| user.id.raw();
        users.iter().map(raw).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 10).await, [3, 5, 7, 9]);
    assert_eq!(page(None, 2).await, [3, 5]);
    assert_eq!(page(Some(5), 2).await, [7, 9]);
    assert_eq!(page(Some(4), 1).await, [5]);
    assert_eq!(page(Some(9), 5).await, [0; 0]);
}

pub async fn authors_of_archives_are_not_counted(store: Arc<dyn Store>) {
    assert_eq!(store.count_users().await.expect("a read"), 0);
    let ada = user(ADA, "ada");
    store.create_user(&ada, None).await.expect("a new name");
    let author = User { imported: true, ..user(BOB, "bob") };
    store.apply(&[put(&author)]).await.expect("a new name");
    assert_eq!(store.count_users().await.expect("a read"), 1);
}

pub async fn a_password_hash_is_replaced(store: Arc<dyn Store>) {
    let ada = user(ADA, "ada");
    store.create_user(&ada, None).await.expect("a new name");
    let bob = user(BOB, "bob");
    store.create_user(&bob, Some("first")).await.expect("new");
    let hash = async |id| store.password_hash(id).await.expect("a read");
    assert_eq!(hash(ADA).await, None);
    assert_eq!(hash(EVE).await, None);
    assert_eq!(hash(BOB).await.as_deref(), Some("first"));
    for id in [ADA, BOB] {
        let set = store.set_password_hash(id, "second").await;
        set.expect("a write");
        assert_eq!(hash(id).await.as_deref(), Some("second"));
    }
}

pub async fn nodes_that_start_together_end_with_one_secret(store: Arc<dyn Store>) {
    let mut nodes = JoinSet::new();
    for node in 0..8_u8 {
        let store = Arc::clone(&store);
        nodes.spawn(async move { store.secret_or("signing", &[node, 0, 0xFF]).await });
    }
    let secrets: Vec<Vec<u8>> = nodes.join_all().await.into_iter().map(|secret| secret.expect("a write")).collect();
    let first = &secrets[0];
    assert!(secrets.iter().all(|secret| secret == first), "{secrets:?}");
    assert_eq!(store.secret("signing").await.expect("a read").as_ref(), Some(first));
    assert_eq!(store.secret("mail").await.expect("a read"), None, "a look keeps nothing");
    let kept = store.secret_or("signing", b"other").await.expect("a read");
    assert_eq!(kept, *first);
    let other = store.secret_or("mail", b"").await.expect("a write");
    assert_eq!(other, b"");

    assert!(store.forget_secret("signing").await.expect("a write"));
    assert!(!store.forget_secret("signing").await.expect("a write"));
    let fresh = store.secret_or("signing", b"new").await.expect("a write");
    assert_eq!(fresh, b"new");
}
