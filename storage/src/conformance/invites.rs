//! Invites: none is used more often than it may be, whoever comes at once.

use std::sync::Arc;

use hubbub_protocol::{ids::CommunityId, time::Timestamp};
use tokio::task::JoinSet;

use super::{
    communities::{CATS, OWLS, apply},
    world::ADA,
};
use crate::{Effect, Store, facts::Invite};

pub(super) fn invite(code: &str, community: CommunityId) -> Invite {
    Invite {
        code: code.to_owned(),
        community,
        by: ADA,
        max_uses: None,
        uses: 0,
        expires_at: None,
        created_at: Timestamp(10),
    }
}

fn makes(invite: &Invite) -> Effect {
    Effect::PutInvite(Box::new(invite.clone()))
}

pub async fn invites_of_a_community_are_listed_newest_first(store: Arc<dyn Store>) {
    let at = |code, at| Invite { created_at: Timestamp(at), ..invite(code, OWLS) };
    let used = Invite { max_uses: Some(3), uses: 3, expires_at: Some(Timestamp(1)), ..at("b", 20) };
    let all = [at("c", 10), used.clone(), at("a", 30), invite("x", CATS)];
    apply(&store, &all.map(|invite| makes(&invite))).await;
    let listed = store.invites_of(OWLS).await.expect("a read");
    let codes: Vec<&str> = listed.iter().map(|known| known.code.as_str()).collect();
    assert_eq!(codes, ["a", "b", "c"]);
    let found = store.invite("b").await.expect("a read");
    assert_eq!(found, Some(used), "used up and still there");

    apply(&store, &[Effect::DeleteInvite("b".into())]).await;
    assert_eq!(store.invite("b").await.expect("a read"), None);
    assert_eq!(store.invites_of(OWLS).await.expect("a read").len(), 2);
    let replaced = Invite { max_uses: Some(9), ..at("a", 30) };
    apply(&store, &[makes(&replaced)]).await;
    let found = store.invite("a").await.expect("a read");
    assert_eq!(found, Some(replaced));
}

pub async fn an_invite_counts_its_uses_until_it_is_used_up(store: Arc<dyn Store>) {
    let limited = Invite { max_uses: Some(2), ..invite("two", OWLS) };
    apply(&store, &[makes(&limited), makes(&invite("any", OWLS))]).await;
    let use_once = async |code| {
        let answer = store.use_invite(code, Timestamp(50)).await;
        answer.expect("a write")
    };
    for uses in [1, 2] {
        let used = use_once("two").await;
        let wanted = Invite { uses, ..limited.clone() };
        assert_eq!(used.as_ref(), Some(&wanted));
        assert_eq!(store.invite("two").await.expect("a read"), used);
    }
    assert_eq!(use_once("two").await, None);
    let kept = store.invite("two").await.expect("a read");
    assert_eq!(kept.map(|invite| invite.uses), Some(2));
    for _ in 0..5 {
        assert!(use_once("any").await.is_some());
    }
    assert_eq!(use_once("none").await, None);
    let never = Invite { max_uses: Some(0), ..invite("zero", OWLS) };
    apply(&store, &[makes(&never)]).await;
    assert_eq!(use_once("zero").await, None);
}

pub async fn an_expired_invite_leads_nowhere(store: Arc<dyn Store>) {
    let short = Invite { expires_at: Some(Timestamp(100)), ..invite("short", OWLS) };
    apply(&store, &[makes(&short)]).await;
    let at = async |now| {
        let answer = store.use_invite("short", Timestamp(now)).await;
        answer.expect("a write").is_some()
    };
    assert!(at(99).await);
    assert!(!at(101).await);
    let kept = store.invite("short").await.expect("a read");
    assert_eq!(kept.map(|invite| invite.uses), Some(1));
}

pub async fn a_use_that_is_given_back_lets_another_in(store: Arc<dyn Store>) {
    let once = Invite { max_uses: Some(1), ..invite("once", OWLS) };
    let other = Invite { uses: 4, ..invite("other", OWLS) };
    apply(&store, &[makes(&once), makes(&other)]).await;
    let use_once = async || store.use_invite("once", Timestamp(50)).await.expect("a write");
    let give_back = async |code| store.give_back_invite(code).await.expect("a write");
    give_back("once").await;
    assert_eq!(use_once().await.map(|used| used.uses), Some(1), "an unused one stays as it is");
    assert_eq!(use_once().await, None);
    give_back("once").await;
    assert_eq!(use_once().await.map(|used| used.uses), Some(1));
    assert_eq!(use_once().await, None);
    give_back("none").await;
    assert_eq!(store.invite("none").await.expect("a read"), None);
    assert_eq!(store.invite("other").await.expect("a read"), Some(other));
}

pub async fn of_many_who_come_at_once_only_so_many_get_in(store: Arc<dyn Store>) {
    let limited = Invite { max_uses: Some(5), ..invite("five", OWLS) };
    apply(&store, &[makes(&limited)]).await;
    let mut coming = JoinSet::new();
    for _ in 0..16 {
        let store = Arc::clone(&store);
        coming.spawn(async move {
            let answer = store.use_invite("five", Timestamp(50)).await;
            answer.expect("a write").map(|invite| invite.uses)
        });
    }
    let mut uses: Vec<u32> = coming.join_all().await.into_iter().flatten().collect();
    uses.sort_unstable();
    assert_eq!(uses, [1, 2, 3, 4, 5]);
    let kept = store.invite("five").await.expect("a read");
    assert_eq!(kept.map(|invite| invite.uses), Some(5));
}
