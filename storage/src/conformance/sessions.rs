//! Signed-in devices, and what client sessions leave behind to resume from.

use std::sync::Arc;

use hubbub_protocol::{
    ids::{SessionId, UserId},
    time::Timestamp,
};
use tokio::task::JoinSet;

use super::{
    accounts::user,
    world::{ADA, BOB},
};
use crate::{
    Store,
    facts::{ResumeState, Session},
};

const PHONE: SessionId = SessionId::from_raw(1);
const LAPTOP: SessionId = SessionId::from_raw(2);
const OF_BOB: SessionId = SessionId::from_raw(3);

async fn signed_in(store: &Arc<dyn Store>, id: SessionId, of: UserId, at: i64) -> Session {
    let session = Session {
        id,
        user: of,
        device: format!("device {id}"),
        refresh_hash: [1; 32],
        previous: None,
        created_at: Timestamp(at),
        used_at: Timestamp(at),
        expires_at: Timestamp(at + 1_000),
        ended_at: None,
    };
    if store.user(of).await.expect("a read").is_none() {
        let account = user(of, &format!("user{}", of.raw()));
        store.create_user(&account, None).await.expect("a new name");
    }
    let kept = store.create_session(&session).await;
    kept.expect("a write");
    session
}

pub async fn sessions_of_a_user_are_listed_newest_first_until_they_end(store: Arc<dyn Store>) {
    let laptop = signed_in(&store, LAPTOP, ADA, 10).await;
    let phone = signed_in(&store, PHONE, ADA, 20).await;
    signed_in(&store, OF_BOB, BOB, 15).await;
    let listed = async |of| store.sessions_of(of).await.expect("a read");
    assert_eq!(listed(ADA).await, [phone.clone(), laptop.clone()]);
    assert_eq!(listed(BOB).await.len(), 1);
    let found = store.session(PHONE).await.expect("a read");
    assert_eq!(found, Some(phone));
    let missing = store.session(SessionId::from_raw(9)).await;
    assert_eq!(missing.expect("a read"), None);

    for at in [30, 40] {
        let ended = store.end_session(PHONE, Timestamp(at)).await;
        ended.expect("a write");
        let ended = store.session(PHONE).await.expect("a read");
        let ended_at = ended.expect("ended, not forgotten").ended_at;
        assert_eq!(ended_at, Some(Timestamp(30)), "ended again at {at}");
    }
    assert_eq!(listed(ADA).await, [laptop]);
    let nobody = store.end_session(SessionId::from_raw(9), Timestamp(1));
    nobody.await.expect("nothing to end");
}

pub async fn a_refresh_token_is_replaced_only_while_it_is_in_force(store: Arc<dyn Store>) {
    let session = signed_in(&store, PHONE, ADA, 10).await;
    let rotate = async |old: u8, new: u8, now| {
        let (old, new) = ([old; 32], [new; 32]);
        let (now, until) = (Timestamp(now), Timestamp(now + 500));
        let answer = store.rotate_session(PHONE, &old, &new, now, until).await;
        answer.expect("a write")
    };
    assert!(!rotate(9, 2, 50).await, "a token that never was");
    assert!(rotate(1, 2, 100).await);
    let wanted = Session {
        refresh_hash: [2; 32],
        previous: Some(([1; 32], Timestamp(100))),
        used_at: Timestamp(100),
        expires_at: Timestamp(600),
        ..session
    };
    let found = store.session(PHONE).await.expect("a read");
    assert_eq!(found.as_ref(), Some(&wanted));
    assert!(!rotate(1, 3, 110).await, "the one before");
    let found = store.session(PHONE).await.expect("a read");
    assert_eq!(found, Some(wanted), "a refused token changed something");

    let ended = store.end_session(PHONE, Timestamp(120)).await;
    ended.expect("a write");
    assert!(!rotate(2, 3, 130).await, "an ended session");
    let found = store.session(PHONE).await.expect("a read");
    assert_eq!(found.expect("kept").refresh_hash, [2; 32]);
    let (old, new) = ([1; 32], [2; 32]);
    let (id, now) = (SessionId::from_raw(9), Timestamp(1));
    let unknown = store.rotate_session(id, &old, &new, now, now).await;
    assert!(!unknown.expect("a write"), "no such session");
}

pub async fn of_many_uses_of_one_refresh_token_one_succeeds(store: Arc<dyn Store>) {
    signed_in(&store, PHONE, ADA, 10).await;
    let mut uses = JoinSet::new();
    for new in 2..10 {
        let store = Arc::clone(&store);
        uses.spawn(async move {
            let now = Timestamp(100);
            let (old, new) = ([1; 32], [new; 32]);
            let answer = store.rotate_session(PHONE, &old, &new, now, now).await;
            answer.expect("a write").then_some(new)
        });
    }
    let won: Vec<[u8; 32]> = uses.join_all().await.into_iter().flatten().collect();
    let found = store.sessions(&[PHONE, SessionId::from_raw(9), PHONE]).await.expect("a read").pop();
    assert_eq!(won, [found.expect("kept").refresh_hash]);
}

pub async fn what_a_session_resumes_from_is_replaced_and_forgotten(store: Arc<dyn Store>) {
    let state = |session, at, bytes: &[u8]| ResumeState {
        session,
        user: ADA,
        state: bytes.to_vec(),
        saved_at: Timestamp(at),
    };
    let large = (1 << 62) + 5;
    let first = [state(1, 10, b"a"), state(large, 20, &[0, 0xFF]), state(3, 30, b"")];
    store.put_resume_states(&first).await.expect("a write");
    let newer = state(1, 40, b"newer");
    let put = store.put_resume_states(std::slice::from_ref(&newer)).await;
    put.expect("a write");
    store.put_resume_states(&[]).await.expect("nothing to do");
    let kept = async |session| store.resume_state(session).await.expect("a read");
    assert_eq!(kept(1).await, Some(newer.clone()));
    assert_eq!(kept(large).await, Some(first[1].clone()));
    assert_eq!(kept(2).await, None);

    let many: Vec<ResumeState> = (100..700).map(|session| state(session, 50, &[1; 40])).collect();
    store
        .put_resume_states(&[many.as_slice(), &many[..3], std::slice::from_ref(&newer)].concat())
        .await
        .expect("a write");
    let asked: Vec<u64> = (99..701).chain([1, 1]).collect();
    let mut found = store.resume_states(&asked).await.expect("a read");
    found.sort_by_key(|state| state.session);
    assert_eq!(found, [std::slice::from_ref(&newer), many.as_slice()].concat());
    assert!(store.resume_states(&[]).await.expect("a read").is_empty());

    let forget = async |before| {
        let forgotten = store.forget_resume_states(Timestamp(before)).await;
        forgotten.expect("a write")
    };
    assert_eq!(forget(20).await, 0);
    assert_eq!(forget(40).await, 2);
    assert_eq!(kept(1).await, Some(newer));
    assert_eq!(kept(3).await, None);
}
